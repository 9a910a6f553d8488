"""What a foreign producer writes costs a replaced character, or its own batch, and nothing of others."""

import pytest
from aiokafka.errors import UnsupportedCodecError
from aiokafka.record.memory_records import MemoryRecords

from shared.odd_records import ForgivingRecords
from tests.odd_records import ODD_HEADER, Headers, as_zstd, odd_batch

GOOD: Headers = [("ce_type", b"mutation.command.v1")]


def read(raw: bytes) -> dict[int, tuple[bytes, Headers]]:
    """By offset, as aiokafka takes them: what it has seen, it leaves out."""
    records, seen = ForgivingRecords(raw), dict[int, tuple[bytes, Headers]]()
    while records.has_next():
        for record in records.next_batch():
            seen.setdefault(record.offset, (record.value, record.headers))
    return seen


@pytest.mark.parametrize("compression", [0, 1])
def test_records_before_behind_and_with_an_odd_name_are_read(compression: int) -> None:
    odd: Headers = [ODD_HEADER, *GOOD]
    raw = odd_batch((b"a", GOOD), (b"b", odd), (b"c", GOOD), compression=compression)
    with pytest.raises(UnicodeDecodeError):  # or this module is not needed any more
        list(MemoryRecords(raw).next_batch())
    assert read(raw) == {0: (b"a", GOOD), 1: (b"b", [("\ufffd\ufffd", b"odd"), *GOOD]), 2: (b"c", GOOD)}


def test_batch_in_an_unknown_compression_is_one_record_of_its_bytes() -> None:
    raw = as_zstd(odd_batch((b"a", GOOD), (b"b", GOOD)))
    with pytest.raises(UnsupportedCodecError):  # or the library is there, and unpacks what no limit counts
        iter(MemoryRecords(raw).next_batch())
    assert read(raw + odd_batch((b"c", GOOD), first=2)) == {1: (raw, []), 2: (b"c", GOOD)}


def test_batches_without_odd_names_are_read_as_ever() -> None:
    raw = odd_batch((b"a", GOOD), (b"b", [])) + odd_batch((b"c", GOOD))
    records = ForgivingRecords(raw)
    assert records.size_in_bytes() == len(raw)
    batch = records.next_batch()
    assert (batch.next_offset, batch.is_control_batch, batch.validate_crc()) == (2, False, True)
    assert [record.value for record in batch] == [b"a", b"b"]
    assert [record.value for record in records.next_batch()] == [b"c"]
    assert not records.has_next()
    assert records.next_batch() is None
