"""The tenants' own topics against a real broker."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence

import pytest
from aiokafka import AIOKafkaConsumer

from services.notifier.handler import TopicOutcome
from services.notifier.outcomes import AVOID_SECONDS, KafkaOutcomes
from shared import topics
from shared.errors import DependencyUnavailable
from shared.publisher import Publisher, open_publisher
from shared.settings import EngineSettings
from shared.tenant_topics import KafkaTopics
from shared.topics import TopicSpec
from tests.fakes_notifier import TRACE, completed
from tests.stacks import Handle


class Clock:
    """A clock that moves when told."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class ForbiddenTopics:
    """May not make the topic of one tenant; notes how often it was asked to."""

    def __init__(self, real: KafkaTopics, forbidden: str) -> None:
        self._real, self.forbidden = real, forbidden
        self.asked = 0

    async def ensure(self, specs: Sequence[TopicSpec]) -> None:
        self.asked += 1
        if topics.outcomes(self.forbidden) in [spec.name for spec in specs]:
            raise DependencyUnavailable("kafka", "TopicAuthorizationFailedError")
        await self._real.ensure(specs)


@pytest.fixture
async def publisher(servers: Handle) -> AsyncIterator[Publisher]:
    settings = EngineSettings(kafka_bootstrap=servers["kafka"], kafka_idempotence=False)
    async with open_publisher(settings) as opened:
        yield opened


def outcome(mutation: str, tenant: str) -> TopicOutcome:
    plain = completed(mutation)
    return TopicOutcome(plain._replace(event=plain.event.model_copy(update={"tenant": tenant})), b'{"body": 1}')


def tenant() -> str:
    return f"t-{uuid.uuid4().hex[:12]}"


async def test_a_missing_topic_is_made_and_the_callbacks_body_arrives(servers: Handle, publisher: Publisher) -> None:
    name = tenant()
    outcomes = KafkaOutcomes(publisher, KafkaTopics(EngineSettings(kafka_bootstrap=servers["kafka"]), 30.0))
    assert await outcomes.publish([outcome("m1", name), outcome("m2", name)]) == {"m1", "m2"}
    consumer = AIOKafkaConsumer(
        topics.outcomes(name), bootstrap_servers=servers["kafka"], auto_offset_reset="earliest", group_id=None
    )
    async with consumer, asyncio.timeout(20):
        records = [await consumer.getone() for _ in range(2)]
    headers = dict(records[0].headers)
    assert {record.value for record in records} == {b'{"body": 1}'}
    assert headers["ce_type"] == b"mutation.completed.v1"
    assert headers["traceparent"][:36] == TRACE[:36].encode(), "the next step of the same trace"
    assert {dict(record.headers)["ce_id"] for record in records} == {b"m1.completed", b"m2.completed"}


async def test_making_a_topic_that_is_there_is_void(servers: Handle) -> None:
    made, specs = KafkaTopics(EngineSettings(kafka_bootstrap=servers["kafka"]), 30.0), topics.tenant_topics(tenant())
    await made.ensure(specs)
    await made.ensure(specs)


async def test_a_topic_that_cannot_be_made_blocks_no_other_and_is_left_alone_for_a_while(
    servers: Handle, publisher: Publisher
) -> None:
    clock, good = Clock(), tenant()
    made = ForbiddenTopics(KafkaTopics(EngineSettings(kafka_bootstrap=servers["kafka"]), 30.0), "forbidden")
    outcomes = KafkaOutcomes(publisher, made, clock)
    batch = [outcome("m1", "forbidden"), outcome("m2", good)]
    assert await outcomes.publish(batch) == {"m2"}
    assert await outcomes.publish(batch) == {"m2"}
    assert made.asked == 2
    clock.now = AVOID_SECONDS[0] + 1
    made.forbidden = ""
    assert await outcomes.publish([outcome("m3", tenant())]) == {"m3"}
    assert made.asked == 3


async def test_an_absent_broker_leaves_outcomes_unpublished(publisher: Publisher) -> None:
    outcomes = KafkaOutcomes(publisher, KafkaTopics(EngineSettings(kafka_bootstrap="127.0.0.1:9")))
    assert await outcomes.publish([outcome("m1", tenant())]) == set()
