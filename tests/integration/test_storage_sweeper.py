"""What the sweeper ends, announces and deletes, and what it leaves alone."""

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest_asyncio

from services.storage import sweeper
from services.storage.ledger import MongoLedger
from services.storage.sweeper import Sweeper
from shared.events import Environment, MutationCompleted, MutationFetched
from shared.ledger import databases, open_client
from tests.factories import mutation, new_id, upload
from tests.fakes import InMemoryBlobs

AGE = timedelta(hours=1)
OLD = datetime.now(UTC) - 2 * AGE


@dataclass
class House:
    """A sweeper, and what it published and condemned; `passed` is what the broker says of the notifier."""

    database: Any
    ledger: MongoLedger
    blobs: InMemoryBlobs = field(default_factory=InMemoryBlobs)
    announced: list[str] = field(default_factory=list)
    condemned: dict[str, str] = field(default_factory=dict)
    passed: bool = True

    @property
    def sweeper(self) -> Sweeper:
        return Sweeper(self.ledger, self.blobs, self, self.end, self.notifier_passed)

    async def fetched(self, again: Iterable[tuple[MutationFetched, str]]) -> None:
        raise AssertionError("the sweeper fetches nothing")

    async def completed(self, ended: Iterable[tuple[MutationCompleted, str]]) -> None:
        self.announced += [event.mutation_id for event, _ in ended]

    async def end(self, environment: Environment, ids: Iterable[str], code: str) -> None:
        self.condemned |= dict.fromkeys(ids, code)

    async def notifier_passed(self) -> bool:
        return self.passed

    def hold(self, key: str, modified: datetime = OLD) -> str:
        self.blobs.objects[key] = (b"x", None, modified)
        return key

    async def insert(self, *documents: dict[str, Any]) -> None:
        await self.database.mutations.insert_many([dict(document) for document in documents])

    async def announce(self) -> list[str]:
        """What one round announces."""
        self.announced.clear()
        await self.sweeper.announce_owed("live")
        return list(self.announced)


@pytest_asyncio.fixture
async def house(servers: dict[str, Any]) -> AsyncIterator[House]:
    client = open_client(servers["mongodb"])
    database = databases(client)["live"]
    await database.mutations.delete_many({})
    yield House(database, MongoLedger(client))
    await database.mutations.delete_many({})
    await client.close()


def owed(ended: datetime = OLD, **given: Any) -> dict[str, Any]:
    outcome = {"mutationId": new_id(), "status": "completed"}
    return mutation(status="completed", lane="owed", owed=True, outcome=outcome, endedAt=ended, **given)


async def test_a_lost_outcome_is_published_again_but_not_before_its_pause_is_over(house: House) -> None:
    lost, fresh = owed(), owed(datetime.now(UTC))
    await house.insert(lost, fresh, mutation())

    assert await house.announce() == [lost["_id"]]
    assert await house.announce() == []
    kept = (await house.database.mutations.find_one({"_id": lost["_id"]}))["announced"]
    assert kept["count"] == 1
    over = {"$set": {"announced.next": OLD}}
    await house.database.mutations.update_one({"_id": lost["_id"]}, over)
    assert await house.announce() == [lost["_id"]]


async def test_an_outcome_is_not_lost_while_the_notifier_has_work_before_it(house: House) -> None:
    await house.insert(owed())
    house.passed = False

    assert await house.announce() == []


async def test_many_that_stay_owed_keep_no_younger_outcome_waiting(house: House) -> None:
    await house.insert(*(owed(OLD) for _ in range(sweeper.BATCH)))
    younger = owed(OLD + timedelta(minutes=1))
    await house.insert(younger)

    assert younger["_id"] not in await house.announce()
    assert await house.announce() == [younger["_id"]]


async def test_a_document_that_makes_no_announcement_keeps_no_other_waiting(house: House) -> None:
    broken, whole = owed(), owed()
    await house.insert(broken | {"outcome": 7}, whole)

    assert await house.announce() == [whole["_id"]]
    assert await house.announce() == []


