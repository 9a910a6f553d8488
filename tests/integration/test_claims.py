"""Claiming keys and sequences by one insert, against a real database and from several processes' point of view."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from pymongo import AsyncMongoClient
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from services.ingest.inserts import GroupedInserts, Inserted
from services.ingest.keeps import MongoKeeps
from services.ingest.ledger import MongoLedger
from services.ingest.mongo_uploads import MongoUploads
from services.storage.uploads import MongoUploads as StoredUploads
from shared.errors import DependencyUnavailable
from shared.ledger import databases, open_client
from shared.outbox import accepted_event
from tests.factories import by_url, inline, mutation, new_id
from tests.torture.proxy import Mode, Proxy


@pytest_asyncio.fixture
async def gateways(servers: dict[str, Any]) -> AsyncIterator[list[MongoLedger]]:
    clients = [open_client(servers["mongodb"]) for _ in range(3)]
    yield [MongoLedger(client, 10.0) for client in clients]
    for client in clients:
        await client.close()


@pytest_asyncio.fixture
async def live(servers: dict[str, Any]) -> AsyncIterator[Any]:
    client = open_client(servers["mongodb"])
    yield databases(client)["live"]
    await client.close()


def unplaced(kind: str, record: str, **given: Any) -> tuple[Any, list[str]]:
    document = mutation(kind, record, **given)
    del document["places"]
    return document, [f"demo/candidate/{record}"]


async def test_one_key_claimed_by_many_at_once_has_one_holder(gateways: list[MongoLedger], live: Any) -> None:
    key = new_id()
    claims = [unplaced("create", new_id(), key=key) for _ in range(30)]

    held = await asyncio.gather(*(gateways[n % 3].claim("live", *claim) for n, claim in enumerate(claims)))

    assert len({document["_id"] for document in held}) == 1
    assert await live.mutations.count_documents({"key": key}) == 1


async def test_a_document_that_can_not_be_stored_fails_alone(live: Any) -> None:
    inserts = GroupedInserts(live.mutations, 5.0)
    good = [mutation("create", new_id()) for _ in range(4)]
    bad = mutation("create", new_id()) | {"tries": 2**64}

    done = await asyncio.gather(*map(inserts.insert, [good[0], good[1], bad, good[2], good[3]]), return_exceptions=True)

    assert [type(each) for each in done] == [Inserted, Inserted, OverflowError, Inserted, Inserted]
    assert await live.mutations.count_documents({"_id": {"$in": [each["_id"] for each in good]}}) == 4


async def test_sequences_of_one_record_have_no_gap_and_no_double(gateways: list[MongoLedger], live: Any) -> None:
    record = new_id()
    claims = [unplaced("create", record)] + [unplaced("append", record) for _ in range(29)]
    await gateways[0].claim("live", *claims[0])

    await asyncio.gather(*(gateways[n % 3].claim("live", *claim) for n, claim in enumerate(claims[1:])))

    found = await live.mutations.find({"places.record": f"demo/candidate/{record}"}).to_list()
    assert sorted(document["places"][0]["sequence"] for document in found) == list(range(1, 31))


async def test_the_next_sequence_is_above_the_records_own_when_the_ledger_has_forgotten(
    gateways: list[MongoLedger], live: Any
) -> None:
    record = new_id()
    await live.records.insert_one({"_id": record, "tenant": "demo", "type": "candidate", "sequence": 41, "version": 40})

    document = await gateways[0].claim("live", *unplaced("append", record))

    assert document["places"] == [{"record": f"demo/candidate/{record}", "sequence": 42}]


async def test_a_place_that_ended_before_its_record_was_there_is_not_given_again(
    gateways: list[MongoLedger], live: Any
) -> None:
    record = new_id()
    await live.mutations.insert_one(mutation("append", record, sequence=2, status="failed"))
    await live.records.insert_one({"_id": record, "tenant": "demo", "type": "candidate", "sequence": 1, "version": 1})

    document = await gateways[0].claim("live", *unplaced("append", record))

    assert document["places"] == [{"record": f"demo/candidate/{record}", "sequence": 3}]


async def test_an_array_is_accepted_whole_or_not_at_all(gateways: list[MongoLedger], live: Any) -> None:
    key = new_id()
    first, second = _array(key), _array(key)

    heads = await asyncio.gather(gateways[0].claim_array("live", *first), gateways[1].claim_array("live", *second))

    assert heads[0]["_id"] == heads[1]["_id"]
    members = await live.mutations.count_documents({"key": {"$regex": f"^{key}#"}})
    assert members == 3


async def test_a_record_is_known_from_its_open_create_on_and_to_its_tenant_only(gateways: list[MongoLedger]) -> None:
    record = new_id()
    await gateways[0].claim("live", *unplaced("create", record))

    assert await gateways[1].record_known("live", "demo", "candidate", record)
    assert not await gateways[1].record_known("live", "other", "candidate", record)
    assert not await gateways[1].record_known("sandbox", "demo", "candidate", record)


async def test_what_is_read_of_a_mutation_holds_none_of_its_payload(gateways: list[MongoLedger], live: Any) -> None:
    note, link = new_id(), new_id()
    document = mutation(
        fields={"note": "a secret"},
        changes={"set": {"note": "a secret"}, "clear": []},
        decision={"record": {"fields": {"note": "a secret"}}},
        parked={"files": {}, "failure": "a secret"},
        files={note: inline(b"a secret"), link: by_url("photo.png")},
        fileIds=[note, link],
        callbackUrl="https://hooks.test/one",
    )
    await live.mutations.insert_one(document)

    held = cast(Any, await gateways[0].find("live", "demo", document["key"]))
    assert await gateways[1].members("live", [document["_id"]]) == [held]
    assert "a secret" not in repr(held)
    assert inline(b"a secret")["data"].decode() not in repr(held)
    # What views show, a replay answers, and the relay publishes when it is found to be ours.
    assert {name: (each["field"], each["filename"]) for name, each in held["files"].items()} == {
        note: ("otherAttachments", "note.txt"), link: ("otherAttachments", "photo.png"),
    }  # fmt: skip
    assert accepted_event("live", held) == accepted_event("live", await live.mutations.find_one({"_id": held["_id"]}))
    same = ("_id", "tenant", "key", "fingerprint", "kind", "record", "fileIds", "callbackUrl", "status", "traceparent")
    assert {name: held[name] for name in same} == {name: document[name] for name in same}


async def test_the_same_sequence_is_free_in_another_place_pair(live: Any) -> None:
    """After `[(a,1),(b,5)]`, `(a,5)` is free and `(b,5)` is not: the unique index is over the whole element."""
    a, b = new_id(), new_id()
    both = [{"record": a, "sequence": 1}, {"record": b, "sequence": 5}]
    await live.mutations.insert_one(mutation(places=both))
    await live.mutations.insert_one(mutation(places=[{"record": a, "sequence": 5}]))

    with pytest.raises(Exception, match="E11000"):
        await live.mutations.insert_one(mutation(places=[{"record": b, "sequence": 5}]))


async def test_one_claim_takes_the_next_sequence_in_each_of_several_records(
    gateways: list[MongoLedger], live: Any
) -> None:
    candidate, company = new_id(), new_id()
    names = [f"demo/candidate/{candidate}", f"demo/company/{company}"]
    await gateways[0].claim("live", *unplaced("create", candidate))
    await live.records.insert_one({"_id": company, "tenant": "demo", "type": "company", "sequence": 7, "version": 7})

    both = [(unplaced("assign", candidate)[0], names[:: 1 if n % 2 else -1]) for n in range(12)]
    held = await asyncio.gather(*(gateways[n % 3].claim("live", *claim) for n, claim in enumerate(both)))

    assert [[place["record"] for place in each["places"]] for each in held] == [claim[1] for claim in both]
    taken = {name: sorted(place["sequence"] for each in held for place in each["places"] if place["record"] == name)
             for name in names}  # fmt: skip
    assert taken == {names[0]: list(range(2, 14)), names[1]: list(range(8, 20))}


async def test_a_record_of_another_tenant_tells_nothing_by_its_sequence(gateways: list[MongoLedger], live: Any) -> None:
    record = new_id()
    await live.records.insert_one({"_id": record, "tenant": "other", "type": "candidate", "sequence": 41})

    document = await gateways[0].claim("live", *unplaced("append", record))

    assert document["places"] == [{"record": f"demo/candidate/{record}", "sequence": 1}]


async def test_version_is_told_to_its_tenant_until_the_record_is_erased(gateways: list[MongoLedger], live: Any) -> None:
    record = new_id()
    await live.records.insert_one({"_id": record, "tenant": "demo", "type": "company", "sequence": 9, "version": 7})

    assert await gateways[0].record_version("live", "demo", "company", record) == 7
    for environment, tenant, record_type in (
        ("sandbox", "demo", "company"), ("live", "other", "company"), ("live", "demo", "vacancy"),
    ):  # fmt: skip
        assert await gateways[0].record_version(environment, tenant, record_type, record) is None
    await live.records.update_one({"_id": record}, {"$set": {"removedAt": datetime.now(UTC)}})
    assert await gateways[0].record_version("live", "demo", "company", record) is None


async def test_free_uploads_are_kept_and_those_taken_ended_expired_or_foreign_are_not(live: Any) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    soon, until = now + timedelta(hours=1), now + timedelta(hours=25)
    free = {
        "tenant": "demo",
        "key": "staging/live/uploads/x/y",
        "createdAt": now,
        "expiresAt": soon,
        "keepUntil": None,
        "claimedBy": None,
    }
    changed: dict[str, dict[str, Any]] = {
        "free": {},
        "kept longer": {"keepUntil": now + timedelta(hours=30)},
        "kept though expired": {"expiresAt": now - timedelta(hours=1), "keepUntil": soon},
        "near its end": {"createdAt": now - timedelta(hours=70)},
        "expired": {"expiresAt": now - timedelta(hours=1)},
        "taken": {"claimedBy": new_id()},
        "ended": {"endedAt": now},
        "foreign": {"tenant": "other"},
    }
    uploads = {name: free | change | {"_id": new_id()} for name, change in changed.items()}
    await live.uploads.insert_many(list(uploads.values()))

    ids = [str(upload["_id"]) for upload in uploads.values()]
    await MongoKeeps({"live": live}).keep("live", "demo", [*ids, new_id()], until)

    found = {each["_id"]: each["keepUntil"] async for each in live.uploads.find({"_id": {"$in": ids}})}
    kept = {"free": until, "kept longer": now + timedelta(hours=30), "kept though expired": until,
            "near its end": now + timedelta(hours=2)}  # fmt: skip
    assert {name: found[upload["_id"]] for name, upload in uploads.items()} == dict.fromkeys(changed) | kept


class Filters(CommandListener):
    """Remembers the filters of what is asked of the collection of uploads."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []

    def started(self, event: CommandStartedEvent) -> None:
        asked = event.command
        if asked.get(event.command_name) == "uploads":
            self.seen += [each["q"] for each in asked.get("updates", [])]
            self.seen += [asked["filter"]] if "filter" in asked else []
            self.seen += [asked["pipeline"][0]["$match"]] if "pipeline" in asked else []

    def succeeded(self, event: CommandSucceededEvent) -> None: ...

    def failed(self, event: CommandFailedEvent) -> None: ...


