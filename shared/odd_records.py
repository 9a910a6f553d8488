"""Reads what makes aiokafka raise: headers whose names are no UTF-8, batches that it can't unpack, wrong checksums.

Any client of a broker may write the first two; disks and memory make the third. Raising, the fetch fails for ever, and
what it had taken out of other partitions is passed over: one tenant's record would stop, or lose, the commands of all.
"""

from collections.abc import Iterator
from typing import Any, Final

from aiokafka.consumer import fetcher
from aiokafka.record.default_records import _DefaultRecordBatchPy, _DefaultRecordPy
from aiokafka.record.memory_records import _MemoryRecordsPy

MAGIC_PLACE: Final = 16
HEAD_BYTES: Final = 61  # of a batch of magic 2, KIP-98


class _Name(bytearray):
    def decode(self, encoding: str = "utf-8", errors: str = "replace") -> str:
        return super().decode(encoding, errors)


class _Bytes(bytearray):
    """Parts of it decode whatever they hold."""

    def __getitem__(self, place: Any) -> Any:
        found = super().__getitem__(place)
        return _Name(found) if isinstance(place, slice) else found


class _Batch:
    """A batch of aiokafka, its checksum compared; what is no UTF-8 in a header's name is replaced.

    Where nothing can be read, the batch's own bytes stand for its records: a value that nobody can decode.
    """

    def __init__(self, batch: Any, raw: memoryview) -> None:
        self._batch, self._raw = batch, raw

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch)

    def validate_crc(self) -> bool:
        return True

    def __iter__(self) -> Iterator[Any]:
        try:
            yield from self._batch
        except UnicodeDecodeError:
            # From its first record on: aiokafka leaves those out whose offsets it has seen.
            slow = _DefaultRecordBatchPy(self._raw)
            slow._maybe_uncompress()
            slow._buffer = _Bytes(slow._buffer)
            yield from slow
        except Exception:  # also those of the libraries that unpack
            yield _unreadable(self._batch.next_offset - 1, self._raw)


class _Damaged:
    """A batch with a wrong checksum: no field is believed, so its bytes stand for whatever it holds."""

    is_control_batch = is_transactional = False  # it would be left out
    producer_id = None

    def __init__(self, raw: memoryview, next_offset: int) -> None:
        self._raw, self.next_offset = raw, next_offset

    def validate_crc(self) -> bool:
        return True

    def __iter__(self) -> Iterator[Any]:
        yield _unreadable(self.next_offset - 1, self._raw)


class ForgivingRecords(_MemoryRecordsPy):  # type: ignore[misc]
    """The batches of one answer to a fetch."""

    _next_slice: memoryview | None

    def has_next(self) -> bool:
        """Whether another batch is there; what is too short for one follows a damaged length, and is fetched anew."""
        found = self._next_slice
        if found is None or len(found) < self.MIN_SLICE:
            return False
        return found[MAGIC_PLACE] < 2 or len(found) >= HEAD_BYTES

    def next_batch(self) -> Any:
        """The next one, None behind the last."""
        if (raw := self._next_slice) is None:
            return None
        batch = super().next_batch()
        if batch.validate_crc():
            return _Batch(batch, raw)
        # Its length may be what is damaged, so nothing behind it is read: that is fetched anew, from where the broker
        # says that a batch begins.
        follower, self._next_slice = self._next_slice, None
        return _Damaged(raw, _end(raw, batch.next_offset, follower))


def _end(raw: memoryview, told: int, follower: memoryview | None) -> int:
    """The offset behind a damaged batch: it may tell a wrong one, which must neither stand still nor leave any out."""
    first = int.from_bytes(raw[:8], "big")
    ends = (told, *([int.from_bytes(follower[:8], "big")] if follower else []))
    return min((end for end in ends if end > first), default=first + 1)


def _unreadable(offset: int, raw: memoryview) -> Any:
    return _DefaultRecordPy(offset, 0, 0, None, bytes(raw), [])


def read_odd_records() -> None:
    """Have all consumers of this process read them; safe to repeat."""
    fetcher.MemoryRecords = ForgivingRecords
