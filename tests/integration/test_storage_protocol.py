"""Decide, apply, finish against a real database: order, repetition, and what a kill between two steps leaves behind."""

import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest_asyncio

from services.storage.decide_files import decide_files
from services.storage.decision import decide_failure
from services.storage.files import FileStore
from services.storage.handler import WAVES
from services.storage.work import of_event
from shared.content.judge import judge
from shared.events import FileError, MutationFetched, StagedObject
from tests.factories import TEXT, by_url, fetched, inline, mutation, new_id
from tests.storage_house import House, open_house

DIGEST = hashlib.sha256(TEXT).hexdigest()


@pytest_asyncio.fixture
async def house(servers: dict[str, Any]) -> AsyncIterator[House]:
    async with open_house(servers["mongodb"]) as opened:
        yield opened


def append(record: str, sequence: int, name: str, **given: Any) -> dict[str, Any]:
    return mutation("append", record, sequence, files={name: inline()}, fileIds=[name], **given)


async def test_a_create_with_an_inline_file_ends_completed_and_true_of_the_stored_bytes(house: House) -> None:
    name = new_id()
    created = mutation(files={name: inline()}, fileIds=[name], callbackUrl="https://hooks.test/x")
    await house.insert(created)

    await house.handler.handle([fetched(created)])

    outcome = await house.outcome(created)
    assert outcome["status"] == "completed"
    assert outcome["attachments"][0]["sha256"] == DIGEST
    assert house.blobs.objects[f"records/live/demo/{name}/{DIGEST}"][0] == TEXT
    assert (await house.attachment(name))["key"] == f"records/live/demo/{name}/{DIGEST}"
    assert (await house.record(created))["version"] == 1
    kept = await house.database.mutations.find_one({"_id": created["_id"]})
    assert kept["owed"] is True
    assert "data" not in kept["files"][name]
    assert "fields" not in kept


async def test_an_early_mutation_waits_and_is_worked_off_by_whoever_ends_its_predecessor(house: House) -> None:
    names = [new_id() for _ in range(3)]
    first = mutation(files={names[0]: inline()})
    second, third = (append(first["record"]["id"], n, names[n - 1]) for n in (2, 3))
    await house.insert(first, second, third)

    await house.handler.handle([fetched(third)])
    await house.handler.handle([fetched(second)])
    assert house.ended() == []
    await house.handler.handle([fetched(first)])

    assert house.ended() == [first["_id"], second["_id"], third["_id"]]
    record = await house.record(first)
    assert (record["version"], record["sequence"]) == (3, 3)


async def test_a_batch_of_one_record_is_worked_off_in_the_order_of_the_ledger(house: House) -> None:
    first = mutation()
    later = [append(first["record"]["id"], n, new_id()) for n in range(2, 8)]
    await house.insert(first, *later)

    await house.handler.handle([fetched(each) for each in [*reversed(later), first]])

    assert house.ended() == [each["_id"] for each in [first, *later]]


async def test_a_replayed_event_stores_one_object_and_changes_no_outcome(house: House) -> None:
    name = new_id()
    created = mutation(files={name: inline()})
    await house.insert(created)

    await house.handler.handle([fetched(created)])
    outcome = await house.outcome(created)
    await house.handler.handle([fetched(created), fetched(created)])

    assert await house.outcome(created) == outcome
    assert list(house.blobs.objects) == [f"records/live/demo/{name}/{DIGEST}"]
    assert await house.database.attachments.count_documents({"_id": name}) == 1


async def test_a_decision_left_by_a_killed_worker_is_driven_to_its_own_end(house: House) -> None:
    name = new_id()
    created = mutation(files={name: by_url()})
    await house.insert(created)
    staged = StagedObject(key=f"staging/live/{created['_id']}/{name}-a", size=len(TEXT), sha256=DIGEST)
    await house.blobs.put(staged.key, TEXT, len(TEXT))
    work = of_event(created, fetched(created, **{name: staged}))
    files = await FileStore(house.blobs, judge).store("live", work)
    await house.ledger.decide("live", {created["_id"]: decide_files(created, {}, files)})

    # The event that comes again brings other bytes: the decision of the killed worker holds all the same.
    await house.handler.handle([fetched(created, **{name: staged.model_copy(update={"sha256": "0" * 64})})])

    assert (await house.outcome(created))["attachments"][0]["sha256"] == DIGEST
    assert (await house.attachment(name))["sha256"] == DIGEST
    assert list(house.blobs.objects) == [f"records/live/demo/{name}/{DIGEST}"]


async def test_a_zombies_late_apply_does_not_bring_a_removed_attachment_back(house: House) -> None:
    name = new_id()
    created = mutation(files={name: inline()})
    await house.insert(created)
    work = of_event(created, fetched(created))
    decision = decide_files(created, {}, await FileStore(house.blobs, judge).store("live", work))
    await house.ledger.decide("live", {created["_id"]: decision})
    await house.handler.handle([fetched(created)])
    removal = mutation("remove", created["record"]["id"], 2, remove=[name])
    await house.insert(removal)
    await house.handler.handle([fetched(removal)])

    await house.ledger.finish("live", [(created, decision)])

    tombstone = await house.attachment(name)
    assert tombstone["removedAt"] is not None
    assert "filename" not in tombstone
    assert "sha256" not in tombstone
    assert (await house.record(created))["version"] == 2
    assert (await house.outcome(removal))["removed"] == {"attachments": 1, "objects": 1, "bytes": len(TEXT)}
    assert house.blobs.objects == {}


