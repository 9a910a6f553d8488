"""Batches of records as only foreign producers write them: names of headers that are no UTF-8."""

from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from aiokafka.record.util import calc_crc32c

ODD_NAME = b"\xff\xfe"
Headers = list[tuple[str, bytes]]


class _Odd(str):
    """A name that is written as ODD_NAME."""

    def encode(self, *_: object) -> bytes:
        return ODD_NAME


ODD_HEADER = (_Odd("??"), b"odd")  # as long as it is written


def odd_batch(*records: tuple[bytes, Headers], compression: int = 0, first: int = 0) -> bytes:
    """A record batch (magic 2) of these values and headers; the broker puts its own offset over `first`."""
    builder = _DefaultRecordBatchBuilderPy(2, compression, 0, -1, -1, 0, 1 << 20)
    for offset, (value, headers) in enumerate(records):
        builder.append(offset, 1, b"key", value, headers)
    return first.to_bytes(8, "big") + bytes(builder.build())[8:]


def as_zstd(batch: bytes) -> bytes:
    """The batch with its records as one raw block of a Zstandard frame (RFC 8878), so that any broker can unpack it."""
    records = batch[61:]
    block = (1 | len(records) << 3).to_bytes(3, "little") + records
    return packed(4, b"\x28\xb5\x2f\xfd\xa0" + len(records).to_bytes(4, "little") + block, batch)


def packed(codec: int, records: bytes, batch: bytes) -> bytes:
    """The batch with these bytes as its records, said to be compressed so, under a checksum that is right.

    Places are those of KIP-98: length at 8, CRC-32C of all from the attributes at 21 on at 17, records at 61.
    """
    rest = bytes((0, codec)) + batch[23:61] + records
    length = (len(rest) + 9).to_bytes(4, "big")
    return batch[:8] + length + batch[12:17] + int(calc_crc32c(rest)).to_bytes(4, "big") + rest


def rotten(batch: bytes, place: int, flipped: int) -> bytes:
    """The batch with bits of one byte flipped."""
    return batch[:place] + bytes((batch[place] ^ flipped,)) + batch[place + 1 :]
