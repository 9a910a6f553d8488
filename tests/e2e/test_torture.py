"""The short form of every torture scenario, each on a stack of its own: outcomes only, no figure of time."""

import logging
import random
from pathlib import Path

import pytest

from tests.conftest import STACK
from tests.torture.scenario import Run, Scenario
from tests.torture.table import SCENARIOS

SECONDS = 900


def played(scenario: Scenario) -> object:
    """What needs Apache Kafka is played where that is tested, the others on the embedded broker: each of them once."""
    marks = [pytest.mark.kafka] if scenario.short_broker == "kafka" else []
    return pytest.param(scenario, marks=marks, id=scenario.name)


@pytest.mark.skipif(STACK not in ("embedded", "kafka"), reason="starts and breaks a stack of its own")
@pytest.mark.timeout(SECONDS)
@pytest.mark.parametrize("scenario", [played(each) for each in SCENARIOS])
async def test_short_form_breaks_no_promise(
    scenario: Scenario, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "aiokafka")  # a broker that is away on purpose is no news
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    findings = await scenario.play(Run(tmp_path, seed, scenario.short_broker, short=True))
    print(findings.figures)
    assert findings.broken == []
