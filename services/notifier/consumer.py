"""From `mutations.completed` to the handler: thin, in batches, the offsets committed after the work."""

import asyncio
from collections.abc import Sequence

from services.notifier import metrics
from services.notifier.handler import Completed, CompletedHandler
from shared.consume import DeadLetters, Delivery
from shared.crash_points import crash_point
from shared.events import MutationCompleted
from shared.observability import EVENTS_UNKNOWN


class CompletedConsumer:
    """Hands batches over, at least `every_seconds` apart: a small batch costs as many round trips as a large one."""

    def __init__(self, handler: CompletedHandler, letters: DeadLetters, every_seconds: float) -> None:
        self._handler, self._letters, self._every_seconds = handler, letters, every_seconds
        self._next = 0.0

    async def handle(self, deliveries: Sequence[Delivery[MutationCompleted]]) -> None:
        """Handle a batch. Raises DependencyUnavailable."""
        clock = asyncio.get_running_loop().time
        await asyncio.sleep(self._next - clock())
        self._next = clock() + self._every_seconds
        handled = await self._handler.handle([Completed(each.event, each.traceparent) for each in deliveries])
        EVENTS_UNKNOWN.inc(handled.unknown)
        metrics.UNPUBLISHED.inc(handled.unpublished)
        crash_point("notifier.committing")

    async def dead_letter(self, delivery: Delivery[MutationCompleted], error: Exception) -> None:
        """A bug: what is owed stays owed, so nothing is lost; the record is kept for whoever mends it."""
        await self._letters.send(delivery.record, type(error).__name__, 1)
