"""Creates topics: what is there already stays as it is."""

import asyncio
from collections.abc import Sequence
from typing import Final

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from shared.topics import RETENTION_MS, TopicSpec

PAUSE_SECONDS: Final = 0.02  # the embedded broker forgets its topics; whoever is first at it must be this


async def create_topics(bootstrap: str, specs: Sequence[TopicSpec], replication: int, patience_seconds: float) -> None:
    """Create what is missing, waiting for the broker; raises the last KafkaError when patience ends."""
    clock = asyncio.get_running_loop().time
    until = clock() + patience_seconds
    while True:
        try:
            return await _create(bootstrap, [_new_topic(spec, replication) for spec in specs])
        except (KafkaError, OSError):
            if clock() > until:
                raise
            await asyncio.sleep(PAUSE_SECONDS)


async def _create(bootstrap: str, topics: list[NewTopic]) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=10_000)
    try:
        await admin.start()
        answer = await admin.create_topics(topics, timeout_ms=10_000)
    finally:
        await admin.close()
    for topic, code, *message in answer.topic_errors:
        error = for_code(code)
        if code and error is not TopicAlreadyExistsError:
            raise error(f"{topic}: {message[0] if message else ''}")


def _new_topic(spec: TopicSpec, replication: int) -> NewTopic:
    configs = {
        "retention.ms": str(RETENTION_MS),
        "max.message.bytes": str(spec.max_message_bytes),
        "min.insync.replicas": "2" if replication > 2 else "1",
    }
    return NewTopic(spec.name, spec.partitions, replication, topic_configs=configs)