async def test_only_an_undecided_mutation_past_its_deadline_is_ended(house: House) -> None:
    late = mutation(deadline=OLD, lane="working")
    parked = mutation(deadline=OLD, lane="parked")
    await house.insert(late, parked, mutation(), mutation(deadline=OLD, status="applying"), owed(deadline=OLD))

    await house.sweeper.end_overdue("live")

    assert house.condemned == dict.fromkeys((late["_id"], parked["_id"]), "deadline_exceeded")


async def test_of_what_is_staged_only_old_leftovers_of_what_is_not_open_are_deleted(house: House) -> None:
    ended, accepted, applying = owed(), mutation(), mutation(status="applying")
    await house.insert(ended, accepted, applying)
    house.hold(f"staging/live/{ended['_id']}/left")
    house.hold(f"staging/live/{new_id()}/of-nobody")
    kept = {
        house.hold(f"staging/live/{accepted['_id']}/a"),
        house.hold(f"staging/live/{applying['_id']}/a"),
        house.hold(f"staging/live/{ended['_id']}/young", datetime.now(UTC)),
        house.hold(f"staging/sandbox/{new_id()}/elsewhere"),
    }

    await house.sweeper.sweep_staging("live", AGE)

    assert house.blobs.objects.keys() == kept


async def test_of_the_stored_only_old_orphans_that_no_open_mutation_may_want_are_deleted(house: House) -> None:
    named, removed, busy, worked, left, young = (new_id() for _ in range(6))
    prefix = "records/live/demo"
    await house.insert(
        mutation(fileIds=[busy]), mutation(fileIds=[worked], status="applying"), owed(fileIds=[left, named])
    )
    await house.database.attachments.insert_many(
        [{"_id": named, "key": f"{prefix}/{named}/now"}, {"_id": removed, "key": None, "removedAt": OLD}]
    )
    for orphan in (f"{named}/before", f"{removed}/a", f"{left}/a", f"{new_id()}/a"):
        house.hold(f"{prefix}/{orphan}")
    kept = {house.hold(f"{prefix}/{each}") for each in (f"{named}/now", f"{busy}/a", f"{worked}/a")}
    kept.add(house.hold(f"{prefix}/{young}/a", datetime.now(UTC)))

    await house.sweeper.reconcile("live", AGE)

    assert house.blobs.objects.keys() == kept


async def test_of_staged_uploads_only_what_no_living_one_names_is_deleted(house: House) -> None:
    alive, ended, unknown = upload(new_id()), upload(new_id(), endedAt=OLD), new_id()
    await house.database.uploads.insert_many([alive, ended])
    for orphan in (
        ended["key"],
        f"staging/live/uploads/{unknown}/a",
        f"staging/live/uploads/{alive['_id']}/broken-off",
    ):
        house.hold(orphan)
    kept = {
        house.hold(alive["key"]),
        house.hold(f"staging/live/uploads/{unknown}/young", datetime.now(UTC)),
    }

    await house.sweeper.sweep_staging("live", AGE)

    assert house.blobs.objects.keys() == kept


async def test_bytes_of_an_upload_that_may_still_be_assigned_are_no_orphans(house: House) -> None:
    alive, ended = upload(new_id()), upload(new_id(), endedAt=OLD)
    await house.database.uploads.insert_many([alive, ended])
    house.hold(f"records/live/demo/{ended['_id']}/a")
    kept = {house.hold(f"records/live/demo/{alive['_id']}/a")}

    await house.sweeper.reconcile("live", AGE)

    assert house.blobs.objects.keys() == kept


async def test_one_mutation_that_cannot_be_ended_keeps_no_other_from_its_deadline() -> None:
    ended: list[str] = []

    async def end(environment: str, ids: Iterable[str], code: str) -> None:
        if "broken" in ids:
            raise ValueError("a bug")
        ended.extend(ids)

    class Overdue:
        async def overdue(self, environment: str, now: datetime, limit: int) -> list[str]:
            return ["first", "broken", "last"]

    await Sweeper(Overdue(), None, None, end, None).end_overdue("live")  # type: ignore[arg-type]

    assert ended == ["first", "last"]
