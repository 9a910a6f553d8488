"""Lists against a real database: one tenant's live documents, newest first, without gap or repetition."""

import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from services.ingest.lists import MongoLists
from shared.ledger import Database, create_indexes, open_client, open_database
from shared.search import search_keys
from tests.stacks import Handle

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ANN, JOB = "acme/candidate/ann", "acme/vacancy/job"


@pytest.fixture
async def database(servers: Handle) -> AsyncIterator[Database]:
    async with open_client(servers["mongodb"]) as client:
        name = f"lists_{uuid.uuid4().hex}"
        await create_indexes(open_database(client, name))
        yield open_database(client, name)
        await client.drop_database(name)


@pytest.fixture
def lists(database: Database) -> MongoLists:
    return MongoLists({"live": database})


def record(name: str, tenant: str = "acme", kind: str = "candidate", **given: Any) -> dict[str, Any]:
    fields = {"firstName": name, "email": f"{name}@Example.test", "phone": "+1 (555) 0100"}
    times = {"createdAt": NOW, "updatedAt": NOW, "version": 1, "sequence": 1}
    own = {"_id": name, "tenant": tenant, "type": kind, "fields": fields, "search": search_keys(fields)}
    return own | times | given


def ids(documents: list[dict[str, Any]]) -> list[str]:
    return [document["_id"] for document in documents]


async def test_pages_go_back_in_time_and_hold_one_tenants_live_records(database: Database, lists: MongoLists) -> None:
    await database.records.insert_many(
        [
            *(record(f"r{n}") for n in range(1, 6)),
            record("r6", tenant="other"),
            record("r7", kind="company"),
            {"_id": "r8", "tenant": "acme", "type": "candidate", "version": 2, "sequence": 2, "removedAt": NOW},
        ]
    )
    first = await lists.records("live", "acme", "candidate", None, 2, None)
    await database.records.insert_one(record("r9"))
    second = await lists.records("live", "acme", "candidate", "r4", 2, None)
    third = await lists.records("live", "acme", "candidate", "r2", 2, None)
    assert [ids(first), ids(second), ids(third)] == [["r5", "r4"], ["r3", "r2"], ["r1"]]
    assert "search" not in first[0]
    assert "tenant" not in first[0]


async def test_only_chosen_fields_leave_the_database(database: Database, lists: MongoLists) -> None:
    await database.records.insert_one(record("r1"))
    [some] = await lists.records("live", "acme", "candidate", None, 2, ["firstName", "tags"])
    assert (some["fields"], some["version"], some["createdAt"]) == ({"firstName": "r1"}, 1, NOW)
    [none] = await lists.records("live", "acme", "candidate", None, 2, [])
    assert not none.get("fields")


async def test_records_are_found_by_their_keys_newest_first(database: Database, lists: MongoLists) -> None:
    gone = {"_id": "b0", "tenant": "acme", "type": "candidate", "removedAt": NOW, "search": ["e:ann@example.test"]}
    strangers = [record("ann", tenant="other", _id="x1"), record("ann", kind="company", _id="x2")]
    await database.records.insert_many([record("ann"), record("bob"), gone, *strangers])
    by_email = await lists.records_by_key("live", "acme", "candidate", "e:ann@example.test", 10)
    by_phone = await lists.records_by_key("live", "acme", "candidate", "p:15550100", 10)
    assert ids(by_email) == ["ann"]
    assert ids(by_phone) == ["bob", "ann"]
    assert ids(await lists.records_by_key("live", "acme", "candidate", "p:15550100", 1)) == ["bob"]


def owner(place: str, removed: datetime | None = None) -> dict[str, Any]:
    return {"record": place, "type": place.split("/")[1], "id": place.split("/")[2], "removedAt": removed}


@pytest.fixture
async def attachments(database: Database) -> None:
    mine = {"tenant": "acme", "type": "CV"}
    await database.attachments.insert_many(
        [
            mine | {"_id": "a1", "owners": [owner(ANN)]},
            mine | {"_id": "a2", "owners": [owner(ANN), owner(JOB)], "type": "OFFER"},
            mine | {"_id": "a3", "owners": [owner(ANN), owner(JOB)]},
            mine | {"_id": "a4", "owners": [owner(ANN, NOW), owner(JOB)], "type": None},
            mine | {"_id": "a5", "owners": [owner(ANN, NOW)], "removedAt": NOW},
            {"_id": "a6", "tenant": "other", "owners": [owner("other/candidate/ann")], "type": "CV"},
        ]
    )


@pytest.mark.usefixtures("attachments")
@pytest.mark.parametrize(
    ("owners", "kind", "found"),
    [
        ([], None, ["a4", "a3", "a2", "a1"]),
        ([], "CV", ["a3", "a1"]),
        ([ANN], None, ["a3", "a2", "a1"]),
        ([JOB], None, ["a4", "a3", "a2"]),
        ([ANN, JOB], None, ["a3", "a2"]),
        ([JOB, ANN], "OFFER", ["a2"]),
        (["acme/candidate/bob"], None, []),
    ],
)
async def test_attachments_are_those_that_all_of_the_owners_have(
    lists: MongoLists, owners: list[str], kind: str | None, found: list[str]
) -> None:
    documents, total = await lists.attachments("live", "acme", owners, kind, 0, 10)
    assert (ids(documents), total) == (found, len(found))


@pytest.mark.usefixtures("attachments")
async def test_every_page_of_attachments_tells_the_same_total(lists: MongoLists) -> None:
    pages = [await lists.attachments("live", "acme", [], None, skip, 3) for skip in (0, 3, 6)]
    assert [(ids(documents), total) for documents, total in pages] == [(["a4", "a3", "a2"], 4), (["a1"], 4), ([], 4)]
    full, total = await lists.attachments("live", "acme", [ANN], None, 0, 3)
    assert (len(full), total) == (3, 3)
