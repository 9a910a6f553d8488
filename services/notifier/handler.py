"""What becomes of ended mutations: a delivery for who asked, the outcome on the tenant's topic, then no debt."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import groupby
from random import Random
from typing import NamedTuple, Protocol

from services.notifier import body, schedule
from services.notifier.dispatch import Claimed, Lane, NewDelivery, Notice, PendingDispatch, host_of
from shared.crash_points import crash_point
from shared.events import MutationCompleted


class Completed(NamedTuple):
    """An event and its trace, as they came."""

    event: MutationCompleted
    traceparent: str


class TopicOutcome(NamedTuple):
    """An outcome for the tenant's own topic."""

    completed: Completed
    value: bytes


class Ledger(Protocol):
    """The ledger's documents of ended mutations."""

    async def read(self, environment: str, ids: Sequence[str]) -> dict[str, Notice]:
        """The notices of these mutations, where the ledger holds them and they have ended."""

    async def settle(self, environment: str, ids: Collection[str]) -> None:
        """Clear `owed`, and the callback URL, which their deliveries hold by now."""


class Inbox(Protocol):
    """Where deliveries are entered."""

    async def insert(self, environment: str, deliveries: Sequence[NewDelivery]) -> set[str]:
        """Enter deliveries; the ids of those that were new."""


class Outcomes(Protocol):
    """The tenants' own topics."""

    async def publish(self, outcomes: Sequence[TopicOutcome]) -> set[str]:
        """Publish; the mutation ids of what is known to be there."""


class Dispatcher(Protocol):
    """Room for attempts, shared fairly among receivers."""

    def reserve(self, lane: Lane) -> bool:
        """Take room for one dispatch, if there is any."""

    def cancel(self, lane: Lane) -> None:
        """Give reserved room back."""

    def submit(self, pending: PendingDispatch) -> None:
        """Attempt it in the reserved room."""

    def failures(self, lane: Lane) -> int:
        """How many attempts in a row got no answer."""


@dataclass(slots=True)
class Handled:
    """What was odd about a batch, to be counted."""

    unknown: int = 0
    unpublished: int = 0


def pending_dispatch(notice: Notice, lane: Lane, ours: Claimed) -> PendingDispatch:
    """The next attempt; the only place where a body is built for sending."""
    made, url = ours
    content = body.build(notice.outcome, notice.ended_at, notice.environment)
    return PendingDispatch(
        notice.mutation_id,
        notice.environment,
        lane,
        made,
        url,
        content,
        notice.traceparent,
        notice.expire_at,
        notice.scrubbed,
    )


class CompletedHandler:
    """Handles batches of `mutation.completed`; every step is void when it is repeated."""

    def __init__(self, ledger: Ledger, inbox: Inbox, outcomes: Outcomes, dispatcher: Dispatcher, rng: Random) -> None:
        self._ledger, self._inbox, self._outcomes, self._dispatcher = ledger, inbox, outcomes, dispatcher
        self._rng = rng

    async def handle(self, batch: Sequence[Completed]) -> Handled:
        """Handle a batch. Raises DependencyUnavailable; what was done until then is harmless to repeat."""
        handled = Handled()
        ordered = sorted(batch, key=lambda completed: completed.event.environment)
        for environment, group in groupby(ordered, key=lambda completed: completed.event.environment):
            await self._of_environment(environment, {one.event.mutation_id: one for one in group}, handled)
        return handled

    async def _of_environment(self, environment: str, batch: dict[str, Completed], handled: Handled) -> None:
        notices = await self._ledger.read(environment, list(batch))
        handled.unknown += len(batch) - len(notices)
        owed = {mutation: notice for mutation, notice in notices.items() if notice.owed}
        # A kill after the insert leaves leased deliveries that nobody attempts: their leases run out and another
        # notifier takes them up. The event comes again, the insert is void then, and only the rest is done.
        called = [notice for key, notice in owed.items() if batch[key].event.callback and notice.callback_url]
        await self._enter(environment, called)
        if owed:
            published = await self._publish(owed, batch)
            crash_point("notifier.outcome_published")
            handled.unpublished += len(owed) - len(published)
            # A kill before this leaves `owed` set: the event comes again, or the sweeper publishes it again.
            await self._ledger.settle(environment, published)

    async def _publish(self, owed: dict[str, Notice], batch: dict[str, Completed]) -> set[str]:
        return await self._outcomes.publish(
            [
                TopicOutcome(batch[mutation], body.build(notice.outcome, notice.ended_at, notice.environment))
                for mutation, notice in owed.items()
            ]
        )

    async def _enter(self, environment: str, notices: Sequence[Notice]) -> None:
        if not notices:
            return
        reserved: dict[str, Lane] = {}  # given back unless it is submitted, whatever goes wrong with any of them
        try:
            fresh = [self._delivery(notice, reserved) for notice in notices]
            inserted = await self._inbox.insert(environment, fresh)
            crash_point("notifier.entered")
            for notice in (delivery.notice for delivery in fresh):
                if notice.mutation_id in reserved and notice.mutation_id in inserted:
                    first = Claimed(0, notice.callback_url or "")
                    self._dispatcher.submit(pending_dispatch(notice, reserved[notice.mutation_id], first))
                    del reserved[notice.mutation_id]
        finally:
            for lane in reserved.values():
                self._dispatcher.cancel(lane)

    def _delivery(self, notice: Notice, reserved: dict[str, Lane]) -> NewDelivery:
        lane = Lane(notice.tenant, host_of(notice.callback_url or ""))
        if self._dispatcher.reserve(lane):
            reserved[notice.mutation_id] = lane
            return NewDelivery(notice, lane, leased=True)
        failures = self._dispatcher.failures(lane)
        pause = schedule.postponement(failures, self._rng) if failures >= schedule.FAILING_FROM else 0.0
        return NewDelivery(notice, lane, leased=False, pause=pause)
