"""Writes of every kind by both doors, each repeated under its key until somebody has taken it; what they promise."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from random import Random
from typing import Final

import aiohttp
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from deploy.demo.samples import UNIQUE_BYTES, padded_pdf
from tests.e2e.client import Answer, Client, Json, digest, inline, person
from tests.torture.world import World

FILE_BYTES: Final = 4096
KINDS: Final = ("create", "create", "append", "append", "update", "remove")
URL_SHARE: Final = 1 / 3  # of files
TOPIC_SHARE: Final = 0.1  # of writes
ARRAY_SHARE: Final = 0.1  # of creates by HTTP, three records each
ARRAY: Final = 3
POOL: Final = 60  # records that writes go to; few, so that some wait for each other
PAUSE_SECONDS: Final = 0.3  # before the same is sent again


@dataclass(slots=True)
class Write:
    """One mutation that was promised, and what it must do. `files`: SHA-256 by file name; times on this machine."""

    key: str
    kind: str
    record: str = ""  # id; of a create what the 202 says, by topic nothing
    files: dict[str, str] = field(default_factory=dict)
    fields: Json = field(default_factory=dict)  # of the record, or its changes: None clears
    remove: list[str] = field(default_factory=list)
    by_topic: bool = False
    sent: float = 0.0  # seconds, when it was sent first
    answered: float = 0.0  # when the 202, or the broker's acknowledgement, was there
    mutation: str = ""  # what the 202 says
    attachments: dict[str, str] = field(default_factory=dict)  # file name by id, as the 202 says


@dataclass(slots=True)
class Target:
    """A record that was promised, and its attachments that were."""

    id: str
    attachments: list[str] = field(default_factory=list)


class Load:
    """`writes` grows by what is promised; `send` returns when all of them are."""

    def __init__(
        self,
        world: World,
        size: int,
        per_second: float | None = None,
        senders: int = 12,
        topic_share: float = TOPIC_SHARE,
        file_bytes: int = FILE_BYTES,
    ) -> None:
        self.client: Client = world.client
        self.size, self.writes = size, list[Write]()
        self.repeated = 0  # requests that were sent again because nobody had answered, or with 503
        self._topic_share, self._file_bytes = topic_share, file_bytes
        self._senders, self._pause = senders, senders / per_second if per_second else 0.0
        self._rng = Random(world.rng.random())
        self._name = f"t{self._rng.randrange(16**6):06x}"
        self._pool: list[Target] = []
        self._begun = 0
        self._kafka = world.handle["kafka"]
        world.run.counted["writes"] = lambda: f"{len(self.writes):,} of {size:,}"

    @property
    def done(self) -> bool:
        """Whether everything is promised."""
        return len(self.writes) >= self.size

    async def send(self) -> list[Write]:
        """Send everything; what was promised. The pauses between the writes of a sender keep the rate."""
        async with _producing(self._kafka) if self._topic_share else nullcontext() as producer:
            await asyncio.gather(*(self._sender(producer) for _ in range(self._senders)))
        return self.writes

    async def _sender(self, producer: AIOKafkaProducer | None) -> None:
        loop = asyncio.get_running_loop()
        next_at = loop.time() + self._rng.random() * self._pause
        while self._begun < self.size:
            await asyncio.sleep(next_at - loop.time())
            next_at = max(next_at + self._pause, loop.time() - 5 * self._pause)  # what was missed is made good
            by_topic = self._rng.random() < self._topic_share
            if not by_topic and self._begun + ARRAY <= self.size and self._rng.random() < ARRAY_SHARE / 3:
                self._begun += ARRAY
                await self._array([self._write("create") for _ in range(ARRAY)])
                continue
            self._begun += 1
            kind = self._rng.choice(KINDS) if len(self._pool) > 5 else "create"
            write = self._write(kind)
            await (self._command(producer, write) if by_topic and producer else self._request(write))

    def _write(self, kind: str) -> Write:
        rng, write = self._rng, Write(f"{self._name}-{secrets.token_hex(6)}", kind)
        target = rng.choice(self._pool) if kind != "create" else None
        write.record = target.id if target else ""
        if kind in ("create", "append"):
            write.files = {f"{write.key}.pdf": ""}
        if kind == "create":
            write.fields = person(firstName=write.key)
        elif kind == "update":
            write.fields = rng.choice([{"firstName": write.key}, {"tags": [write.key, "b"]}, {"tags": None}])
        elif target and kind == "remove":
            if not target.attachments:
                return self._write("append")
            write.remove = rng.sample(target.attachments, min(2, len(target.attachments)))
        return write

    def _payload(self, write: Write) -> Json:
        entries = [self._file(write, name) for name in write.files]
        if write.kind == "create":
            return write.fields | {"otherAttachments": entries}
        if write.kind == "append":
            return {"otherAttachments": entries}
        return {"attachmentIds": write.remove} if write.kind == "remove" else dict(write.fields)

    def _file(self, write: Write, name: str) -> Json:
        head, tail = padded_pdf(self._file_bytes)
        content = head + name.encode().ljust(UNIQUE_BYTES, b"-") + tail
        write.files[name] = digest(content)
        if self._rng.random() < URL_SHARE:
            self.client.site.origin.files[name] = content
            return {"filename": name, "url": self.client.site.file_url(name)}
        return inline(name, content, "application/pdf")

    async def _request(self, write: Write) -> None:
        place = f"/candidates/{write.record}"
        method, path = {
            "create": ("POST", "/candidates"),
            "update": ("PATCH", place),
            "append": ("POST", f"{place}/attachments"),
            "remove": ("DELETE", f"{place}/attachments"),
        }[write.kind]
        body = self._payload(write) | {"callbackUrl": self.client.callback_url}
        answer = await self._until_202([write], method, path, body, write.key)
        self._promised(write, answer.mutation)

    async def _array(self, writes: list[Write]) -> None:
        body = [self._payload(write) for write in writes]
        key = writes[0].key
        for number, write in enumerate(writes, 1):
            write.key = f"{key}#{number}"
        path = f"/candidates?callbackUrl={self.client.callback_url}"
        answer = await self._until_202(writes, "POST", path, body, key)
        for write, told in zip(writes, answer.mutations, strict=True):
            self._promised(write, told)

    async def _until_202(self, writes: list[Write], method: str, path: str, body: object, key: str) -> Answer:
        loop = asyncio.get_running_loop()
        for write in writes:
            write.sent = loop.time()
        while True:
            try:
                answer = await self.client.call(method, path, body, Idempotency_Key=key)
            except (aiohttp.ClientError, TimeoutError):
                pass
            else:
                if answer.status == 202:
                    for write in writes:
                        write.answered = loop.time()
                    return answer
                assert answer.status in (429, 503), (answer.status, answer.body)
            self.repeated += 1
            await asyncio.sleep(PAUSE_SECONDS)

    def _promised(self, write: Write, told: Json) -> None:
        write.mutation = told["mutationId"]
        write.attachments = {each["id"]: each["filename"] for each in told["attachments"]}
        if write.kind == "create":
            write.record = told["record"]["id"]
            self._pool = [*self._pool[-POOL + 1 :], Target(write.record)]
        for target in self._pool:
            if target.id == write.record:
                target.attachments = [*target.attachments[-5:], *write.attachments]
        self.writes.append(write)

    async def _command(self, producer: AIOKafkaProducer, write: Write) -> None:
        loop = asyncio.get_running_loop()
        command: Json = {"operation": write.kind, "recordType": "candidate", "idempotencyKey": write.key}
        command |= {"payload": self._payload(write), "callbackUrl": self.client.callback_url}
        command |= {"recordId": write.record} if write.record else {}
        value, topic = json.dumps(command).encode(), f"mutations.commands.{self.client.tenant}"
        write.by_topic, write.sent = True, loop.time()
        while True:
            try:
                await producer.send_and_wait(topic, value, key=(write.record or write.key).encode())
                break
            except KafkaError:
                self.repeated += 1
                await asyncio.sleep(PAUSE_SECONDS)
        write.answered = loop.time()
        self.writes.append(write)


@asynccontextmanager
async def _producing(bootstrap: str) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", linger_ms=2)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()
