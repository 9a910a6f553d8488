"""What becomes of a batch of ended mutations."""

import json
from random import Random

import pytest

from services.notifier.dispatch import Notice
from services.notifier.handler import CompletedHandler
from shared.errors import DependencyUnavailable
from tests.fakes_notifier import CountingRoom, InMemoryDeliveries, InMemoryLedger, InMemoryOutcomes, completed, notice


class Notifier:
    """The handler and all it talks to."""

    def __init__(self, ledger: InMemoryLedger, room: CountingRoom | None = None, unwritable: str = "") -> None:
        self.ledger, self.deliveries, self.room = ledger, InMemoryDeliveries(), room or CountingRoom()
        self.outcomes = InMemoryOutcomes({unwritable})
        self.handler = CompletedHandler(ledger, self.deliveries, self.outcomes, self.room, Random(1))
        self.handle = self.handler.handle

    @property
    def attempted(self) -> list[str]:
        return [each.delivery for each in self.room.submitted]


async def test_an_outcome_is_entered_attempted_published_and_no_longer_owed() -> None:
    notifier = Notifier(InMemoryLedger(notice("m1")))
    await notifier.handle([completed("m1")])
    assert notifier.attempted == ["m1"]
    assert notifier.deliveries.entered["m1"].leased
    assert notifier.ledger.owed == set()
    assert notifier.outcomes.values["m1"] == notifier.room.submitted[0].body


async def test_without_a_callback_only_the_topic_is_served() -> None:
    notifier = Notifier(InMemoryLedger(notice("m1", callback_url=None)))
    await notifier.handle([completed("m1", callback=False)])
    assert notifier.deliveries.entered == {}
    assert set(notifier.outcomes.values) == {"m1"}
    assert notifier.ledger.owed == set()


async def test_a_callback_url_that_was_never_accepted_is_not_called() -> None:
    notifier = Notifier(InMemoryLedger(notice("m1", callback_url="ftp://nowhere")))
    await notifier.handle([completed("m1", callback=False)])
    assert notifier.deliveries.entered == {}


async def test_an_event_that_comes_twice_is_attempted_once() -> None:
    notifier = Notifier(InMemoryLedger(notice("m1")))
    await notifier.handle([completed("m1"), completed("m1")])
    await notifier.handle([completed("m1")])
    assert notifier.attempted == ["m1"]


async def test_after_a_crash_before_the_debt_was_cleared_the_delivery_is_not_attempted_again_but_published() -> None:
    ledger = InMemoryLedger(notice("m1"))
    notifier = Notifier(ledger)
    await notifier.handle([completed("m1")])
    ledger.notices["m1"] = notice("m1")
    notifier.outcomes.values.clear()
    await notifier.handle([completed("m1")])
    assert notifier.attempted == ["m1"]
    assert set(notifier.outcomes.values) == {"m1"}
    assert ledger.owed == set()
    assert notifier.room.room == 99


async def test_what_is_no_longer_owed_is_not_published_again() -> None:
    notifier = Notifier(InMemoryLedger(notice("m1", owed=False)))
    handled = await notifier.handle([completed("m1")])
    assert notifier.outcomes.values == {}
    assert notifier.attempted == []
    assert handled.unknown == 0


async def test_a_topic_that_cannot_be_written_costs_its_own_tenant_only() -> None:
    bad, good = notice("m1", tenant="broken"), notice("m2")
    notifier = Notifier(InMemoryLedger(bad, good), unwritable="broken")
    event = completed("m1")
    foreign = event._replace(event=event.event.model_copy(update={"tenant": "broken"}))
    handled = await notifier.handle([foreign, completed("m2")])
    assert notifier.ledger.owed == {"m1"}
    assert handled.unpublished == 1
    assert sorted(notifier.attempted) == ["m1", "m2"]


async def test_an_event_of_an_unknown_mutation_is_counted_and_dropped() -> None:
    notifier = Notifier(InMemoryLedger())
    handled = await notifier.handle([completed("ghost")])
    assert handled.unknown == 1
    assert notifier.outcomes.values == {}


async def test_what_has_no_room_is_entered_unleased_and_due_at_once() -> None:
    notifier = Notifier(InMemoryLedger(notice("m1"), notice("m2")), CountingRoom(1))
    await notifier.handle([completed("m1"), completed("m2")])
    assert notifier.attempted == ["m1"]
    assert not notifier.deliveries.entered["m2"].leased
    assert notifier.deliveries.entered["m2"].pause == 0


async def test_what_a_dead_receiver_has_no_room_for_is_put_off() -> None:
    notifier = Notifier(InMemoryLedger(notice("m1")), CountingRoom(0, failures=3))
    await notifier.handle([completed("m1")])
    assert notifier.deliveries.entered["m1"].pause > 10


async def test_an_absent_database_leaves_no_room_taken_and_the_debt_in_place() -> None:
    notifier = Notifier(InMemoryLedger(notice("m1")))
    notifier.deliveries.away = True
    with pytest.raises(DependencyUnavailable):
        await notifier.handle([completed("m1")])
    assert notifier.room.room == 100
    assert notifier.ledger.owed == {"m1"}


@pytest.mark.parametrize("bad", [notice("m2", callback_url=5), notice("m2", outcome={"status": object()})])
async def test_a_bug_with_one_notice_leaves_no_room_taken(bad: Notice) -> None:
    notifier = Notifier(InMemoryLedger(notice("m1"), bad, notice("m3")))
    with pytest.raises((AttributeError, TypeError)):
        await notifier.handle([completed("m1"), completed("m2"), completed("m3")])
    assert notifier.room.room + len(notifier.room.submitted) == 100


async def test_environments_are_kept_apart() -> None:
    ledger = InMemoryLedger(notice("m1"), notice("m2", environment="sandbox"))
    notifier = Notifier(ledger)
    await notifier.handle([completed("m2", "sandbox"), completed("m1", "live")])
    metas = {key: json.loads(value)["meta"]["sandboxEnabled"] for key, value in notifier.outcomes.values.items()}
    assert metas == {"m1": False, "m2": True}


async def test_the_body_tells_what_the_ledger_says_not_the_event() -> None:
    notifier = Notifier(InMemoryLedger(notice("m1", outcome={"erased": True})))
    await notifier.handle([completed("m1")])
    assert json.loads(notifier.room.submitted[0].body)["data"] == {"erased": True}
