"""Poison among good records: what can't be read, and what meets a bug of ours, costs nobody else their time.

Poison by bug is a ledger document that the test breaks while its mutation waits for a file: what only a bug could do.
"""

import asyncio
import secrets
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from itertools import pairwise
from typing import Any, Final

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.structs import RecordMetadata

from deploy.lab.raw import OK, Source, open_source
from deploy.stack import EmbeddedStack
from shared import ledger, topics
from shared.limits import ANNOUNCEMENT_TRIES, MAX_TRIES, UNREADABLE_TRIES
from shared.outbox import LONGEST_PAUSE_SECONDS
from tests.e2e.client import Client, Json, open_client, person
from tests.odd_records import ODD_HEADER, odd_batch
from tests.retry import eventually
from tests.stacks import PATIENT
from tests.torture.delays import Watched, in_ms, steadily, watched
from tests.torture.facts import TERMINAL
from tests.torture.scenario import Findings, Run

COMMANDS: Final = topics.commands("demo")
BROKEN: Final = 7  # what no member of a document may be
BUG: Final = "a bug"
BUGS: Final = ("fields", "callbackUrl")  # a bug in storage, a bug in the notifier
GOOD: Final = 1000  # without and with poison each
PAIRS: Final = 4
PER_SECOND: Final = 15.0
RISE: Final = 0.2
TRIES_A_SECOND: Final = 2.0
READ: Final = (*topics.READERS, COMMANDS)
Headers = list[tuple[str, bytes | None]]
Place = tuple[str, int, int]  # topic, partition, offset

# What no service can read, by its name: a value that holds the token, and headers.
UNREADABLE: Final[dict[str, Callable[[str], tuple[bytes | None, Headers]]]] = {
    "garbage": lambda token: (b"\xff\x00\xfe" + token.encode(), []),
    "broken JSON": lambda token: (b'{"mutationId": "' + token.encode(), []),
    "an array": lambda token: (orjson.dumps([token]), []),
    "an unknown shape": lambda token: (orjson.dumps({"poison": token}), []),
    "wrong types": lambda token: (orjson.dumps({"mutationId": [token], "tenant": 7, "operation": {}}), []),
    "deep JSON": lambda token: (b"[" * 5000 + token.encode(), []),
    "nothing": lambda token: (b"", [("token", token.encode())]),
    "a tombstone": lambda token: (None, [("token", token.encode())]),
    "odd headers": lambda token: (token.encode(), [("traceparent", b"\xff\xfe"), ("ce_type", b"\x00"), ("", b"")]),
    "odd names of headers": lambda token: (token.encode(), [ODD_HEADER]),
}


@dataclass(frozen=True, slots=True)
class Planted:
    """One poison: found again as a record by its place, or by the mutation that its record is about."""

    kind: str
    topic: str
    identity: Place | str
    tries: int  # before it is a dead letter
    value: bytes | None = None


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter; `at` in seconds since the epoch."""

    value: bytes | None
    headers: dict[str, bytes]
    at: float

    @property
    def origin(self) -> Place:
        """The record that it was."""
        told = {name: self.headers[f"dlq_{name}"].decode() for name in ("topic", "partition", "offset")}
        return told["topic"], int(told["partition"]), int(told["offset"])


@dataclass
class Poisoner:
    """Plants poison and finds the dead letters."""

    broken: Watched
    producer: AIOKafkaProducer
    reader: AIOKafkaConsumer
    mutations: Any
    source: Source
    letters: dict[Place | str, list[Letter]] = field(default_factory=lambda: defaultdict(list))
    planted: list[Planted] = field(default_factory=list)

    async def unreadable(self, topic: str, kind: str) -> None:
        """A record that nobody can read."""
        token = secrets.token_hex(8)
        value, headers = UNREADABLE[kind](token)
        if headers == [ODD_HEADER]:
            sent = await self._as_is(topic, odd_batch((value or b"", [ODD_HEADER])))
        else:
            sent = await self.producer.send_and_wait(topic, value, token.encode(), headers=headers)
        place = (sent.topic, sent.partition, sent.offset)
        self.planted.append(Planted(f"{kind} in {topic}", topic, place, UNREADABLE_TRIES, value))

    @property
    def client(self) -> Client:
        """Of the tenant whose mutations are broken."""
        return self.broken.client

    async def bug(self, member: str) -> None:
        """A mutation with this member of its document broken, as soon as its file is asked for."""
        key = secrets.token_hex(8)
        files = [{"filename": "cv.txt", "url": f"http://127.0.0.1:{self.source.port}/{member}/{key}"}]
        mutation = await self.broken.send(person(idempotencyKey=key, curriculumVitae=files))
        in_storage = member == "fields"
        topic = topics.FETCHED if in_storage else topics.COMPLETED
        tries = MAX_TRIES if in_storage else ANNOUNCEMENT_TRIES
        self.planted.append(Planted(f"broken {member}", topic, mutation, tries))

    async def look(self) -> None:
        """Take in what has come."""
        for records in (await self.reader.getmany(timeout_ms=100)).values():
            for record in records:
                letter = Letter(record.value, dict(record.headers), record.timestamp / 1000)
                self.letters[letter.origin].append(letter)
                self.letters[_mutation(record.value)].append(letter)

    async def buried(self, seconds: float = 120.0) -> None:
        """Wait until all that was planted is dead-lettered. Raises AssertionError."""

        async def all_came() -> None:
            await self.look()
            missing = [each.kind for each in self.planted if not self.letters[each.identity]]
            assert not missing, f"no dead letter for {len(missing)} of {len(self.planted)}: {missing[:5]}"

        await eventually(all_came, seconds)

    async def _as_is(self, topic: str, batch: bytes) -> RecordMetadata:
        builder = self.producer.create_batch()
        builder.append(key=b"key", value=b"", timestamp=None)
        builder._buffer = batch
        return await (await self.producer.send_batch(builder, topic, partition=0))


@asynccontextmanager
async def open_poisoner(client: Client) -> AsyncIterator[Poisoner]:
    """Of the client's tenant; its source breaks the document of whoever asks for a file, then gives the file."""
    async with ledger.open_client(client.handle["mongodb"]) as mongo, _clients(client.handle) as (producer, reader):
        mutations = ledger.databases(mongo)["live"].mutations

        async def breaks(path: str, writer: asyncio.StreamWriter) -> None:
            _, member, key = path.split("/")
            await mutations.update_one({"key": key, "tenant": client.tenant}, {"$set": {member: BROKEN}})
            writer.write(OK + b"Content-Length: 10\r\n\r\nSome text.")

        async with open_source(breaks) as source:
            yield Poisoner(watched(client), producer, reader, mutations, source)


