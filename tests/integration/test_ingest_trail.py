"""Operators find a mutation by any of its ids, and nothing of it takes a scan."""

import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from services.ingest.rejections import NO_KEY
from services.ingest.trail import FOUND, MongoTrail
from shared.ledger import BATCH, REJECTED, Database, create_indexes, open_client, open_database
from tests.factories import mutation, new_id
from tests.stacks import Handle


@pytest.fixture
async def databases(servers: Handle) -> AsyncIterator[dict[str, Database]]:
    async with open_client(servers["mongodb"]) as client:
        names = {each: f"trail_{each}_{uuid.uuid4().hex}" for each in ("live", "sandbox", "control")}
        opened = {each: open_database(client, name) for each, name in names.items()}
        for each in ("live", "sandbox"):
            await create_indexes(opened[each])
        await opened["control"].tenants.insert_many([{"_id": "demo"}, {"_id": "other"}])
        yield opened
        for name in names.values():
            await client.drop_database(name)


@pytest.fixture
def trail(databases: dict[str, Database]) -> MongoTrail:
    return MongoTrail({each: databases[each] for each in ("live", "sandbox")}, databases["control"])


async def found(trail: MongoTrail, sought: str) -> list[tuple[str, str]]:
    return [(environment, each["_id"]) for environment, each in await trail.search(sought)]


@pytest.mark.parametrize("environment", ["live", "sandbox"])
async def test_every_id_of_a_mutation_finds_it(
    databases: dict[str, Database], trail: MongoTrail, environment: str
) -> None:
    file = new_id()
    sent = mutation("create", key="key-1", fileIds=[file], files={file: {"filename": "a", "data": b"eA=="}})
    await databases[environment].mutations.insert_many([sent, mutation("create")])
    for sought in (sent["_id"], sent["_id"].upper(), "key-1", file, sent["record"]["id"], f"msg_{sent['_id']}"):
        assert await found(trail, sought) == [(environment, sent["_id"])], sought
    for sought in ("key", new_id(), "msg_", "msg_key-1", "$ne", "%"):
        assert await found(trail, sought) == []
    whole = await trail.mutation(environment, sent["_id"])
    assert whole is not None
    assert "fields" not in whole
    assert whole["files"] == {file: {"filename": "a"}}


async def test_a_record_finds_all_its_mutations_newest_first(databases: dict[str, Database], trail: MongoTrail) -> None:
    record = new_id()
    sent = [mutation("append", record, n) for n in range(1, FOUND + 3)]
    for n, each in enumerate(sent):
        each["createdAt"] += timedelta(seconds=n)
    await databases["live"].mutations.insert_many(sent)
    newest = [("live", each["_id"]) for each in reversed(sent)][:FOUND]
    assert await found(trail, record) == newest
    await databases["live"].records.insert_one({"_id": record, "tenant": "demo", "type": "candidate"})
    assert await found(trail, record) == newest


async def test_an_array_is_found_as_its_members_and_a_rejection_by_its_id(
    databases: dict[str, Database], trail: MongoTrail
) -> None:
    members = [mutation("create", key=f"array#{n}") for n in (1, 2)]
    head: dict[str, Any] = {"_id": new_id(), "tenant": "demo", "key": "array", "status": BATCH, "kind": "create"}
    head |= {"members": [each["_id"] for each in members], "createdAt": members[0]["createdAt"]}
    rejected = f"rej-{'a' * 64}"
    refused = {"_id": rejected, "tenant": "demo", "key": NO_KEY + rejected, "status": REJECTED}
    await databases["live"].mutations.insert_many([*members, head, refused | {"createdAt": head["createdAt"]}])
    for sought in ("array", head["_id"]):
        assert set(await found(trail, sought)) == {("live", each["_id"]) for each in members}
    assert await found(trail, "array#2") == [("live", members[1]["_id"])]
    assert await found(trail, rejected) == [("live", rejected)]


async def test_a_parked_mutation_names_the_one_that_it_waits_for(
    databases: dict[str, Database], trail: MongoTrail
) -> None:
    record = new_id()
    first, second, third = (mutation("append", record, n) for n in (1, 2, 3))
    await databases["live"].mutations.insert_many([first, second, third])
    assert await trail.behind("live", third) == first["_id"]
    assert await trail.behind("live", first) is None


async def test_every_question_is_answered_from_an_index(databases: dict[str, Database], trail: MongoTrail) -> None:
    """What a search asks, one by one, as the server plans it."""
    await databases["live"].mutations.insert_many([mutation("create", fileIds=[new_id()]) for _ in range(200)])
    place = f"demo/candidate/{new_id()}"
    for query in (
        {"_id": new_id()},
        {"key": "key-1"},
        {"fileIds": new_id()},
        {"places.record": place},
        {"places.record": {"$in": [place, place + "x"]}},
    ):
        explained = await databases["live"].mutations.find(query).sort("_id", -1).limit(FOUND).explain()
        assert "COLLSCAN" not in str(explained["queryPlanner"]["winningPlan"]), query