async def test_an_upload_is_found_by_its_id_not_by_reading_all(servers: dict[str, Any]) -> None:
    filters, upload = Filters(), new_id()
    client: Any = AsyncMongoClient(servers["mongodb"], tz_aware=True, event_listeners=[filters])
    now = datetime.now(UTC)
    assign = mutation("assign", new_id()) | {"files": {upload: {"upload": True}}}

    await MongoKeeps(databases(client)).keep("live", "demo", [upload], now)
    await StoredUploads(client).claim("live", [assign])
    await MongoUploads(databases(client)).find("live", "demo", upload, now)

    # SecantusDB plans no filter with an operator beside the fields: it reads the whole collection.
    assert [("_id" in each, [name for name in each if name.startswith("$")]) for each in filters.seen] == [
        (True, [])
    ] * 4
    await client.close()


async def test_an_array_whose_time_is_over_leaves_no_open_transaction(servers: dict[str, Any]) -> None:
    client = open_client(servers["mongodb"])
    hasty, patient, key = MongoLedger(client, 0.05), MongoLedger(client, 10.0), new_id()
    await hasty.find("live", "demo", key)  # it is connected: the array arrives

    with pytest.raises(DependencyUnavailable):
        await hasty.claim_array("live", *_array(key, 2000))

    # One of its own keys and another document: the server would keep both waiting until the transaction expires.
    head, _ = _array(key)
    assert (await patient.claim_array("live", *_array(key)))["key"] == head["key"]
    await patient.claim("live", *unplaced("create", new_id()))
    await client.close()


