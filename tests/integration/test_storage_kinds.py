"""Updates, assigns and several owners against a real database: what is decided, and that repetition changes nothing."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio

from services.storage.belongings import PAGE
from services.storage.expiry import Expiry
from services.storage.work import of_event
from tests.factories import TEXT, assign, fetched, inline, mutation, new_id, upload
from tests.storage_house import House, open_house

DIGEST = hashlib.sha256(TEXT).hexdigest()
PAST = datetime.now(UTC) - timedelta(hours=2)


@pytest_asyncio.fixture
async def house(servers: dict[str, Any]) -> AsyncIterator[House]:
    async with open_house(servers["mongodb"]) as opened:
        yield opened


async def candidate(house: House, **fields: Any) -> str:
    """A record with version 1; its id."""
    created = mutation(fields=fields)
    await house.work_off(created)
    return str(created["record"]["id"])


async def staged(house: House, **given: Any) -> str:
    """An upload with its object; its id."""
    document = upload(new_id(), **given)
    await house.database.uploads.insert_one(document)
    await house.blobs.put(document["key"], TEXT, len(TEXT))
    return str(document["_id"])


def update(record: str, sequence: int, clear: tuple[str, ...] = (), **changes: Any) -> dict[str, Any]:
    given = {"changes": {"set": changes, "clear": list(clear)}}
    return mutation("update", record, sequence, **given)


async def test_an_update_sets_replaces_and_clears_and_is_found_by_its_new_address(house: House) -> None:
    record = await candidate(house, firstName="Ada", email="Old@example.com", tags=["a", "b"], note="x")
    assert (await house.database.records.find_one({"_id": record}))["search"] == ["e:old@example.com"]
    change = update(record, 2, ("note", "never"), email="New@example.com", tags=["c"])

    outcome = await house.work_off(change)

    kept = await house.database.records.find_one({"_id": record})
    assert kept["fields"] == {"firstName": "Ada", "email": "New@example.com", "tags": ["c"]}
    assert kept["search"] == ["e:new@example.com"]
    assert (kept["version"], outcome["status"], outcome["record"]["version"]) == (2, "completed", 2)
    assert "changes" not in await house.database.mutations.find_one({"_id": change["_id"]})


async def test_a_zombies_late_update_changes_nothing_that_came_after_it(house: House) -> None:
    record = await candidate(house, firstName="Ada")
    first, second = update(record, 2, firstName="Grace"), update(record, 3, lastName="Hopper")
    await house.insert(first)
    made = (await house.decider.make("live", [of_event(first, fetched(first))]))[first["_id"]]
    await house.ledger.decide("live", {first["_id"]: made})
    await house.ledger.finish("live", [(first, made)])
    await house.ledger.finish("live", [(first, made)])
    await house.work_off(second)

    await house.ledger.finish("live", [(first, made)])

    kept = await house.database.records.find_one({"_id": record})
    assert (kept["fields"], kept["version"]) == ({"firstName": "Grace", "lastName": "Hopper"}, 3)


async def test_an_update_that_expects_another_version_is_a_conflict_and_changes_nothing(house: House) -> None:
    record = await candidate(house, firstName="Ada")
    await house.work_off(update(record, 2, firstName="Grace") | {"expectedVersion": 1})

    outcome = await house.work_off(update(record, 3, firstName="Eve") | {"expectedVersion": 1})

    assert (outcome["status"], outcome["error"]["code"]) == ("failed", "version_conflict")
    assert outcome["record"]["version"] == 2
    kept = await house.database.records.find_one({"_id": record})
    assert (kept["fields"]["firstName"], kept["version"], kept["sequence"]) == ("Grace", 2, 3)


async def test_what_takes_a_record_for_another_type_leaves_it_as_it_is(house: House) -> None:
    record = await candidate(house, firstName="Ada")
    wrong = update(record, 7, firstName="Eve") | {"record": {"type": "vacancy", "id": record}}
    wrong["places"] = [{"record": f"demo/vacancy/{record}", "sequence": 7}]

    outcome = await house.work_off(wrong)

    assert outcome["error"]["code"] == "record_not_found"
    kept = await house.database.records.find_one({"_id": record})
    assert (kept["fields"], kept["version"], kept["sequence"]) == ({"firstName": "Ada"}, 1, 1)


async def test_an_assigned_upload_is_one_object_with_an_owner_for_each_record(house: House) -> None:
    records = [await candidate(house) for _ in range(3)]
    name = await staged(house)
    given = assign(dict.fromkeys(records, 2), name)

    outcome = await house.work_off(given)

    assert outcome["status"] == "completed"
    assert outcome["records"] == [{"type": "candidate", "id": each, "version": 2} for each in records]
    assert (outcome["attachments"][0]["status"], outcome["attachments"][0]["filename"]) == ("stored", "plan.txt")
    attachment = await house.attachment(name)
    assert [owner["id"] for owner in attachment["owners"]] == records
    assert (attachment["type"], attachment["sha256"]) == ("CV", DIGEST)
    assert list(house.blobs.objects) == [f"records/live/demo/{name}/{DIGEST}"]
    ended = await house.database.uploads.find_one({"_id": name})
    assert (ended["end"], "filename" in ended, "key" in ended, "sha256" in ended) == ("assigned", False, False, False)
    for record in records:
        kept = await house.database.records.find_one({"_id": record})
        assert (kept["version"], kept["sequence"]) == (2, 2)


async def test_every_file_of_an_assign_has_its_own_outcome(house: House) -> None:
    record = await candidate(house)
    good, expired, foreign, taken, unknown, lost = [
        await staged(house),
        await staged(house, expiresAt=PAST, keepUntil=PAST),
        await staged(house, tenant="other"),
        await staged(house),
        new_id(),
        await staged(house),
    ]
    await house.work_off(assign({record: 2}, taken))
    await house.blobs.delete([upload(lost)["key"]])
    given = assign({record: 3}, good, expired, foreign, taken, unknown, lost, filename="renamed.txt")

    outcome = await house.work_off(given)

    codes = {each["id"]: (each["error"] or {}).get("code") for each in outcome["attachments"]}
    assert outcome["status"] == "partially_completed"
    assert codes == {
        good: None,
        expired: "not_found",
        foreign: "not_found",
        taken: "already_assigned",
        unknown: "not_found",
        lost: "staged_object_lost",
    }
    assert (await house.attachment(good))["filename"] == "renamed.txt"
    assert (await house.database.uploads.find_one({"_id": lost}))["claimedBy"] is None
    assert (await house.database.uploads.find_one({"_id": foreign}))["claimedBy"] is None


async def test_nothing_of_another_tenants_upload_is_told_or_touched(house: House) -> None:
    record, foreign = await candidate(house), await staged(house, tenant="other")

    outcome = await house.work_off(assign({record: 2}, foreign))

    [state] = outcome["attachments"]
    assert (state["error"]["code"], state["filename"], state["size"]) == ("not_found", None, None)
    assert (await house.database.uploads.find_one({"_id": foreign}))["claimedBy"] is None


async def test_an_assign_that_stores_nothing_fails_and_changes_no_record(house: House) -> None:
    record = await candidate(house)

    outcome = await house.work_off(assign({record: 2}, new_id()))

    assert (outcome["error"]["code"], outcome["record"]["version"]) == ("no_file_stored", 1)


async def test_an_assign_is_all_or_nothing_over_its_records_and_leaves_the_upload_free(house: House) -> None:
    record, name = await candidate(house), await staged(house)

    outcome = await house.work_off(assign({record: 2, new_id(): 1}, name))

    assert outcome["error"]["code"] == "record_not_found"
    assert [each["version"] for each in outcome["records"]] == [1, None]
    assert (await house.database.uploads.find_one({"_id": name}))["claimedBy"] is None
    assert (await house.work_off(assign({record: 3}, name)))["status"] == "completed"


async def test_of_two_assigns_of_one_upload_at_once_exactly_one_gets_it(house: House) -> None:
    for _ in range(5):
        records, name = [await candidate(house), await candidate(house)], await staged(house)
        given = [assign({record: 2}, name) for record in records]

        outcomes = await asyncio.gather(*(house.work_off(each) for each in given))

        assert sorted(each["status"] for each in outcomes) == ["completed", "failed"]
        [loser] = [each for each in outcomes if each["status"] == "failed"]
        assert loser["attachments"][0]["error"]["code"] == "already_assigned"
        assert len((await house.attachment(name))["owners"]) == 1
        assert f"records/live/demo/{name}/{DIGEST}" in house.blobs.objects


@pytest.mark.parametrize("step", ["claim", "decide", "tombstones", "finish"])
async def test_an_assign_whose_worker_was_killed_ends_completed_all_the_same(house: House, step: str) -> None:
    record, name = await candidate(house), await staged(house)
    given = assign({record: 2}, name)
    await house.insert(given)
    made = (await house.decider.make("live", [of_event(given, fetched(given))]))[given["_id"]]
    if step != "claim":
        await house.ledger.decide("live", {given["_id"]: made})
    if step in ("tombstones", "finish"):
        await house.ledger.apply_documents("live", [(given, made)])
        await house.blobs.delete(list(made.assigned.values()))
    if step == "finish":
        await house.ledger.finish("live", [(given, made)])

    await house.handler.handle([fetched(given)])

    assert (await house.outcome(given))["status"] == "completed"
    assert list(house.blobs.objects) == [f"records/live/demo/{name}/{DIGEST}"]
    assert (await house.attachment(name))["owners"][0]["removedAt"] is None
    assert house.ended().count(given["_id"]) == 1


async def test_what_an_ended_mutation_claimed_in_vain_may_be_taken_over(house: House) -> None:
    record, name = await candidate(house), await staged(house)
    slept = assign({record: 2}, name)
    await house.insert(slept)
    await house.handler.end("live", [slept["_id"]], "deadline_exceeded")
    await house.uploads.claim("live", [slept])  # its worker wakes up late
    assert (await house.database.uploads.find_one({"_id": name}))["claimedBy"] == slept["_id"]

    outcome = await house.work_off(assign({record: 3}, name))

    assert outcome["status"] == "completed"


async def test_what_an_open_mutation_claims_is_nobodys(house: House) -> None:
    records, name = [await candidate(house), await candidate(house)], await staged(house)
    slow = assign({records[0]: 2}, name)
    await house.insert(slow)
    await house.uploads.claim("live", [slow])
    await Expiry(house.uploads, house.blobs).end_expired("live")

    assert (await house.work_off(assign({records[1]: 2}, name)))["error"]["code"] == "no_file_stored"

    await house.handler.handle([fetched(slow)])
    assert (await house.outcome(slow))["status"] == "completed"


async def test_only_an_upload_that_is_free_and_past_both_of_its_times_expires(house: House) -> None:
    over, gone = {"expiresAt": PAST, "keepUntil": PAST}, assign({new_id(): 1})
    expired, alive, kept, claimed, abandoned = [
        await staged(house, **over),
        await staged(house),
        await staged(house, expiresAt=PAST),
        await staged(house, **over, claimedBy=gone["_id"]),
        await staged(house, **over, claimedBy=new_id()),
    ]
    await house.insert(gone)

    await Expiry(house.uploads, house.blobs).end_expired("live")

    for name in (expired, abandoned):
        tombstone = await house.database.uploads.find_one({"_id": name})
        assert (tombstone["end"], "filename" in tombstone, "key" in tombstone) == ("expired", False, False)
        assert tombstone["expireAt"] > tombstone["endedAt"]
    assert set(house.blobs.objects) == {upload(name)["key"] for name in (alive, kept, claimed)}


async def test_of_many_claims_those_are_released_whose_mutations_have_ended(house: House) -> None:
    ended, open_one = mutation(status="failed"), mutation()
    await house.insert(ended, open_one)
    free, claimed, left = ([upload(new_id(), claimedBy=by) for _ in range(PAGE + 1)] for by in (None, "open", "ended"))
    for document in claimed + left:
        document["claimedBy"] = {"open": open_one, "ended": ended}[document["claimedBy"]]["_id"]
    await house.database.uploads.insert_many([*free, *left, *claimed])

    await house.uploads.release_abandoned("live")

    ids = [each["_id"] for each in free + claimed + left]
    held = house.database.uploads.find({"_id": {"$in": ids}, "claimedBy": {"$ne": None}})
    assert {each["_id"] async for each in held} == {each["_id"] for each in claimed}


async def shared_attachment(house: House) -> tuple[list[str], str]:
    """Two records that own one attachment; their ids, and its."""
    records, name = [await candidate(house), await candidate(house)], await staged(house)
    await house.work_off(assign(dict.fromkeys(records, 2), name))
    return records, name


async def test_an_object_stays_until_its_last_owner_goes(house: House) -> None:
    records, name = await shared_attachment(house)

    first = await house.work_off(mutation("remove", records[0], 3, remove=[name]))
    assert first["removed"] == {"attachments": 1, "objects": 0, "bytes": 0}
    assert list(house.blobs.objects) == [f"records/live/demo/{name}/{DIGEST}"]
    assert "removedAt" not in await house.attachment(name)

    second = await house.work_off(mutation("remove", records[1], 3, remove=[name]))
    assert second["removed"] == {"attachments": 1, "objects": 1, "bytes": len(TEXT)}
    assert house.blobs.objects == {}
    assert (await house.attachment(name))["removedAt"]


async def test_two_owners_that_go_at_the_same_time_take_the_object_with_them(house: House) -> None:
    records, name = await shared_attachment(house)
    given = [mutation("remove", record, 3, remove=[name]) for record in records]
    await house.insert(*given)
    for each in given:  # both decide while the other owner is still there
        made = await house.decider.make("live", [of_event(each, fetched(each))])
        await house.ledger.decide("live", made)

    await house.handler.handle([fetched(given[0])])
    assert list(house.blobs.objects) == [f"records/live/demo/{name}/{DIGEST}"]
    await house.handler.handle([fetched(given[1])])

    assert house.blobs.objects == {}
    assert (await house.attachment(name))["removedAt"]


async def test_a_batch_of_every_kind_is_worked_off_in_order(house: House) -> None:
    record, name, mine = new_id(), await staged(house), new_id()
    given = [
        mutation(record=record, fields={"firstName": "Ada"}),
        mutation("append", record, 2, files={mine: inline()}, fileIds=[mine]),
        update(record, 3, firstName="Grace"),
        assign({record: 4}, name),
        mutation("remove", record, 5, remove=[mine, name]),
        mutation("erase", record, 6),
        update(record, 7, firstName="Eve"),
    ]
    await house.insert(*given)

    await house.handler.handle([fetched(each) for each in reversed(given)])

    assert [await house.status(each) for each in given] == ["completed"] * 6 + ["failed"]
    assert (await house.outcome(given[-1]))["error"]["code"] == "record_erased"
    assert house.blobs.objects == {}
