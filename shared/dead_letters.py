"""Raw records that can never work, kept on a topic of their own with the reason."""

from collections.abc import Iterable
from typing import Final, Protocol

import structlog

from shared import topics
from shared.broker import Record
from shared.events import Header
from shared.limits import REASON_SHOWN
from shared.metrics import DEAD_LETTERS

log = structlog.get_logger()
HEADERS_PREFIX: Final = "dlq_"  # of what is written on a letter, behind the record's own headers


class Sender(Protocol):
    """The producer."""

    async def send(self, topic: str, key: bytes | None, value: bytes | None, headers: Iterable[Header]) -> None: ...


class DeadLetters:
    """Raw records that can never work, kept with the reason."""

    def __init__(self, publisher: Sender) -> None:
        self._publisher = publisher

    async def send(self, record: Record, reason: str, attempts: int, senders_fault: bool = False) -> None:
        """Publish it raw; a sender's fault is logged as no error of ours. Raises DependencyUnavailable."""
        origin = {"topic": record.topic, "partition": record.partition, "offset": record.offset, "attempts": attempts}
        why = origin | {"reason": reason[:REASON_SHOWN]}
        added = [(f"{HEADERS_PREFIX}{name}", str(value).encode()) for name, value in why.items()]
        headers = [(name, value or b"") for name, value in record.headers]
        await self._publisher.send(topics.dead_letter(record.topic), record.key, record.value, headers + added)
        DEAD_LETTERS.labels(topics.family(record.topic), "senders" if senders_fault else "ours").inc()
        (log.info if senders_fault else log.error)("record.dead_lettered", **why)
