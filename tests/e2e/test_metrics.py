"""What Prometheus reads of a running stack after one mutation has gone its way."""

from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from deploy.demo.samples import curriculum_vitae
from tests.e2e.canaries import measured
from tests.e2e.client import Client, person
from tests.retry import eventually

LANES = {"waiting", "working", "parked", "owed"}
CONSUMED = {
    "ingest": "mutations.commands",
    "fetcher": "mutations.accepted",
    "storage": "mutations.fetched",
    "notifier": "mutations.completed",
}
BUDGETS = {
    "ingest": {"body_bytes", "uploads", "http_requests", "publish_bytes"},
    "fetcher": {"mutations_in_fetch", "publish_bytes"},
    "storage": {"publish_bytes"},
    "notifier": {"callbacks_in_flight", "callbacks_in_memory", "publish_bytes"},
}
DONE = {
    ("ingest", "engine_http_requests_total"),
    ("ingest", "engine_http_request_seconds_count"),
    ("fetcher", "engine_downloads_total"),
    ("storage", "engine_outcomes_total"),
    ("storage", "engine_mutation_seconds_count"),
    ("notifier", "engine_callback_attempts_total"),
    ("notifier", "engine_callback_seconds_count"),
}


@pytest.fixture
def handle(stack: dict[str, Any]) -> dict[str, Any]:
    """Of a stack whose services we can ask one by one."""
    if not stack["logs"]:
        pytest.skip("the services of this stack are not ours to ask")
    return stack


async def told(client: Client) -> list[tuple[str, str, dict[str, str], float]]:
    """(service, series, labels, value) of all that is told."""
    texts = await measured(client)
    return [
        (service, sample.name, sample.labels, sample.value)
        for service, text in texts.items()
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    ]


async def test_each_service_tells_of_its_work_its_lag_its_budgets_and_the_gateway_of_the_backlog(
    handle: dict[str, Any], client: Client
) -> None:
    client.site.origin.files["cv.pdf"] = curriculum_vitae()
    cv = [{"filename": "cv.pdf", "url": client.site.file_url("cv.pdf")}]
    await client.outcome(await client.write("POST", "/candidates", person(curriculumVitae=cv)))

    async def complete() -> None:
        samples = await told(client)
        assert {(service, name) for service, name, _, value in samples if value} >= DONE
        lag = {
            service: labels["topic"] for service, name, labels, _ in samples if name == "engine_consumer_lag_records"
        }
        assert lag == CONSUMED
        assert {labels["lane"] for _, name, labels, _ in samples if name == "engine_mutations"} == LANES
        assert {labels["environment"] for _, name, labels, _ in samples if name == "engine_deliveries_pending"}

    await eventually(complete)


async def test_budgets_have_limits_and_no_label_names_a_tenant(handle: dict[str, Any], client: Client) -> None:
    samples = await told(client)
    for service, names in BUDGETS.items():
        limits = {
            labels["budget"]: value
            for who, name, labels, value in samples
            if name == "engine_budget_limit" and who == service
        }
        assert set(limits) >= names
        assert all(limits[name] > 0 for name in names)

    words = {word for _, _, labels, _ in samples for word in labels.values()}
    assert words.isdisjoint(handle["tenants"])
    assert words.isdisjoint(f"mutations.commands.{tenant}" for tenant in handle["tenants"])
