"""How scenarios are played: whoever watches is told how far they are, and Ctrl-C ends them in order."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from tests.torture.__main__ import Stopped, play, watched
from tests.torture.scenario import Findings, Run, Scenario


async def test_a_scenario_that_takes_long_tells_how_far_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = ""

    async def until_told(run: Run) -> Findings:
        nonlocal seen
        run.counted["kills"] = lambda: "3 of 500"
        while "kills" not in seen:
            await asyncio.sleep(0.001)
            seen += capsys.readouterr().out
        return Findings({"kills": 3})

    findings = await watched(Scenario("kills", "", until_told), Run(tmp_path, 1), every_seconds=0.01)
    assert findings.figures == {"kills": 3}
    assert "0 s: kills 3 of 500" in seen


def test_ctrl_c_lets_a_scenario_take_down_what_it_started_and_plays_no_other(tmp_path: Path) -> None:
    ended: list[str] = []

    async def long(_: Run) -> Findings:
        os.kill(os.getpid(), signal.SIGINT)
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("taken down")
            raise RuntimeError("it failed on the way, as it may")

    with pytest.raises(Stopped):
        play(Scenario("kills", "", long), Run(tmp_path, 1))
    assert ended == ["taken down"]


def test_what_a_scenario_raises_is_a_broken_promise(tmp_path: Path) -> None:
    async def failing(_: Run) -> Findings:
        raise RuntimeError("no stack")

    (broken,) = play(Scenario("kills", "", failing), Run(tmp_path, 1)).findings.broken
    assert "no stack" in broken
