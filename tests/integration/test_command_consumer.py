"""The gateway's consumer of commands on a real broker: how it leaves."""

import asyncio
from collections.abc import Iterable
from typing import Any, cast

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from services.ingest.command_consumer import CommandConsumer
from services.ingest.command_handler import CommandHandler, Received
from shared import topics
from shared.dead_letters import DeadLetters
from shared.process import CANCEL_AGAIN_SECONDS
from shared.publisher import open_publisher
from shared.settings import EngineSettings
from tests.factories import new_id

pytestmark = [pytest.mark.broker, pytest.mark.kafka]


class Slow:
    """A handler that has each batch in hand for longer than a cancelled job is left alone."""

    def __init__(self) -> None:
        self.begun, self.done = asyncio.Event(), 0

    async def handle(self, batch: Iterable[Received]) -> None:
        self.begun.set()
        await asyncio.sleep(3 * CANCEL_AGAIN_SECONDS)
        self.done += len(list(batch))


async def test_a_command_in_hand_is_finished_and_committed_and_the_group_left(servers: dict[str, Any]) -> None:
    settings = EngineSettings(kafka_bootstrap=servers["kafka"], kafka_idempotence=False)
    topic, handler = f"{topics.COMMANDS_PREFIX}t{new_id()}", Slow()
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka_bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 1, 1)])
    async with open_publisher(settings) as publisher:
        letters = DeadLetters(publisher)
        consumer = CommandConsumer(settings, cast(CommandHandler, handler), letters, lambda: 10.0)
        await publisher.send(topic, None, b"{}", [])
        async with consumer.consuming(lambda: None), asyncio.timeout(60):
            await handler.begun.wait()

    here = TopicPartition(topic, 0)
    found = await admin.list_consumer_group_offsets(topics.INGEST_GROUP, partitions=[here])
    [group] = (await admin.describe_consumer_groups([topics.INGEST_GROUP]))[0].groups
    await admin.close()
    assert (handler.done, found[here].offset) == (1, 1)
    assert group[2] == "Empty"
