"""What the notifier counts; attempts by outcome, and what a batch left undone."""

from typing import Final

from prometheus_client import Counter, Histogram

from services.notifier.dispatch import Dispatched, FailedDispatch
from shared.deliveries import ATTEMPT_ERRORS

ATTEMPTS: Final = Counter("engine_callback_attempts_total", "Callback attempts by result", ["result"])
ATTEMPT_SECONDS: Final = Histogram("engine_callback_seconds", "How long receivers took", buckets=(0.05, 0.5, 2, 5, 15))
ENDED: Final = Counter("engine_deliveries_ended_total", "Deliveries that ended, by status", ["status"])
UNPUBLISHED: Final = Counter("engine_outcomes_unpublished_total", "Outcomes that a tenant's topic did not take")
for _result in ATTEMPT_ERRORS:  # the first one of each must be seen to be a rise
    ATTEMPTS.labels(_result)


def count(dispatched: Dispatched) -> None:
    """Count one attempt."""
    ATTEMPT_SECONDS.observe(dispatched.answer.milliseconds / 1000)
    if not isinstance(dispatched, FailedDispatch):
        ATTEMPTS.labels("delivered").inc()
        ENDED.labels("delivered").inc()
        return
    ATTEMPTS.labels(dispatched.error).inc()
    if dispatched.status != "pending":
        ENDED.labels(dispatched.status).inc()
