"""Erasure against a real database: what is gone, what stays, and that a kill at any step changes neither."""

import base64
import hashlib
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from pymongo import AsyncMongoClient
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from services.storage.ledger import MongoLedger
from services.storage.traces import MongoTraces
from services.storage.work import of_event
from shared.errors import DependencyUnavailable
from shared.events import StagedObject
from shared.ledger import Client
from tests.factories import TEXT, assign, by_url, fetched, inline, mutation, new_id, upload
from tests.fakes import Mortal
from tests.storage_house import House, open_house

AT_ONCE = timedelta(seconds=-1)
MOST = 500  # the embedded server changes about 400 documents a second; ten seconds are its time


class WriteSizes(CommandListener):
    """How many documents each write changed or named, the larger of both."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def started(self, event: CommandStartedEvent) -> None:
        self.seen.append(max(len(event.command.get(name, ())) for name in ("ops", "updates")))

    def succeeded(self, event: CommandSucceededEvent) -> None:
        self.seen.append(event.reply.get("nModified", 0))

    def failed(self, event: CommandFailedEvent) -> None:
        raise AssertionError(event.failure)


@pytest_asyncio.fixture
async def house(servers: dict[str, Any]) -> AsyncIterator[House]:
    async with open_house(servers["mongodb"]) as opened:
        yield opened


class Person:
    """A record whose every part holds one word, and the mutations that brought it."""

    def __init__(self, house: House) -> None:
        self.house, self.word = house, f"canary{new_id().replace('-', '')}"
        self.id, self.place = "", ""
        self.behind: list[dict[str, Any]] = []

    @property
    def content(self) -> bytes:
        return f"{self.word} {self.word}\n".encode()

    @property
    def callback(self) -> str:
        return f"https://hooks.test/{self.word}"

    def file(self) -> dict[str, Any]:
        return inline(self.content, f"{self.word}.txt")

    async def traces(self) -> list[str]:
        """Where the word is found: collections and keys."""
        names = await self.house.database.list_collection_names()
        words = [self.word, base64.b64encode(self.content).decode()[:20]]
        found = [
            f"{name} {document['_id']}"
            for name in names
            async for document in self.house.database[name].find({})
            if any(word in repr(document) for word in words)
        ]
        stored = self.house.blobs.objects.items()
        return found + [key for key, (content, *_) in stored if self.word.encode() in content]

    async def live(self) -> None:
        """Everything that a record can have, delivered and settled; then what waits behind."""
        name, late = new_id(), new_id()
        created = mutation(
            fields={"firstName": self.word, "email": f"{self.word}@example.com"},
            files={name: self.file()},
            fileIds=[name],
        )
        self.id, self.place = created["record"]["id"], f"demo/candidate/{created['record']['id']}"
        await self.house.work_off(created)
        appended = mutation("append", self.id, 2, callbackUrl=self.callback)
        appended |= {"files": {late: by_url(f"{self.word}.txt") | {"url": self.callback}}, "fileIds": [late]}
        await self._fetch(appended, late)
        await self.house.work_off(mutation("update", self.id, 3, changes={"set": {"lastName": self.word}, "clear": []}))
        await self._assign()
        await self.house.work_off(mutation("remove", self.id, 5, remove=[name]))
        await self._tell_callbacks(created, appended)
        await self.house.blobs.put(f"staging/live/{appended['_id']}/{late}-left", self.content, len(self.content))
        await self.house.blobs.put(f"records/live/demo/{late}/of-a-killed-worker", self.content, len(self.content))
        self.behind = [
            mutation("append", self.id, 7, files={n: self.file()}, fileIds=[n], callbackUrl="https://hooks.test/in")
            for n in [new_id()]
        ]
        self.behind.append(mutation("update", self.id, 8, changes={"set": {"lastName": self.word}, "clear": []}))

    async def _fetch(self, appended: dict[str, Any], name: str) -> None:
        staged = StagedObject(
            key=f"staging/live/{appended['_id']}/{name}-a",
            size=len(self.content),
            sha256=hashlib.sha256(self.content).hexdigest(),
            content_type="text/plain",
        )
        await self.house.blobs.put(staged.key, self.content, staged.size)
        await self.house.insert(appended)
        await self.house.handler.handle([fetched(appended, **{name: staged})])

    async def _assign(self) -> None:
        document = upload(new_id(), self.content, f"{self.word}.txt")
        await self.house.database.uploads.insert_one(document)
        await self.house.blobs.put(document["key"], self.content, len(self.content))
        await self.house.work_off(assign({self.id: 4}, document["_id"]))

    async def _tell_callbacks(self, created: dict[str, Any], appended: dict[str, Any]) -> None:
        """As the notifier leaves them: one delivered, one exhausted."""
        database = self.house.database
        settled = {"$unset": {"owed": "", "lane": "", "callbackUrl": ""}}
        await database.mutations.update_many({"places.record": self.place}, settled)
        for each, status, url in ((created, "delivered", None), (appended, "exhausted", self.callback)):
            await database.deliveries.insert_one({"_id": each["_id"], "status": status, "url": url})
            await database.attempts.insert_one({"_id": new_id(), "delivery": each["_id"], "answer": self.word})

    def erase(self, **given: Any) -> dict[str, Any]:
        return mutation("erase", self.id, 6, **given)


@pytest_asyncio.fixture
async def person(house: House) -> Person:
    person = Person(house)
    await person.live()
    return person


async def test_after_an_erasure_nothing_personal_is_found_anywhere(house: House, person: Person) -> None:
    erase = person.erase()
    await house.insert(erase, *person.behind)
    by_fetcher = StagedObject(
        key=f"staging/live/{person.behind[0]['_id']}/a", size=1, sha256="0", content_type=person.word
    )
    await house.blobs.put(by_fetcher.key, person.content, 1)
    early = [fetched(person.behind[0], **{new_id(): by_fetcher}), fetched(person.behind[1])]
    await house.handler.handle(early)  # parked
    assert len(await person.traces()) >= 10

    await house.handler.handle([fetched(erase)])

    assert await person.traces() == []
    assert (await house.outcome(erase))["status"] == "completed"
    for each in person.behind:
        outcome = await house.outcome(each)
        assert (outcome["error"]["code"], outcome["record"]["version"]) == ("record_erased", 6)


async def test_an_erasure_keeps_ids_times_and_outcomes_and_tells_what_it_removed(house: House, person: Person) -> None:
    mutations = await house.database.mutations.find({"places.record": person.place}).sort("_id", 1).to_list()
    erase = person.erase()

    outcome = await house.work_off(erase)

    # Two attachments were left, and one object was staged.
    assert outcome["removed"] == {"attachments": 2, "objects": 3, "bytes": 3 * len(person.content)}
    kept = await house.database.records.find_one({"_id": person.id})
    assert kept.keys() == {"_id", "tenant", "type", "version", "sequence", "createdAt", "removedAt"}
    assert (kept["version"], kept["sequence"]) == (6, 6)
    for before in mutations:
        after = await house.database.mutations.find_one({"_id": before["_id"]})
        for part in ("key", "fingerprint", "kind", "status", "places", "createdAt", "endedAt", "fileIds"):
            assert after.get(part) == before.get(part)
        assert after["files"].keys() == before["files"].keys()
        told = [(each["id"], each["status"], each["size"]) for each in before["outcome"]["attachments"]]
        assert [(each["id"], each["status"], each["size"]) for each in after["outcome"]["attachments"]] == told
    async for tombstone in house.database.attachments.find({"owners.record": person.place}):
        assert tombstone["removedAt"]


async def test_a_callback_that_is_still_to_come_keeps_its_url_and_loses_its_names(house: House, person: Person) -> None:
    behind, deliveries = person.behind[0], house.database.deliveries
    pending = {"_id": new_id(), "status": "pending", "url": "https://hooks.test/in"}
    [ended] = await house.database.mutations.find({"places.record": person.place, "kind": "update"}).to_list()
    await deliveries.insert_one(pending | {"_id": ended["_id"]})
    await house.insert(behind)

    await house.work_off(person.erase(callbackUrl="https://hooks.test/in"))
    await house.handler.handle([fetched(behind)])

    assert (await deliveries.find_one({"_id": ended["_id"]}))["url"] == "https://hooks.test/in"
    kept = await house.database.mutations.find_one({"_id": behind["_id"]})
    assert (kept["owed"], kept["callbackUrl"]) == (True, "https://hooks.test/in")
    assert [each["filename"] for each in kept["outcome"]["attachments"]] == [None]
    assert (await house.database.mutations.find_one({"kind": "erase", "record.id": person.id}))["callbackUrl"]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("part", ["ledger", "traces", "blobs"])
async def test_an_erasure_killed_at_any_step_is_completed_by_whoever_comes_next(
    house: House, part: str, after: bool
) -> None:
    died, done = 0, False
    while not done:
        person = Person(house)
        await person.live()
        erase = person.erase()
        await house.insert(erase, *person.behind)
        mortal = Mortal(getattr(house, part), died + 1, after)
        try:
            await house.over(**{part: mortal}).handle([fetched(erase)])
            done = True
        except DependencyUnavailable:
            died += 1
            await house.handler.handle([fetched(erase)])
        await house.handler.handle([fetched(each) for each in person.behind])
        outcome = await house.outcome(erase)
        assert outcome["status"] == "completed"
        assert outcome["removed"]["attachments"] == 2
        assert await person.traces() == []
        assert house.blobs.objects == {}
    assert died >= {"ledger": 6, "traces": 3, "blobs": 2}[part]


async def test_an_erasure_of_much_asks_for_as_little_at_once_as_the_database_does_in_its_time(
    house: House, servers: dict[str, Any]
) -> None:
    record = str((await _created(house))["record"]["id"])
    place, names = f"demo/candidate/{record}", [new_id() for _ in range(2 * MOST)]
    owners = [{"record": place, "type": "candidate", "id": record, "removedAt": None}]
    stored = {"tenant": "demo", "filename": "x.txt", "size": 1, "owners": owners}
    keys = {name: f"records/live/demo/{name}/x" for name in names}
    await house.database.attachments.insert_many([{"_id": n, "key": keys[n]} | stored for n in names])
    over = {"status": "completed", "outcome": {"attachments": [{"filename": "x.txt"}]}}
    await house.insert(*(mutation("append", record, n + 2, **over) for n in range(len(names))))
    sizes = WriteSizes()
    client: Client = AsyncMongoClient(servers["mongodb"], tz_aware=True, event_listeners=[sizes])
    erase = mutation("erase", record, len(names) + 2)
    await house.insert(erase)

    await house.over(ledger=MongoLedger(client), traces=MongoTraces(client)).handle([fetched(erase)])
    await MongoTraces(client).disown("live", place, names)

    assert (await house.outcome(erase))["removed"]["attachments"] == len(names)
    assert await house.database.attachments.count_documents({"owners.record": place, "removedAt": None}) == 0
    assert await house.database.mutations.count_documents({"places.record": place, "scrubbedAt": None}) == 0
    assert 1 < max(sizes.seen) <= MOST
    await client.close()


async def test_what_another_record_owns_as_well_stays_with_it(house: House) -> None:
    records = [str((await _created(house))["record"]["id"]) for _ in range(2)]
    name = new_id()
    await house.database.uploads.insert_one(upload(name))
    await house.blobs.put(upload(name)["key"], TEXT, len(TEXT))
    await house.work_off(assign(dict.fromkeys(records, 2), name))

    first = await house.work_off(mutation("erase", records[0], 3))

    assert first["removed"] == {"attachments": 1, "objects": 0, "bytes": 0}
    assert (await house.attachment(name))["filename"] == "plan.txt"
    assert len(house.blobs.objects) == 1

    second = await house.work_off(mutation("erase", records[1], 3))

    assert second["removed"] == {"attachments": 1, "objects": 1, "bytes": len(TEXT)}
    assert house.blobs.objects == {}


async def test_an_erasure_leaves_other_records_alone(house: House, person: Person) -> None:
    other = Person(house)
    await other.live()
    before = await other.traces()

    await house.work_off(person.erase())

    assert await other.traces() == before


async def test_a_second_erasure_finds_the_record_erased(house: House, person: Person) -> None:
    await house.work_off(person.erase())

    outcome = await house.work_off(mutation("erase", person.id, 7))

    assert outcome["error"]["code"] == "record_erased"


async def test_an_erasure_of_what_never_came_to_be_forgets_what_was_sent_for_it(house: House) -> None:
    person, name = Person(house), new_id()
    file = by_url(f"{person.word}.txt") | {"url": person.callback}
    created = mutation(fields={"firstName": person.word}, files={name: file}, fileIds=[name])
    await house.insert(created)
    await house.handler.end("live", [created["_id"]], "internal_error")
    assert await person.traces() == [f"mutations {created['_id']}"]

    outcome = await house.work_off(mutation("erase", created["record"]["id"], 2))

    assert outcome["error"]["code"] == "record_not_found"
    assert await person.traces() == []


async def test_an_erasure_of_another_version_touches_nothing(house: House, person: Person) -> None:
    before = await person.traces()

    outcome = await house.work_off(person.erase(expectedVersion=4))

    assert outcome["error"]["code"] == "version_conflict"
    assert await person.traces() == before


async def test_an_ending_that_was_under_way_is_scrubbed_by_the_second_pass(house: House, person: Person) -> None:
    behind = person.behind[0]
    await house.insert(behind)
    slow = (await house.ledger.read("live", [behind["_id"]]))[behind["_id"]]
    await house.work_off(person.erase())
    # The deadline's worker read the mutation before it was scrubbed, and writes after it.
    made = (await house.decider.make("live", [of_event(slow, fetched(slow))]))[behind["_id"]]
    made.outcome["attachments"][0]["filename"] = f"{person.word}.txt"
    await house.ledger.decide("live", {behind["_id"]: made})
    await house.ledger.finish("live", [(slow, made)])
    await house.blobs.put(f"staging/live/{behind['_id']}/late", person.content, len(person.content))
    assert len(await person.traces()) == 2

    await house.erasure.repeat("live", timedelta(hours=1))
    assert len(await person.traces()) == 2
    await house.erasure.repeat("live", AT_ONCE)

    assert await person.traces() == []
    assert await house.database.erasures.count_documents({"place": person.place}) == 0


async def test_a_mutation_that_comes_late_for_an_erased_record_keeps_nothing(house: House, person: Person) -> None:
    await house.work_off(person.erase())
    late, overdue = (person.behind[0], mutation("append", person.id, 8, files={new_id(): person.file()}))
    await house.insert(late, overdue)

    await house.handler.end("live", [overdue["_id"]], "deadline_exceeded")
    await house.handler.handle([fetched(late)])

    assert (await house.outcome(overdue))["error"]["code"] == "deadline_exceeded"
    assert await person.traces() == []


async def test_a_late_apply_brings_nothing_of_an_erased_record_back(house: House, person: Person) -> None:
    change = mutation("update", person.id, 6, changes={"set": {"lastName": person.word}, "clear": []})
    name = new_id()
    appended = mutation("append", person.id, 7, files={name: person.file()}, fileIds=[name])
    decided = []
    for each in (change, appended):
        await house.insert(each)
        made = (await house.decider.make("live", [of_event(each, fetched(each))]))[each["_id"]]
        await house.ledger.decide("live", {each["_id"]: made})
        await house.handler.handle([fetched(each)])
        decided.append((each, made))
    await house.work_off(mutation("erase", person.id, 8))

    await house.ledger.finish("live", decided)

    assert await person.traces() == []


async def _created(house: House) -> dict[str, Any]:
    created = mutation()
    await house.work_off(created)
    return created
