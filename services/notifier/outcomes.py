"""The tenants' own topics: created when missing, and left alone for a while when they can't be written."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import structlog
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, NoError, TopicAlreadyExistsError, for_code

from services.notifier.handler import TopicOutcome
from shared import events, topics
from shared.broker import Publisher
from shared.errors import DependencyUnavailable

log = structlog.get_logger()

SEND_SECONDS: Final = 3.0
AVOID_SECONDS: Final = 15.0


class Topics(Protocol):
    """Where topics are made."""

    async def ensure(self, tenant: str) -> None:
        """Have the tenant's topic exist. Raises DependencyUnavailable."""


class KafkaTopics:
    """Makes tenants' outcome topics over an admin client that is opened for the purpose: it is seldom needed."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap

    async def ensure(self, tenant: str) -> None:
        """Have the tenant's topic exist. Raises DependencyUnavailable."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self._bootstrap, request_timeout_ms=int(SEND_SECONDS * 1000))
        spec = next(spec for spec in topics.tenant_topics(tenant) if spec.name == topics.outcomes(tenant))
        configs = {"retention.ms": str(topics.RETENTION_MS), "max.message.bytes": str(spec.max_message_bytes)}
        try:
            await admin.start()
            [pipeline] = await admin.describe_topics([topics.COMPLETED])
            replication = len(pipeline["partitions"][0]["replicas"])  # as whoever installed the broker chose it
            wanted = NewTopic(spec.name, spec.partitions, replication, topic_configs=configs)
            answer = await admin.create_topics([wanted])
            error = for_code(answer.topic_errors[0][1])
            if error not in (NoError, TopicAlreadyExistsError):
                raise error
        except (KafkaError, LookupError) as error:
            raise DependencyUnavailable("kafka", type(error).__name__) from error
        finally:
            await admin.close()


class KafkaOutcomes:
    """Publishes outcomes. A topic that can't be written costs its own tenant only: what is owed stays owed."""

    def __init__(self, publisher: Publisher, made: Topics, clock: Callable[[], float] = time.monotonic) -> None:
        self._publisher, self._topics, self._clock = publisher, made, clock
        self._known: set[str] = set()
        self._avoid_until: dict[str, float] = {}

    async def publish(self, outcomes: Sequence[TopicOutcome]) -> set[str]:
        """Publish; the mutation ids of what is known to be there."""
        of_tenant: defaultdict[str, list[TopicOutcome]] = defaultdict(list)
        for outcome in outcomes:
            of_tenant[outcome.completed.event.tenant].append(outcome)
        published = await asyncio.gather(*(self._of_tenant(tenant, group) for tenant, group in of_tenant.items()))
        return set().union(*published)

    async def _of_tenant(self, tenant: str, group: Sequence[TopicOutcome]) -> set[str]:
        if self._avoid_until.get(tenant, 0.0) > self._clock():
            return set()
        topic = topics.outcomes(tenant)
        try:
            async with asyncio.timeout(SEND_SECONDS):
                if tenant not in self._known:
                    await self._topics.ensure(tenant)
                    self._known.add(tenant)
                await asyncio.gather(*(self._send(topic, outcome) for outcome in group))
        except (DependencyUnavailable, TimeoutError) as error:
            log.warning("outcomes.unpublished", tenant=tenant, count=len(group), error=str(error))
            self._known.discard(tenant)
            self._avoid_until[tenant] = self._clock() + AVOID_SECONDS
            return set()
        self._avoid_until.pop(tenant, None)
        return {outcome.completed.event.mutation_id for outcome in group}

    async def _send(self, topic: str, outcome: TopicOutcome) -> None:
        event, traceparent = outcome.completed
        key = event.message_key if event.places else event.mutation_id.encode()
        await self._publisher.send(topic, key, outcome.value, events.headers(event, traceparent))
