"""An upstream system: produces commands to its tenant's topic and consumes the outcomes."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from services.ingest.schemas_topics import OutcomeMessage
from shared import topics
from shared.publisher import MESSAGE_BYTES
from tests.e2e.client import Json
from tests.retry import eventually

Headers = dict[str, bytes]


@dataclass
class Upstream:
    """One tenant's producer, and readers of its outcomes and dead letters from where they began."""

    tenant: str
    producer: AIOKafkaProducer
    reader: AIOKafkaConsumer
    outcomes: list[Json] = field(default_factory=list)
    letters: list[tuple[bytes, Headers]] = field(default_factory=list)

    async def send(self, command: Json | bytes, **headers: bytes) -> bytes:
        """Produce one command, by its record where it has one; the bytes that were sent."""
        value = command if isinstance(command, bytes) else orjson.dumps(command)
        record = command.get("recordId") if isinstance(command, dict) else None
        key = record.encode() if record else None
        await self.producer.send_and_wait(topics.commands(self.tenant), value, key, headers=list(headers.items()))
        return value

    async def outcomes_of(self, key: str | None, count: int = 1, seconds: float = 60.0) -> list[Json]:
        """`data` of the outcomes for an idempotency key, once there are so many."""

        async def came() -> list[Json]:
            found = [one["data"] for one in self.outcomes if one["data"]["idempotencyKey"] == key]
            if len(found) < count:
                await self._read()
            assert len(found) >= count, f"{len(found)} of {count} outcomes for {key}"
            return found

        return await eventually(came, seconds)

    async def outcome(self, key: str | None, seconds: float = 60.0) -> Json:
        """The only one so far."""
        [single] = await self.outcomes_of(key, seconds=seconds)
        return single

    async def dead_letter(self, value: bytes) -> Headers:
        """The headers of the dead letter with these bytes."""

        async def came() -> Headers:
            await self._read()
            found = [headers for kept, headers in self.letters if kept == value]
            assert found
            return found[0]

        return await eventually(came)

    async def _read(self) -> None:
        for records in (await self.reader.getmany(timeout_ms=100)).values():
            for record in records:
                if record.topic == topics.outcomes(self.tenant):
                    assert OutcomeMessage.model_validate_json(record.value, strict=True).data.model_extra == {}
                    self.outcomes.append(orjson.loads(record.value))
                else:
                    self.letters.append((record.value, dict(record.headers)))


@asynccontextmanager
async def open_upstream(handle: Json, tenant: str = "demo") -> AsyncIterator[Upstream]:
    """An upstream system of a tenant whose topics are there."""
    producer = AIOKafkaProducer(bootstrap_servers=handle["kafka"], max_request_size=MESSAGE_BYTES, acks="all")
    reader = AIOKafkaConsumer(
        topics.outcomes(tenant), topics.dead_letter(topics.commands(tenant)),
        bootstrap_servers=handle["kafka"], auto_offset_reset="earliest", max_partition_fetch_bytes=MESSAGE_BYTES,
    )  # fmt: skip
    await producer.start()
    await reader.start()
    try:
        yield Upstream(tenant, producer, reader)
    finally:
        await producer.stop()
        await reader.stop()


def command(operation: str = "create", **members: Any) -> Json:
    """A command about a candidate under a key of its own."""
    own: Json = {"operation": operation, "recordType": "candidate", "idempotencyKey": f"topic-{secrets.token_hex(8)}"}
    return own | members
