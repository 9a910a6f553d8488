"""The benchmark counts what it says it counts, and sends the files it says it sends."""

import base64
import json

import pytest
from standardwebhooks import Webhook

from deploy.bench.figures import figures
from deploy.bench.load import Accepted, Site
from deploy.bench.measure import Usage
from deploy.bench.workloads import WORKLOADS, Bodies

SITE = "http://127.0.0.1:9"
SECRET = "whsec_" + base64.b64encode(b"a" * 32).decode()


@pytest.mark.parametrize("name", ["W1", "W3"])
def test_inline_request_carries_exactly_the_file(name: str) -> None:
    bodies = Bodies(WORKLOADS[name], "0123456789abcdef", SITE)
    (file,) = json.loads(bodies.request(7))["curriculumVitae"]
    content = base64.b64decode(file["data"].removeprefix("data:application/pdf;base64,"), validate=True)
    assert content == bodies.file(7)
    assert len(content) == WORKLOADS[name].size


def test_url_request_names_the_file_that_the_site_serves() -> None:
    bodies = Bodies(WORKLOADS["W2"], "0123456789abcdef", SITE)
    (file,) = json.loads(bodies.request(7))["curriculumVitae"]
    assert file == {"filename": "cv.pdf", "url": f"{SITE}/files/7.pdf"}
    assert len(bodies.file(7)) == WORKLOADS["W2"].size


def test_no_two_files_are_equal() -> None:
    one, other = (Bodies(WORKLOADS["W3"], run, SITE) for run in ("0" * 16, "1" * 16))
    assert len({one.digest(1), one.digest(2), other.digest(1), other.digest(2)}) == 4


def test_figures_are_rates_times_and_cost_of_a_mutation() -> None:
    accepted = [Accepted(n, float(n), n + 0.5, f"m{n}", f"a{n}") for n in range(4)]
    site = Site(Webhook(SECRET))
    site.completed = {f"m{n}": (n + 1.0 + n, {}) for n in range(4)}
    result = figures(accepted, site, {"storage": Usage(1.0, 50.0)}, {"storage": Usage(1.02, 60.0)})
    assert (result["n"], result["p50Ms"], result["p99Ms"]) == (4, 2000.0, 4000.0)
    assert (result["acceptedPerSecond"], result["completedPerSecond"]) == (1.1, 0.6)
    assert result["cpuMsPerMutation"] == {"storage": 5.0, "total": 5.0}
    assert result["peakRssMb"] == {"storage": 60.0}
