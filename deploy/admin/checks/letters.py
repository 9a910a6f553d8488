"""Dead letters that lie there by a fault of ours: the set-up is not wrong by it, but somebody should look."""

import asyncio
import re
from collections import Counter
from typing import Final

from deploy.admin.checks.finding import Finding
from deploy.admin.terminal import counted
from shared import topics
from shared.errors import DependencyUnavailable
from shared.offsets import open_offsets
from shared.settings import EngineSettings

SECONDS: Final = 10.0
# Those of commands are their producers' fault, who are told.
OURS: Final = re.compile(f"^(?:{'|'.join(re.escape(topics.dead_letter(name)) for name in topics.READERS)})$")


async def look(settings: EngineSettings) -> list[Finding]:
    """One for each topic with letters; none where Kafka does not tell, which has a finding of its own."""
    lying = Counter[str]()
    try:
        async with asyncio.timeout(SECONDS), open_offsets(settings) as offsets:
            ends = await offsets.ends(OURS)
            starts = await offsets.starts(ends) if ends else {}
    except (DependencyUnavailable, OSError, ValueError):
        return []
    for partition, end in ends.items():
        lying[partition.topic] += max(end - starts[partition], 0)
    return [told(topic, count) for topic, count in sorted(lying.items()) if count]


def told(topic: str, count: int) -> Finding:
    """That so many lie there, and how to see them."""
    todo = f"mutation-engine dlq show {topic}, and docs/runbooks/DeadLetters.md. Replayed ones stay until 7 days old."
    return Finding("dead_letters", f"{counted(count, 'dead letter lies', 'dead letters lie')} on {topic}.", todo)
