"""Mixed writes to many records by both doors at once: each record ends as if they had been worked off one by one."""

import asyncio
import json
import random
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from deploy.demo.samples import photograph
from shared.topics import commands
from tests.e2e.client import Client, Json, inline, person

RECORDS = 100
WRITES = 20  # of each record: half by HTTP, half by topic
INITIAL_FILES = 3
UPLOADS = 2
SECONDS = 400.0
PNG = photograph()


@dataclass
class Write:
    """One write as it is sent; `ids` are the attachments that a removal or an assign names."""

    kind: str
    payload: Json
    ids: list[str] = field(default_factory=list)


@dataclass
class Model:
    """What sequential execution makes of a record."""

    fields: Json
    attachments: set[str]
    assigned: set[str] = field(default_factory=set)
    version: int = 1

    def apply(self, write: Write, outcome: Json) -> None:
        """Work one write off; its outcome must say what became of it."""
        before = (dict(self.fields), set(self.attachments))
        if write.kind == "update":
            self.fields |= write.payload
            self.fields = {name: value for name, value in self.fields.items() if value is not None}
            expected = "completed"
        elif write.kind == "append":
            self.attachments |= {file["id"] for file in outcome["attachments"]}
            expected = "completed"
        elif write.kind == "remove":
            expected = _share(len(self.attachments & set(write.ids)), len(write.ids))
            self.attachments -= set(write.ids)
        else:
            free = set(write.ids) - self.assigned
            expected = _share(len(free), len(write.ids))
            self.attachments |= free
            self.assigned |= free
        assert outcome["status"] == expected, (write, outcome)
        if before != (self.fields, self.attachments) or write.kind == "update":
            self.version = outcome["sequence"]


def _share(done: int, of: int) -> str:
    return "failed" if not done else "completed" if done == of else "partially_completed"


@dataclass
class Record:
    """A candidate with its writes by idempotency key."""

    id: str
    model: Model
    removable: list[str]
    uploads: list[str]
    writes: dict[str, Write] = field(default_factory=dict)

    def next(self, rng: random.Random) -> tuple[str, Write]:
        """A random write, and its key."""
        kind = rng.choice(["update", "update", "append", "remove", "assign"])
        key = secrets.token_hex(8)
        if kind == "update":
            values: list[Json] = [
                {"firstName": key},
                {"tags": [key, "b"]},
                {"tags": None},
                {"lastName": None, "email": None},
            ]
            write = Write(kind, rng.choice(values))
        elif kind == "append":
            write = Write(kind, {"otherAttachments": [inline(f"{key}.txt", key.encode(), "text/plain")]})
        elif kind == "remove":
            ids = rng.sample(self.removable, min(2, len(self.removable)))
            write = Write(kind, {"attachmentIds": ids}, ids)
        else:
            ids = rng.sample(self.uploads, rng.randint(1, UPLOADS))
            listed = [{"id": each, "type": "cv"} for each in ids]
            write = Write(kind, {"attachments": listed, "candidateId": self.id}, ids)
        self.writes[key] = write
        return key, write


@asynccontextmanager
async def producing(client: Client) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(bootstrap_servers=client.handle["kafka"], acks="all", linger_ms=5)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def created(client: Client, count: int) -> list[Record]:
    """Candidates that are there, each with a few files and uploads of its own."""
    files = [inline(f"{n}.txt", b"x%d" % n, "text/plain") for n in range(INITIAL_FILES)]
    records: list[Record] = []
    for start in range(0, count, 10):
        many = [person(otherAttachments=files) for _ in range(min(10, count - start))]
        answer = await client.call("POST", f"/candidates?callbackUrl={client.callback_url}", many)
        assert answer.status == 202, answer.body
        for one in answer.mutations:
            ids = [file["id"] for file in one["attachments"]]
            uploaded = await client.upload(*((f"{n}.png", PNG, "image/png") for n in range(UPLOADS)))
            uploads = [each["attachmentId"] for each in uploaded]
            model = Model(person(), set(ids))
            records.append(Record(one["record"]["id"], model, list(ids), uploads))
    return records


async def by_http(client: Client, record: Record, rng: random.Random) -> None:
    paths = {
        "update": ("PATCH", f"/candidates/{record.id}"),
        "append": ("POST", f"/candidates/{record.id}/attachments"),
        "remove": ("DELETE", f"/candidates/{record.id}/attachments"),
        "assign": ("POST", "/attachments/temporary/assign"),
    }
    for _ in range(WRITES // 2):
        key, write = record.next(rng)
        method, path = paths[write.kind]
        body = write.payload | {"callbackUrl": client.callback_url}
        client.callbacks()
        answer = await client.patient(method, path, body, Idempotency_Key=key)
        assert answer.status == 202, answer.body
        if write.kind == "append":
            record.removable += [file["id"] for file in answer.mutation["attachments"]]


async def by_topic(client: Client, producer: AIOKafkaProducer, record: Record, rng: random.Random) -> None:
    for _ in range(WRITES // 2):
        key, write = record.next(rng)
        command: dict[str, Any] = {"operation": write.kind, "idempotencyKey": key, "payload": write.payload}
        command |= {"callbackUrl": client.callback_url}
        if write.kind != "assign":
            command |= {"recordType": "candidate", "recordId": record.id}
        await producer.send_and_wait(commands(client.tenant), json.dumps(command).encode(), key=record.id.encode())


@pytest.mark.timeout(SECONDS + 100)
async def test_records_end_as_sequential_execution_leaves_them(client: Client) -> None:
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    records = await created(client, RECORDS)
    async with producing(client) as producer:
        streams = [by_http(client, each, rng) for each in records]
        streams += [by_topic(client, producer, each, rng) for each in records]
        await asyncio.gather(*streams)

    async def all_called_back() -> dict[str, Json]:
        return {bodies[0][1]["data"]["idempotencyKey"]: bodies[0][1]["data"] for bodies in client.callbacks().values()}

    wanted = {key for record in records for key in record.writes}
    outcomes = await _all(all_called_back, wanted)
    for record in records:
        mine = sorted((outcomes[key]["sequence"], key) for key in record.writes)
        assert [sequence for sequence, _ in mine] == list(range(2, WRITES + 2))
        for _, key in mine:
            record.model.apply(record.writes[key], outcomes[key])
        read = (await client.call("GET", f"/candidates/{record.id}")).body["data"]
        listed = await client.call("GET", f"/candidates/{record.id}/attachments")
        assert {name: value for name, value in read.items() if name in person() | {"tags": 0}} == record.model.fields
        assert {each["id"] for each in listed.body["data"]} == record.model.attachments
        assert read["version"] == record.model.version


async def _all(taken: Any, wanted: set[str]) -> dict[str, Json]:
    """The outcomes of all these keys, waiting as long as more keep coming."""
    loop = asyncio.get_running_loop()
    seen, since = -1, loop.time()
    while True:
        outcomes: dict[str, Json] = await taken()
        missing = wanted - set(outcomes)
        if not missing:
            return outcomes
        if len(outcomes) != seen:
            seen, since = len(outcomes), loop.time()
        assert loop.time() - since < 60, f"no callback for {len(missing)} of {len(wanted)}: {sorted(missing)[:5]}"
        await asyncio.sleep(1)