def _array(key: str, size: int = 3) -> tuple[Any, list[Any]]:
    members = [unplaced("create", new_id(), key=f"{key}#{n + 1}")[0] for n in range(size)]
    head = {"_id": new_id(), "tenant": "demo", "key": key, "status": "batch", "members": [m["_id"] for m in members]}
    return head, members


async def test_claims_that_wait_for_an_absent_database_fail_together(
    servers: dict[str, Any], gateways: list[MongoLedger]
) -> None:
    seconds = 1.0
    async with Proxy("127.0.0.1", urlsplit(servers["mongodb"]).port or 27017) as proxy:
        client = open_client(f"mongodb://127.0.0.1:{proxy.port}/?directConnection=true", seconds)
        gateway, record = MongoLedger(client, seconds), new_id()
        await gateways[0].claim("live", *unplaced("create", record))
        await gateway.find("live", "demo", record)  # it is connected
        await proxy.switch(Mode.SILENT)
        clock = asyncio.get_running_loop().time
        began = clock()
        creates = [unplaced("create", new_id()) for _ in range(100)]  # more than one group
        appends = [unplaced("append", record) for _ in range(10)]
        claims = (gateway.claim("live", *claim) for claim in creates + appends)

        ended = await asyncio.gather(*claims, return_exceptions=True)

        assert {type(each) for each in ended} == {DependencyUnavailable}
        assert clock() - began < len(appends) * seconds, "one after the other"
        await client.close()


async def test_statuses_of_many_come_in_one_answer(gateways: list[MongoLedger], live: Any) -> None:
    documents = [mutation(status=("accepted", "completed")[n % 2]) for n in range(500)]
    await live.mutations.insert_many(documents)
    absent = new_id()

    found = await gateways[0].statuses("live", [*(each["_id"] for each in documents), absent])

    assert found == {each["_id"]: each["status"] for each in documents}
    assert await gateways[0].statuses("sandbox", list(found)) == {}
