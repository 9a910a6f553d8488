"""Makes topics over Kafka's admin protocol, on a connection opened for the purpose: it is seldom needed."""

import asyncio
from collections.abc import Sequence
from typing import Final

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from shared import topics
from shared.errors import DependencyUnavailable
from shared.kafka_access import client_options
from shared.settings import EngineSettings
from shared.tenant_access import allow
from shared.topics import TopicSpec

ENSURE_SECONDS: Final = 3.0


class KafkaTopics:
    """Makes tenants' topics on a running installation, replicated as the pipeline's own are."""

    def __init__(self, settings: EngineSettings, seconds: float = ENSURE_SECONDS) -> None:
        self._settings, self._seconds = settings, seconds

    async def ensure(self, specs: Sequence[TopicSpec]) -> None:
        """Have these topics exist, say `topics.tenant_topics(tenant)`; safe to repeat. Raises DependencyUnavailable."""
        try:
            async with asyncio.timeout(self._seconds):
                await make_topics(self._settings, specs, seconds=self._seconds)
        except (KafkaError, LookupError, OSError, TimeoutError) as error:
            raise DependencyUnavailable("kafka", type(error).__name__) from error

    async def ensure_tenant(self, tenant: str) -> None:
        """Have a tenant's topics exist, and its principal's access to them. Raises DependencyUnavailable."""
        await self.ensure(topics.tenant_topics(tenant))
        if not self._settings.kafka_access_rules:
            return
        try:
            async with asyncio.timeout(self._seconds):
                await allow(self._settings, [tenant], self._seconds)
        except (KafkaError, OSError, TimeoutError) as error:
            raise DependencyUnavailable("kafka", type(error).__name__) from error


async def make_topics(
    settings: EngineSettings, specs: Sequence[TopicSpec], replication: int | None = None, seconds: float = 10.0
) -> None:
    """Make what is missing; what is there stays as it is. Without `replication`: as many replicas as the pipeline has.

    Raises KafkaError or OSError; LookupError when there is no pipeline to look at.
    """
    milliseconds = int(seconds * 1000)
    admin = AIOKafkaAdminClient(**client_options(settings), request_timeout_ms=milliseconds)
    try:
        await admin.start()
        if replication is None:
            [pipeline] = await admin.describe_topics([topics.COMPLETED])
            replication = len(pipeline["partitions"][0]["replicas"])  # as whoever installed the broker chose it
        answer = await admin.create_topics([_new_topic(spec, replication) for spec in specs], timeout_ms=milliseconds)
    finally:
        await admin.close()
    for topic, code, *message in answer.topic_errors:
        error = for_code(code)
        if code and error is not TopicAlreadyExistsError:
            raise error(f"{topic}: {message[0] if message else ''}")


def _new_topic(spec: TopicSpec, replication: int) -> NewTopic:
    return NewTopic(spec.name, spec.partitions, replication, topic_configs=topics.configs(spec, replication))
