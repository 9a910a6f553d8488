"""Creates the topics of an installation: what is there already stays as it is."""

import asyncio
from collections.abc import Sequence
from typing import Final

from aiokafka.errors import KafkaError

from shared.errors import DependencyUnavailable
from shared.settings import EngineSettings
from shared.tenant_topics import make_topics
from shared.topics import TopicSpec

PAUSE_SECONDS: Final = 0.02  # the embedded broker forgets its topics; whoever is first at it must be this


async def create_topics(
    settings: EngineSettings, specs: Sequence[TopicSpec], replication: int, patience_seconds: float
) -> None:
    """Create what is missing, waiting for the broker; raises DependencyUnavailable when patience ends."""
    clock = asyncio.get_running_loop().time
    until = clock() + patience_seconds
    while True:
        try:
            return await make_topics(settings, specs, replication)
        except (KafkaError, OSError) as error:
            if clock() > until:
                raise DependencyUnavailable("kafka", repr(error)) from error
            await asyncio.sleep(PAUSE_SECONDS)
