"""What a foreign producer writes costs a replaced character, or its own batch, and nothing of others."""

import gzip

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import READ_COMMITTED, PartitionRecords
from aiokafka.errors import CorruptRecordException, UnsupportedCodecError
from aiokafka.record.memory_records import MemoryRecords

from shared.odd_records import ForgivingRecords
from tests.odd_records import ODD_HEADER, Headers, as_zstd, odd_batch, packed, rotten

GOOD: Headers = [("ce_type", b"mutation.command.v1")]
GZIP = 1
ATTRIBUTES, LAST_OFFSET_DELTA = 21, 23  # where they stand in a batch (KIP-98)
BATCH = odd_batch((b"a", GOOD), (b"b", GOOD), first=5)


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


def fetched(raw: bytes, position: int, records: type = ForgivingRecords) -> tuple[dict[int, bytes], int]:
    """What a consumer at this position gets out of one answer, by offset, and its position then."""
    found = PartitionRecords(TopicPartition("t", 0), records(raw), None, position, None, None, True, READ_COMMITTED)
    return {record.offset: record.value for record in found}, found.next_fetch_offset


@pytest.mark.parametrize(
    "batch",
    [
        pytest.param(rotten(BATCH, len(BATCH) - 3, 0xFF), id="in a record"),
        pytest.param(rotten(BATCH, ATTRIBUTES + 1, 0x20), id="seems to be a control batch"),
        pytest.param(rotten(BATCH, ATTRIBUTES + 1, GZIP), id="seems to be compressed"),
        pytest.param(rotten(BATCH, LAST_OFFSET_DELTA, 0x01), id="seems to reach far"),
    ],
)
def test_batch_with_a_wrong_checksum_is_one_record_of_its_bytes_and_what_follows_is_read(batch: bytes) -> None:
    follower = odd_batch((b"c", GOOD), first=7)
    with pytest.raises(CorruptRecordException):  # or this module is not needed any more
        fetched(batch + follower, 5, MemoryRecords)

    first, position = fetched(batch + follower, 5)
    rest, end = fetched(follower, position)

    assert (first, position) == ({6: batch}, 7)
    assert (rest, end) == ({7: b"c"}, 8)


@pytest.mark.parametrize("position", [5, 6])
def test_batch_with_a_wrong_checksum_is_passed_without_a_follower_too(position: int) -> None:
    batch = rotten(BATCH, len(BATCH) - 3, 0xFF)
    assert fetched(batch, position) == ({6: batch}, 7)


def test_a_damaged_batch_that_seems_to_end_before_it_begins_is_passed_too() -> None:
    batch = rotten(BATCH, LAST_OFFSET_DELTA, 0xFF)
    assert fetched(batch, 5) == ({5: batch}, 6)


def test_behind_a_length_that_is_damaged_nothing_is_taken_for_a_batch() -> None:
    length = 11
    longer = rotten(BATCH, length, 0x04) + odd_batch((b"c" * 40, GOOD), first=7) * 3
    found, position = fetched(longer, 5)
    assert (list(found), position) == ([6], 7)
    assert fetched(odd_batch((b"a", GOOD), first=4) + rotten(BATCH, length, BATCH[length] ^ 30), 4) == ({4: b"a"}, 5)


@pytest.mark.parametrize("length", [0, 20, 40])
def test_batch_that_does_not_unpack_is_one_record_of_its_bytes(length: int) -> None:
    batch = packed(GZIP, gzip.compress(b"x" * 500)[:length], BATCH)
    assert fetched(batch, 5) == ({6: batch}, 7)


def test_what_unpacks_to_nothing_sensible_is_one_record_of_its_bytes() -> None:
    batch = packed(GZIP, b"no gzip at all", BATCH)
    assert fetched(batch, 5) == ({6: batch}, 7)
