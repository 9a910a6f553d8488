"""What those who run the service look at: metrics, log events, dashboards, alerts and runbooks fit each other."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser as promql
import pytest
import yaml
from prometheus_client import REGISTRY

from deploy.admin import code_search, signals
from deploy.admin.signal_meanings import EVENTS, LABELS

ROOT = Path(__file__).parents[2]
RUNBOOKS, PROMETHEUS = ROOT / "docs" / "runbooks", ROOT / "deploy" / "prometheus"
DASHBOARDS = sorted((ROOT / "deploy" / "grafana" / "dashboards").glob("*.json"))
GROUPS = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"]
ALERTS: dict[str, dict[str, Any]] = {rule["alert"]: rule for group in GROUPS for rule in group["rules"]}
OF_PROMETHEUS = {"up": set[str](), "ALERTS": {"alertname", "alertstate", "severity"}}
OF_EVERY_SERIES = {"job", "instance"}
RUNBOOK_LINES = 40
PROMTOOL = shutil.which("promtool")


def series() -> dict[str, set[str]]:
    """The labels of every series that Prometheus may hold, by its name."""
    found = dict(OF_PROMETHEUS)
    for metric in code_search.metrics():
        if metric.kind == "histogram":
            found |= {f"{metric.name}_{part}": set(metric.labels) for part in ("count", "sum")}
            found[f"{metric.name}_bucket"] = {*metric.labels, "le"}
        else:
            found[metric.name] = set(metric.labels)
    own = (sample.name for family in REGISTRY.collect() for sample in family.samples)
    return found | {name: set() for name in own if name.startswith("process_")}


SERIES = series()


def queries() -> Iterator[tuple[str, str]]:
    """(where, query) of every alert and of every panel."""
    for name, rule in ALERTS.items():
        yield name, rule["expr"]
    for path in DASHBOARDS:
        for panel in json.loads(path.read_text())["panels"]:
            yield from ((f"{path.stem}: {panel['title']}", target["expr"]) for target in panel["targets"])


def selectors(node: Any) -> Iterator[Any]:
    """Every selector of series below a node of a parsed query."""
    if isinstance(node, promql.VectorSelector):
        yield node
        return
    parts = [getattr(node, name, None) for name in ("vector_selector", "expr", "lhs", "rhs", "param")]
    for part in [*parts, *getattr(node, "args", ())]:
        if part is not None and not isinstance(part, str):
            yield from selectors(part)


@pytest.mark.parametrize(("where", "query"), [pytest.param(*each, id=each[0]) for each in queries()])
def test_every_query_parses_and_asks_for_what_the_code_tells(where: str, query: str) -> None:
    found = list(selectors(promql.parse(query)))
    asked = set(re.findall(r"\b(?:engine|process)_\w+", query)) & set(SERIES)

    assert found or "vector(0)" in query
    assert asked <= {each.name for each in found}, "a selector was overlooked"
    for each in found:
        assert each.name in SERIES, "no such metric"
        named = {matcher.name for matcher in each.matchers.matchers}
        assert named <= SERIES[each.name] | OF_EVERY_SERIES, f"{each.name} has no such label"


@pytest.mark.parametrize("name", sorted(name for name, rule in ALERTS.items() if "for" in rule))
def test_one_event_that_is_long_over_sets_no_alert_off_that_waits(name: str) -> None:
    """Within its range one event is a rise all the time: a range of `for` or more would wait it out and fire."""
    fires, _, _ = ALERTS[name]["expr"].partition("unless")  # what stands behind it keeps the alert away
    ranges = [promql.parse_duration(each) for each in re.findall(r"\[(\w+)\]", fires)]

    assert [each for each in ranges if each >= promql.parse_duration(ALERTS[name]["for"])] == []


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    pages = {path.stem for path in RUNBOOKS.glob("*.md")} - {"README"}
    listed = re.findall(r"^\| \[(\w+)\]\(\1\.md\) \| (\w+) \|", (RUNBOOKS / "README.md").read_text(), re.MULTILINE)

    assert pages == set(ALERTS)
    assert {name: rule["annotations"]["runbook"] for name, rule in ALERTS.items()} == {
        name: f"docs/runbooks/{name}.md" for name in ALERTS
    }
    assert listed == [(name, rule["labels"]["severity"]) for name, rule in ALERTS.items()]


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_a_runbook_is_short_and_says_what_it_means_how_to_see_it_and_what_to_do(name: str) -> None:
    lines = (RUNBOOKS / f"{name}.md").read_text().splitlines()

    assert lines[0] == f"# {name}"
    assert [line for line in lines if line.startswith("##")] == ["## What it means", "## See it", "## What to do"]
    assert len(lines) <= RUNBOOK_LINES


@pytest.mark.parametrize("name", sorted(ALERTS))
def test_a_runbook_names_only_events_metrics_and_pages_that_exist(name: str) -> None:
    text = (RUNBOOKS / f"{name}.md").read_text()
    events, metrics = re.findall(r"`([a-z]+\.[a-z_]+)`", text), re.findall(r"`(engine_\w+)[`{]", text)
    pages = re.findall(r"\]\(([^)#]+\.md)", text)

    topics = {f"mutations.{name}" for name in ("accepted", "fetched", "completed", "commands")}
    assert set(events) - topics <= set(EVENTS)
    assert set(metrics) <= set(SERIES)
    assert [page for page in pages if not (RUNBOOKS / page).exists()] == []


def test_every_alert_is_tested_both_ways() -> None:
    tests = yaml.safe_load((PROMETHEUS / "alerts_test.yml").read_text())["tests"]
    checked = [check for test in tests for check in test["alert_rule_test"]]

    assert {check["alertname"] for check in checked if check.get("exp_alerts")} == set(ALERTS)
    assert {check["alertname"] for check in checked if not check.get("exp_alerts")} == set(ALERTS)


def test_dashboards_have_names_of_their_own_and_panels_that_say_what_they_show() -> None:
    found = [json.loads(path.read_text()) for path in DASHBOARDS]

    assert {path.stem for path in DASHBOARDS} == {"overview", "gateway", "pipeline", "callbacks"}
    assert len({each["uid"] for each in found}) == len({each["title"] for each in found}) == len(found)
    assert all(panel["title"] and panel["targets"] for each in found for panel in each["panels"])


def test_a_single_figure_is_that_of_now() -> None:
    """Of a range the last one counts, so that a figure which nobody can tell any more would be shown on and on."""
    panels = [panel for path in DASHBOARDS for panel in json.loads(path.read_text())["panels"]]
    targets = [target for panel in panels if panel["type"] == "stat" for target in panel["targets"]]

    assert targets
    assert [target["expr"] for target in targets if not target.get("instant")] == []


def test_every_label_and_every_event_is_explained_and_nothing_else() -> None:
    labels = {label for metric in code_search.metrics() for label in metric.labels}

    assert sorted(LABELS) == sorted(labels), "say in deploy/admin/signal_meanings.py what the label can be"
    assert sorted(EVENTS) == sorted(signals.logged()), "say in deploy/admin/signal_meanings.py what the event means"
    assert list(EVENTS) == sorted(EVENTS)


def test_no_metric_has_a_label_whose_values_others_make_up() -> None:
    named = {
        "tenant",
        "host",
        "receiver",
        "source",
        "record",
        "mutation",
        "path",
        "key",
        "url",
        "id",
        "error",
        "partition",
    }

    assert [metric for metric in code_search.metrics() if named & set(metric.labels)] == []


if PROMTOOL:  # of Debian's package `prometheus`; where it is not installed, the queries above are parsed all the same

    @pytest.mark.parametrize(
        "command", ["check rules alerts.yml", "check config prometheus.yml", "test rules alerts_test.yml"]
    )
    def test_prometheus_takes_the_rules_and_they_fire_as_they_should(command: str) -> None:
        done = subprocess.run(
            [str(PROMTOOL), *command.split()], cwd=PROMETHEUS, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
