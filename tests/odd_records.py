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
    """The batch, saying that it is compressed with Zstandard (KIP-98: attributes at 21, CRC-32C of the rest at 17)."""
    rest = b"\0\4" + batch[23:]
    return batch[:17] + int(calc_crc32c(rest)).to_bytes(4, "big") + rest
