"""Batches of records as only foreign producers write them: names of headers that are no UTF-8."""

from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy

ODD_NAME = b"\xff\xfe"
Headers = list[tuple[str, bytes]]


class _Odd(str):
    """A name that is written as ODD_NAME."""

    def encode(self, *_: object) -> bytes:
        return ODD_NAME


ODD_HEADER = (_Odd("??"), b"odd")  # as long as it is written


def odd_batch(*records: tuple[bytes, Headers], compression: int = 0) -> bytes:
    """A record batch (magic 2) of these values and headers, from offset 0."""
    builder = _DefaultRecordBatchBuilderPy(2, compression, 0, -1, -1, 0, 1 << 20)
    for offset, (value, headers) in enumerate(records):
        builder.append(offset, 1, b"key", value, headers)
    return bytes(builder.build())