@asynccontextmanager
async def _clients(handle: Json) -> AsyncIterator[tuple[AIOKafkaProducer, AIOKafkaConsumer]]:
    producer = AIOKafkaProducer(bootstrap_servers=handle["kafka"], acks="all")
    reader = AIOKafkaConsumer(
        *(topics.dead_letter(name) for name in READ), bootstrap_servers=handle["kafka"], auto_offset_reset="earliest"
    )
    await producer.start()
    await reader.start()
    try:
        yield producer, reader
    finally:
        await producer.stop()
        await reader.stop()


def _mutation(value: bytes | None) -> str:
    """The mutation that an event is about, if it is one."""
    try:
        return str(orjson.loads(value or b"")["mutationId"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return ""


def _recipe(run: Run, times: int, bugs: dict[str, int]) -> list[tuple[str, str]]:
    """(what, topic or member) of all that is to be planted, in the order of the seed."""
    raw = [(kind, topic) for kind in UNREADABLE for topic in READ] * times
    broken = [(BUG, member) for member, count in bugs.items() for _ in range(count)]
    recipe = raw + broken
    run.rng().shuffle(recipe)
    return recipe


async def _plant(poisoner: Poisoner, recipe: Iterable[tuple[str, str]], per_second: float) -> None:
    for kind, where in recipe:
        await (poisoner.bug(where) if kind == BUG else poisoner.unreadable(where, kind))
        await asyncio.sleep(1 / per_second)


async def _short(run: Run, poisoner: Poisoner, findings: Findings) -> None:
    """Everything at once: all bad ones are buried, all good ones completed."""
    recipe = sorted(_recipe(run, 1, dict.fromkeys(BUGS, 1)), key=lambda each: each[0] != BUG)  # they take longest
    good = watched(poisoner.client)
    async with asyncio.TaskGroup() as both:
        both.create_task(_plant(poisoner, recipe, 100.0))
        both.create_task(steadily(good, 40, 40.0))
    findings.expect(good.statuses() == {"completed"}, f"good mutations ended {good.statuses()}")
    await poisoner.buried()


async def _long(run: Run, poisoner: Poisoner, findings: Findings) -> None:
    """Rounds without and with poison take turns, so that what else the machine does falls on both."""
    recipe = _recipe(run, 2, {"fields": 16, "callbackUrl": 4})
    share = len(recipe) // PAIRS
    delays: dict[bool, list[float]] = {False: [], True: []}
    for number in range(PAIRS):
        mine = recipe[number * share : (number + 1) * share]
        for poisoned in (False, True) if number % 2 else (True, False):
            good = watched(poisoner.client)
            async with asyncio.TaskGroup() as both:
                both.create_task(steadily(good, GOOD // PAIRS, PER_SECOND))
                if poisoned:
                    both.create_task(_plant(poisoner, mine, PER_SECOND * share / (GOOD // PAIRS)))
            findings.expect(good.statuses() == {"completed"}, f"good mutations ended {good.statuses()}")
            delays[poisoned] += good.delays()
            await poisoner.buried()  # their last tries fall on no round
    alone, beside = in_ms(delays[False]), in_ms(delays[True])
    findings.figures |= {"good alone (ms)": alone, "good beside poison (ms)": beside, "poison": len(poisoner.planted)}
    rise = beside["p99"] / alone["p99"] - 1
    findings.figures["p99 rises by"] = f"{rise:.1%}"
    findings.expect(rise < RISE, f"p99 of the good ones rises by {rise:.1%}: {alone['p99']} → {beside['p99']} ms")


async def play(run: Run) -> Findings:
    """See the module."""
    findings = Findings()
    env = {"ingest": PATIENT["ingest"] | {"ENGINE_RELAY_SECONDS": "2"}} if run.short else {}
    async with EmbeddedStack(run.directory, broker=run.broker, env=env) as stack, open_client(stack.handle) as client:
        before = stack.handle["processes"]
        async with open_poisoner(client) as poisoner:
            await (_short if run.short else _long)(run, poisoner, findings)
            _judge_letters(poisoner, findings)
            await _judge_ends(poisoner, findings)
            if not run.short:
                await _mended(poisoner, findings)
        _judge_tries(poisoner, run, findings)
        findings.expect(stack.handle["processes"] == before, "a process has been restarted")
    return findings


def _judge_letters(poisoner: Poisoner, findings: Findings) -> None:
    """Raw bytes, where they were, how often they were tried."""
    for planted in poisoner.planted:
        letter = poisoner.letters[planted.identity][0]
        attempts = letter.headers["dlq_attempts"].decode()
        findings.expect(attempts == str(planted.tries), f"{planted.kind}: {attempts} tries, not {planted.tries}")
        findings.expect(letter.origin[0] == planted.topic, f"{planted.kind}: a dead letter of {letter.origin[0]}")
        findings.expect(bool(letter.headers["dlq_reason"]), f"{planted.kind}: no reason")
        if isinstance(planted.identity, tuple):
            findings.expect(letter.value == planted.value, f"{planted.kind}: other bytes")
            count = len(poisoner.letters[planted.identity])
            findings.expect(count == 1, f"{planted.kind}: {count} dead letters")


async def _ended(poisoner: Poisoner, name: str) -> Json:
    document: Json = await poisoner.mutations.find_one({"_id": name})
    assert document["status"] in TERMINAL, document["status"]
    return document


async def _judge_ends(poisoner: Poisoner, findings: Findings) -> None:
    """Commands that are none are rejected; what meets a bug fails in storage; what can't be announced stays owed."""
    live = {"tenant": poisoner.client.tenant}
    sent = {planted.value or b"" for planted in poisoner.planted if planted.topic == COMMANDS}
    rejected = await poisoner.mutations.count_documents(live | {"status": "rejected"})
    findings.expect(rejected == len(sent), f"{rejected} of {len(sent)} commands that are none were rejected")
    for planted in poisoner.planted:
        if not isinstance(planted.identity, str):
            continue
        document = await eventually(partial(_ended, poisoner, planted.identity))  # after its letter
        error, owed = (document["outcome"] or {}).get("error"), document.get("owed")
        if planted.topic == topics.FETCHED:
            findings.expect((error or {}).get("code") == "internal_error", f"{planted.kind}: ended with {error}")
        else:
            findings.expect(
                document["status"] == "completed" and bool(owed), f"{planted.kind}: {document['status']}, {owed}"
            )


async def _mended(poisoner: Poisoner, findings: Findings) -> None:
    """Nothing is lost: once the bug is gone, those are called back, too."""
    mended = {"$set": {"callbackUrl": poisoner.broken.client.callback_url}}
    await poisoner.mutations.update_many({"callbackUrl": BROKEN}, mended)
    try:
        await poisoner.broken.all_ended(LONGEST_PAUSE_SECONDS + 60)
    except AssertionError as error:
        findings.expect(False, f"after the mending {error}")
    findings.expect(poisoner.broken.statuses() == {"failed", "completed"}, f"ended {poisoner.broken.statuses()}")


def _judge_tries(poisoner: Poisoner, run: Run, findings: Findings) -> None:
    """By mutation and by record: how fast one try followed the other."""
    times: dict[Any, list[float]] = defaultdict(list)
    for planted in poisoner.planted:
        if planted.tries == 1:
            times[planted.identity] = [letter.at for letter in poisoner.letters[planted.identity]]
    for line in (run.directory / "logs" / "storage.log").read_text().splitlines():
        if "mutation.failed_try" in line:
            entry = orjson.loads(line)
            times[entry["mutation"]].append(datetime.fromisoformat(entry["timestamp"]).timestamp())
    gaps = [later - earlier for each in times.values() for earlier, later in pairwise(sorted(each))]
    findings.figures["tries a second of one record, at most"] = round(1 / min(gaps), 2)
    findings.expect(min(gaps) > 1 / TRIES_A_SECOND, f"a record was tried again after {min(gaps):.2f} s")
