"""One tenant's bad neighbour leaves another tenant's delays alone: floods, slow sources, dead receivers."""

from typing import Final

from deploy.demo.samples import curriculum_vitae
from deploy.stack import EmbeddedStack
from tests.e2e.client import Client, Json, open_client, person
from tests.stacks import PATIENT
from tests.torture import neighbours
from tests.torture.delays import NOTE, in_ms, steadily, watched
from tests.torture.neighbours import Amount
from tests.torture.scenario import Findings, Run

PER_SECOND: Final = 4.0
ALONE: Final = 60  # mutations before each neighbour
BESIDE: Final = 240  # so that p99 is not the one worst of them
FLOOD_SECONDS: Final = 2.0  # what a flood may add (design §8)
TIMES: Final = 2.0  # what the others may make of a delay: so many times as much, and so many seconds
SECONDS: Final = 0.5


# Name -> (what it is, how much of it in the long form, how much in the short one, whether it is a flood)
NEIGHBOURS: Final = {
    "a flood": (neighbours.flood, Amount(2000, 500), Amount(1000), True),
    "a flood of one record": (neighbours.flood_of_one_record, Amount(1000, 500), Amount(100), True),
    "a slow host": (neighbours.slow_host, Amount(64, 64), Amount(64), False),
    "silent hosts": (neighbours.silent_hosts, Amount(60, 60), Amount(60), False),
    "dead receivers": (neighbours.dead_receivers, Amount(500), Amount(60), False),
}


def _others(client: Client, number: int) -> Json:
    """What the other tenant sends: files in the request and by URL in turn."""
    by_url = {"filename": "cv.pdf", "url": client.site.file_url("cv.pdf")}
    return person(otherAttachments=[NOTE]) if number % 2 else person(curriculumVitae=[by_url])


async def _delays(other: Client, count: int, per_second: float, findings: Findings) -> list[float]:
    mine = watched(other)
    await steadily(mine, count, per_second, lambda number: _others(other, number))
    findings.expect(mine.statuses() == {"completed"}, f"the other tenant's mutations ended {mine.statuses()}")
    return mine.delays()


async def _short(demo: Client, other: Client, findings: Findings) -> None:
    """The other tenant's mutations are completed while the neighbour is still at it."""
    for name, (open_neighbour, _, amount, _) in NEIGHBOURS.items():
        async with open_neighbour(demo, amount) as neighbour:
            await _delays(other, 4, 4.0, findings)
            findings.expect(neighbour.busy(), f"{name} was over before the other tenant's few mutations")


async def _long(demo: Client, other: Client, findings: Findings) -> None:
    alone: list[float] = []
    beside: dict[str, list[float]] = {}
    for name, (open_neighbour, amount, _, _) in NEIGHBOURS.items():
        alone += await _delays(other, ALONE, PER_SECOND, findings)
        async with open_neighbour(demo, amount) as neighbour:
            beside[name] = await _delays(other, BESIDE, PER_SECOND, findings)
            findings.expect(neighbour.busy(), f"{name} was over too soon")
            findings.figures[f"{name}: mutations of its own"] = neighbour.sent()
    findings.figures["alone (ms)"] = usual = in_ms(alone)
    for name, delays in beside.items():
        findings.figures[f"beside {name} (ms)"] = seen = in_ms(delays)
        flood = NEIGHBOURS[name][-1]
        most = usual["p99"] + FLOOD_SECONDS * 1000 if flood else TIMES * usual["p99"] + SECONDS * 1000
        findings.expect(seen["p99"] <= most, f"beside {name} p99 is {seen['p99']} ms, more than {most:.0f} ms")


async def play(run: Run) -> Findings:
    """See the module."""
    findings = Findings()
    async with (
        EmbeddedStack(run.directory, broker=run.broker, env=PATIENT if run.short else {}) as stack,
        open_client(stack.handle, "demo") as demo,
        open_client(stack.handle, "other") as other,
    ):
        other.site.origin.files["cv.pdf"] = curriculum_vitae()
        await (_short if run.short else _long)(demo, other, findings)
    return findings
