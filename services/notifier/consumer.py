"""From `mutations.completed` to the handler: thin, in batches, the offsets committed after the work."""

from collections.abc import Sequence

from services.notifier import metrics
from services.notifier.handler import Completed, CompletedHandler
from shared.consume import Delivery
from shared.crash_points import crash_point
from shared.dead_letters import DeadLetters
from shared.events import MutationCompleted
from shared.limits import ANNOUNCEMENT_TRIES
from shared.observability import EVENTS_UNKNOWN


class CompletedConsumer:
    """Hands batches over, and counts what was odd about them."""

    def __init__(self, handler: CompletedHandler, letters: DeadLetters) -> None:
        self._handler, self._letters = handler, letters

    async def handle(self, deliveries: Sequence[Delivery[MutationCompleted]]) -> None:
        """Handle a batch. Raises DependencyUnavailable."""
        handled = await self._handler.handle([Completed(each.event, each.traceparent) for each in deliveries])
        EVENTS_UNKNOWN.inc(handled.unknown)
        metrics.UNPUBLISHED.inc(handled.unpublished)
        crash_point("notifier.committing")

    async def dead_letter(self, delivery: Delivery[MutationCompleted], error: Exception) -> None:
        """A bug: what is owed stays owed, so nothing is lost; the record is kept for whoever mends it."""
        await self._letters.send(delivery.record, type(error).__name__, ANNOUNCEMENT_TRIES)