async def test_a_deadline_out_of_turn_takes_no_effect_away_from_what_is_before_it(house: House) -> None:
    names = [new_id(), new_id()]
    created = mutation()
    await house.insert(created)
    await house.handler.handle([fetched(created)])
    slow = append(created["record"]["id"], 2, names[0])
    late = append(created["record"]["id"], 3, names[1], deadline=datetime.now(UTC) - timedelta(seconds=1))
    await house.insert(slow, late)

    assert await house.ledger.overdue("live", datetime.now(UTC), 10) == [late["_id"]]
    await house.handler.end("live", [late["_id"]], "deadline_exceeded")
    await house.handler.handle([fetched(slow), fetched(late)])

    assert (await house.outcome(late))["error"]["code"] == "deadline_exceeded"
    assert await house.status(slow) == "completed"
    record = await house.record(created)
    assert (record["version"], record["sequence"]) == (2, 3)


async def test_a_missing_fetched_file_is_no_outcome_and_may_come_again(house: House) -> None:
    name = new_id()
    created = mutation(files={name: by_url()})
    await house.insert(created)
    gone = StagedObject(key="staging/live/gone", size=len(TEXT), sha256=DIGEST)
    await house.handler.handle([fetched(created, **{name: gone})])
    assert await house.status(created) == "accepted"
    assert house.publisher.sent == []

    await house.blobs.put(gone.key, TEXT, len(TEXT))
    await house.handler.handle([fetched(created, **{name: gone})])

    assert await house.status(created) == "completed"


async def test_a_long_queue_behind_one_record_is_given_back_and_comes_in_order(house: House) -> None:
    first = mutation()
    later = [append(first["record"]["id"], n, new_id()) for n in range(2, WAVES + 12)]
    await house.insert(first, *later)
    await house.handler.handle([fetched(each) for each in later])

    await house.handler.handle([fetched(first)])
    while isinstance(event := house.publisher.sent[-1], MutationFetched):
        house.publisher.sent.pop()
        await house.handler.handle([event])

    assert house.ended() == [each["_id"] for each in [first, *later]]
    assert all([await house.status(each) == "completed" for each in later])


async def test_a_long_queue_is_given_back_with_what_its_events_said(house: House) -> None:
    first = mutation()
    later = [append(first["record"]["id"], n, new_id()) for n in range(2, WAVES + 3)]
    await house.insert(first, *later)
    batch = [fetched(each) for each in [first, *later]]
    batch[-1] = batch[-1].model_copy(update={"error": FileError(code="internal_error", message="A bug.")})

    await house.handler.handle(batch)
    while isinstance(event := house.publisher.sent[-1], MutationFetched):
        house.publisher.sent.pop()
        await house.handler.handle([event])

    assert house.ended() == [each["_id"] for each in [first, *later]]
    assert (await house.outcome(later[-1]))["error"]["code"] == "internal_error"


async def test_a_record_of_another_tenant_is_not_found(house: House) -> None:
    theirs = mutation(tenant="other", places=[])
    theirs["places"] = [{"record": f"other/candidate/{theirs['record']['id']}", "sequence": 1}]
    await house.insert(theirs)
    await house.handler.handle([fetched(theirs)])
    ours = append(theirs["record"]["id"], 1, new_id())
    await house.insert(ours)

    await house.handler.handle([fetched(ours)])

    outcome = await house.outcome(ours)
    assert outcome["error"]["code"] == "record_not_found"
    assert outcome["record"]["version"] is None


async def test_of_two_decisions_the_first_holds_and_of_two_ends_too(house: House) -> None:
    created = mutation()
    await house.insert(created)
    first, second = decide_files(created, {}, {}), decide_failure(created, {}, "internal_error")
    assert await house.ledger.decide("live", {created["_id"]: first}) == {created["_id"]}
    assert await house.ledger.decide("live", {created["_id"]: second}) == set()

    await house.ledger.finish("live", [(created, first)])
    await house.ledger.finish("live", [(created, second)])

    assert await house.status(created) == "completed"
    assert (await house.outcome(created))["error"] is None


async def test_what_is_applying_is_never_ended_as_failed(house: House) -> None:
    created = mutation()
    await house.insert(created)
    await house.ledger.decide("live", {created["_id"]: decide_files(created, {}, {})})

    await house.handler.end("live", [created["_id"]], "internal_error")

    assert await house.status(created) == "applying"
    await house.handler.handle([fetched(created)])
    assert await house.status(created) == "completed"


async def test_an_append_to_a_record_that_never_came_to_be_says_so(house: House) -> None:
    lonely = append(new_id(), 1, new_id())
    await house.insert(lonely)

    await house.handler.handle([fetched(lonely)])

    assert (await house.outcome(lonely))["error"]["code"] == "record_not_found"


async def test_what_was_staged_is_deleted_when_the_mutation_has_ended(house: House) -> None:
    name = new_id()
    created = mutation(files={name: by_url()})
    await house.insert(created)
    staged = StagedObject(key=f"staging/live/{created['_id']}/{name}-a", size=len(TEXT), sha256=DIGEST)
    await house.blobs.put(staged.key, TEXT, len(TEXT))

    await house.handler.handle([fetched(created, **{name: staged})])

    assert list(house.blobs.objects) == [f"records/live/demo/{name}/{DIGEST}"]


async def test_an_unknown_mutation_is_dropped(house: House) -> None:
    await house.handler.handle([fetched(mutation())])

    assert house.publisher.sent == []


async def test_a_failed_try_is_counted_once_also_when_two_count_it(house: House) -> None:
    failing = mutation()
    await house.insert(failing)

    for tries in (1, 1, 2):
        await house.ledger.raise_tries("live", failing["_id"], tries)

    assert await house.ledger.tries("live", failing["_id"]) == 2
    assert await house.ledger.tries("live", new_id()) == 0
