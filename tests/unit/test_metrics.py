"""What is told to Prometheus, and that nobody from outside can make it more than a bounded number of series."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client import REGISTRY

from services.ingest.backlog import Backlog, Lane
from shared import topics
from shared.errors import DependencyUnavailable
from shared.metrics import count_failures, watch_budget


def value(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, labels)


@pytest.mark.parametrize(
    ("topic", "told"),
    [
        (topics.ACCEPTED, "mutations.accepted"),
        (topics.commands("acme"), "mutations.commands"),
        (topics.outcomes("acme"), "mutations.outcomes"),
        (topics.COMMANDS_PATTERN, "mutations.commands"),
    ],
    ids=str,
)
def test_no_metric_names_a_tenant_by_its_topic(topic: topics.Topic, told: str) -> None:
    assert topics.family(topic) == told


def test_a_budget_tells_what_is_used_of_it_at_each_look() -> None:
    used = [3.0]
    watch_budget("test", 10, lambda: used[0])
    assert (value("engine_budget_used", budget="test"), value("engine_budget_limit", budget="test")) == (3, 10)

    used[0] = 7
    assert value("engine_budget_used", budget="test") == 7


def test_the_codes_of_a_mutation_and_of_its_files_are_counted() -> None:
    before = value("engine_failures_total", of="file", code="source_error") or 0.0
    file: dict[str, Any] = {"error": {"code": "source_error", "message": ""}}
    count_failures({"error": {"code": "no_file_stored", "message": ""}, "attachments": [file, {"error": None}, file]})

    assert value("engine_failures_total", of="file", code="source_error") == before + 2
    assert value("engine_failures_total", of="mutation", code="no_file_stored")


class Counts:
    """A database's answers."""

    def __init__(self) -> None:
        self.leads, self.away = True, False

    async def hold(self, lease: str, seconds: float) -> bool:
        return self.leads

    async def lanes(self, environment: str) -> dict[str, Lane]:
        if self.away:
            raise DependencyUnavailable("mongodb")
        return {"parked": Lane(4, datetime.now(UTC) - timedelta(hours=1)), "owed": Lane(0, None)}

    async def deliveries(self, environment: str) -> Lane:
        return Lane(9, datetime.now(UTC) - timedelta(hours=2))


async def test_the_backlog_is_told_with_its_age() -> None:
    await Backlog(counts := Counts(), ("live",), counts.hold).count()

    assert value("engine_mutations", environment="live", lane="parked") == 4
    assert value("engine_mutations_oldest_seconds", environment="live", lane="parked") == pytest.approx(3600, abs=60)
    assert value("engine_mutations_oldest_seconds", environment="live", lane="owed") == 0
    assert value("engine_deliveries_pending", environment="live") == 9
    assert value("engine_deliveries_overdue_seconds", environment="live") == pytest.approx(7200, abs=60)


@pytest.mark.parametrize("reason", ["another counts", "the database is away"])
async def test_a_backlog_that_is_not_known_is_not_told(reason: str) -> None:
    backlog = Backlog(counts := Counts(), ("live",), counts.hold)
    await backlog.count()
    counts.leads, counts.away = reason != "another counts", reason == "the database is away"
    try:
        await backlog.count()
    except DependencyUnavailable:
        assert counts.away

    assert value("engine_mutations", environment="live", lane="parked") is None
    assert value("engine_deliveries_overdue_seconds", environment="live") is None


def test_no_series_names_a_host_an_address_or_an_id() -> None:
    """Whatever the tests before this one did in this process."""
    values = {word for family in REGISTRY.collect() for sample in family.samples for word in sample.labels.values()}

    assert [word for word in values if re.search(r"[0-9a-f]{8}-|://|\d+\.\d+\.\d+\.\d+|\bme_", word)] == []
