"""Metrics that several services have; docs/metrics.md lists all.

A label holds words of ours and nothing else: no tenant, no host, no id. Each value that was ever seen costs a series in
every process and in Prometheus for ever, and `/metrics` of the gateway needs no key.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from prometheus_client import Counter, Gauge, Histogram

from shared.topics import ACCEPTED, COMMANDS_PATTERN, COMPLETED, FETCHED, family

BUDGET_USED = Gauge("engine_budget_used", "What is taken of something of which a process has so much", ["budget"])
BUDGET_LIMIT = Gauge("engine_budget_limit", "How much of it there is", ["budget"])
EGRESS_REFUSED = Counter("engine_egress_refused_total", "URLs and dials that the egress guard refused", ["code"])
FAILURES = Counter(
    "engine_failures_total", "Mutations and files that ended with a code of docs/errors.md", ["of", "code"]
)
DEAD_LETTERS = Counter("engine_dead_letters_total", "Records put on a dead-letter topic", ["topic", "fault"])
PUBLISHED_AGAIN = Counter("engine_published_again_total", "Events that were lost and went out once more", ["topic"])
FAULTS_OF_OURS: Final = ("deadline_exceeded", "internal_error", "staged_object_lost")
MUTATION_SECONDS = Histogram(
    "engine_mutation_seconds",
    "From the 202 to the end",
    ["environment"],
    buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 6 * 3600, 24 * 3600),
)

# A series that begins with its first event has no rise that Prometheus could see: so what alarms begins at 0.
for _topic in (ACCEPTED, FETCHED, COMPLETED, family(COMMANDS_PATTERN)):
    DEAD_LETTERS.labels(_topic, "ours")
for _topic in (ACCEPTED, COMPLETED):
    PUBLISHED_AGAIN.labels(_topic)
for _code in FAULTS_OF_OURS:
    FAILURES.labels("mutation", _code)
    FAILURES.labels("file", _code)


def watch_budget(budget: str, limit: float, used: Callable[[], float]) -> None:
    """Tell of this budget from now on; `used` is asked at each look of Prometheus."""
    BUDGET_LIMIT.labels(budget).set(limit)
    BUDGET_USED.labels(budget).set_function(used)


def count_failures(outcome: Mapping[str, Any]) -> None:
    """The codes of a mutation that has ended, `data` of its callback: its own and those of its files."""
    for of, errors in (("mutation", [outcome["error"]]), ("file", [each["error"] for each in outcome["attachments"]])):
        for error in errors:
            if error:
                FAILURES.labels(of, error["code"]).inc()
