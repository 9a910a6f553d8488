"""The read side against a real database: what is removed, erased or another tenant's is not there."""

import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from services.ingest.reads import MongoReads
from shared.ledger import Database, open_client, open_database
from tests.stacks import Handle

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
PLACE = "acme/candidate/c1"


@pytest.fixture
async def database(servers: Handle) -> AsyncIterator[Database]:
    async with open_client(servers["mongodb"]) as client:
        name = f"reads_{uuid.uuid4().hex}"
        yield open_database(client, name)
        await client.drop_database(name)


@pytest.fixture
def reads(database: Database) -> MongoReads:
    return MongoReads({"live": database})


def owner(removed: datetime | None = None, record: str = PLACE) -> dict[str, Any]:
    return {"record": record, "type": "candidate", "id": record.rpartition("/")[2], "removedAt": removed}


async def test_erased_and_foreign_candidates_are_not_there(database: Database, reads: MongoReads) -> None:
    record = {"tenant": "acme", "type": "candidate", "fields": {"firstName": "Ann"}, "version": 1, "sequence": 1}
    await database.records.insert_many([record | {"_id": "c1"}, record | {"_id": "c2", "removedAt": NOW}])
    found = await reads.record("live", "acme", "candidate", "c1")
    assert found is not None
    assert found["fields"] == {"firstName": "Ann"}
    assert await reads.record("live", "acme", "candidate", "c2") is None
    assert await reads.record("live", "other", "candidate", "c1") is None


async def test_only_live_attachments_that_the_record_still_owns_are_listed(
    database: Database, reads: MongoReads
) -> None:
    document = {"tenant": "acme", "filename": "a.pdf"}
    await database.attachments.insert_many(
        [
            document | {"_id": "a2", "owners": [owner()]},
            document | {"_id": "a1", "owners": [owner(), owner(record="acme/vacancy/v1")]},
            document | {"_id": "a3", "owners": [owner(removed=NOW), owner(record="acme/vacancy/v1")]},
            {"_id": "a4", "tenant": "acme", "owners": [owner(removed=NOW)], "removedAt": NOW},
        ]
    )
    assert [one["_id"] for one in await reads.attachments("live", PLACE)] == ["a1", "a2"]
    assert await reads.attachment("live", "acme", "a3") is not None
    assert await reads.attachment("live", "acme", "a4") is None
    assert await reads.attachment("live", "other", "a1") is None


async def test_key_of_an_open_mutation_is_found_by_its_file(database: Database, reads: MongoReads) -> None:
    mutation = {"tenant": "acme", "status": "accepted", "fileIds": ["f1", "f2"]}
    ended = mutation | {"_id": "m2", "key": "k2", "fileIds": ["f3"], "status": "failed"}
    await database.mutations.insert_many([mutation | {"_id": "m1", "key": "k1"}, ended])
    assert await reads.pending_key("live", "acme", "f2") == "k1"
    assert await reads.pending_key("live", "acme", "f3") is None
    assert await reads.pending_key("live", "other", "f2") is None


async def test_deliveries_come_with_their_attempts_in_order(database: Database, reads: MongoReads) -> None:
    await database.deliveries.insert_one({"_id": "m1", "tenant": "acme", "status": "pending", "attempt": 2})
    attempts = [{"_id": "b", "delivery": "m1", "n": 2}, {"_id": "a", "delivery": "m1", "n": 1}]
    await database.attempts.insert_many([*attempts, {"_id": "c", "delivery": "x", "n": 1}])
    found = await reads.deliveries("live", "acme", ["m1", "m2"])
    assert list(found) == ["m1"]
    assert [attempt["n"] for attempt in found["m1"]["attempts"]] == [1, 2]
    assert await reads.deliveries("live", "other", ["m1"]) == {}
