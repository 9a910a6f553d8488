"""The tenants' own topics: created when missing, and left alone for a while when they can't be written."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol, TypeVar

import structlog

from services.notifier.handler import TopicOutcome
from shared import topics
from shared.errors import DependencyUnavailable
from shared.publisher import Publisher
from shared.topics import TopicSpec

log = structlog.get_logger()
T = TypeVar("T")

SEND_SECONDS: Final = 3.0
# After the first failure, the second in a row, and so on: short at first, because a broker may only have hiccuped, and
# what passes by meanwhile is owed until the sweeper publishes it again.
AVOID_SECONDS: Final = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)


class Topics(Protocol):
    """Where topics are made."""

    async def ensure(self, specs: Sequence[TopicSpec]) -> None:
        """Have these topics exist. Raises DependencyUnavailable."""


class KafkaOutcomes:
    """Publishes outcomes. A topic that can't be written costs its own tenant only: what is owed stays owed."""

    def __init__(self, publisher: Publisher, made: Topics, clock: Callable[[], float] = time.monotonic) -> None:
        self._publisher, self._topics, self._clock = publisher, made, clock
        self._known: set[str] = set()
        self._failures: dict[str, int] = {}  # in a row, by tenant
        self._avoid_until: dict[str, float] = {}

    async def publish(self, outcomes: Sequence[TopicOutcome]) -> set[str]:
        """Publish; the mutation ids of what is known to be there."""
        of_tenant: defaultdict[str, list[TopicOutcome]] = defaultdict(list)
        for outcome in outcomes:
            of_tenant[outcome.completed.event.tenant].append(outcome)
        publishing = (self._of_tenant(tenant, group) for tenant, group in of_tenant.items())
        return set().union(*_results(await asyncio.gather(*publishing, return_exceptions=True)))

    async def _of_tenant(self, tenant: str, group: Sequence[TopicOutcome]) -> set[str]:
        if self._avoid_until.get(tenant, 0.0) > self._clock():
            return set()
        topic = topics.outcomes(tenant)
        try:
            async with asyncio.timeout(SEND_SECONDS):
                if tenant not in self._known:
                    await self._topics.ensure([topics.outcomes_topic(tenant)])
                    self._known.add(tenant)
                sending = (self._send(topic, outcome) for outcome in group)
                _results(await asyncio.gather(*sending, return_exceptions=True))
        except (DependencyUnavailable, TimeoutError) as error:
            log.warning("outcomes.unpublished", tenant=tenant, count=len(group), error=str(error))
            self._known.discard(tenant)
            failures = self._failures[tenant] = self._failures.get(tenant, 0) + 1
            self._avoid_until[tenant] = self._clock() + AVOID_SECONDS[min(failures, len(AVOID_SECONDS)) - 1]
            return set()
        self._failures.pop(tenant, None)
        self._avoid_until.pop(tenant, None)
        return {outcome.completed.event.mutation_id for outcome in group}

    async def _send(self, topic: str, outcome: TopicOutcome) -> None:
        event, traceparent = outcome.completed
        await self._publisher.publish(topic, event, traceparent, outcome.value)


def _results(ended: Iterable[T | BaseException]) -> list[T]:
    """Of what has ended altogether, for a send that is cut off may still arrive; raises the first failure."""
    results = []
    for each in ended:
        if isinstance(each, BaseException):
            raise each
        results.append(each)
    return results
