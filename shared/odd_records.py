"""Reads what makes aiokafka raise: headers whose names are no UTF-8, and batches that it can't unpack.

Any client of a broker may write them. Raising, the fetch fails for ever, and what it had taken out of other partitions
is passed over: one tenant's record would stop, or lose, the commands of all.
"""

from collections.abc import Iterator
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException, UnsupportedCodecError
from aiokafka.record.default_records import _DefaultRecordBatchPy, _DefaultRecordPy
from aiokafka.record.memory_records import _MemoryRecordsPy


class _Name(bytearray):
    def decode(self, encoding: str = "utf-8", errors: str = "replace") -> str:
        return super().decode(encoding, errors)


class _Bytes(bytearray):
    """Parts of it decode whatever they hold."""

    def __getitem__(self, place: Any) -> Any:
        found = super().__getitem__(place)
        return _Name(found) if isinstance(place, slice) else found


class _Batch:
    """A batch of aiokafka; what is no UTF-8 in a header's name is replaced.

    Where nothing can be read, the batch's own bytes stand for its records: a value that nobody can decode.
    """

    def __init__(self, batch: Any, raw: memoryview) -> None:
        self._batch, self._raw = batch, raw

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        try:
            yield from self._batch
        except UnicodeDecodeError:
            # From its first record on: aiokafka leaves those out whose offsets it has seen.
            slow = _DefaultRecordBatchPy(self._raw)
            slow._maybe_uncompress()
            slow._buffer = _Bytes(slow._buffer)
            yield from slow
        except (UnsupportedCodecError, CorruptRecordException):
            yield _DefaultRecordPy(self._batch.next_offset - 1, 0, 0, None, bytes(self._raw), [])


class ForgivingRecords(_MemoryRecordsPy):  # type: ignore[misc]
    """The batches of one answer to a fetch."""

    def next_batch(self) -> Any:
        """The next one, None behind the last."""
        raw = self._next_slice
        batch = super().next_batch()
        return None if batch is None else _Batch(batch, raw)


def read_odd_records() -> None:
    """Have all consumers of this process read them; safe to repeat."""
    fetcher.MemoryRecords = ForgivingRecords
