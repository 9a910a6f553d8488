"""Plays the scenarios and reports: `python -m tests.torture --only kills --seed 17 --json torture.json`.

Exit code 1 where a promise was broken, 2 where nothing can be played, 130 after Ctrl-C.
The same seed makes the same choices; the machine still decides when.
"""

import argparse
import asyncio
import logging
import random
import signal
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Final

from tests.torture.report import Played, write
from tests.torture.scenario import Findings, Run, Scenario
from tests.torture.table import SCENARIOS

EVERY_SECONDS: Final = 30.0  # between two words about how far a scenario is


def _asked() -> argparse.Namespace:
    arguments = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    arguments.add_argument("--only", default="", help=f"of {', '.join(each.name for each in SCENARIOS)}")
    arguments.add_argument("--broker", choices=("kafka", "tansu"), default="kafka")
    arguments.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    arguments.add_argument("--short", action="store_true", help="the form that `make test` plays")
    arguments.add_argument("--json", type=Path, default=Path("torture.json"))
    arguments.add_argument("--directory", type=Path, help="keep state and logs here")
    return arguments.parse_args()


def _chosen(only: str, broker: str) -> list[Scenario]:
    names = [name.replace("-", "_") for name in only.split(",") if name]
    unable = [each.name for each in SCENARIOS if broker not in each.brokers]
    for name in names:
        if name not in {each.name for each in SCENARIOS}:
            _refuse(f"there is no scenario {name}; there are: {', '.join(each.name for each in SCENARIOS)}")
        if name in unable:
            _refuse(f"{name} needs BROKER=kafka")
    if unable and not names:
        print(f"left out, because they need BROKER=kafka: {', '.join(unable)}", flush=True)
    return [each for each in SCENARIOS if each.name not in unable and (not names or each.name in names)]


def _refuse(reason: str) -> None:
    print(reason, file=sys.stderr)
    sys.exit(2)


class Stopped(Exception):
    """Ctrl-C; what the scenario had started is gone."""


async def watched(scenario: Scenario, run: Run, every_seconds: float = EVERY_SECONDS) -> Findings:
    """Play it and tell now and then how far it is. Raises Stopped."""
    loop, told = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGINT, told.set)
    begun, stop = loop.time(), loop.create_task(told.wait())
    playing = loop.create_task(scenario.play(run))
    while not (await asyncio.wait({playing, stop}, timeout=every_seconds, return_when=asyncio.FIRST_COMPLETED))[0]:
        how_far = [f"{name} {count()}" for name, count in run.counted.items()]
        print(f"    {loop.time() - begun:.0f} s: {', '.join(how_far) or 'at it'}", flush=True)
    if told.is_set():
        playing.cancel()
        await asyncio.gather(playing, return_exceptions=True)
        raise Stopped
    stop.cancel()
    return playing.result()


def play(scenario: Scenario, run: Run) -> Played:
    """One scenario; what it raises is a broken promise, too. Raises Stopped."""
    begun = time.monotonic()
    run.directory.mkdir(parents=True, exist_ok=True)
    try:
        findings = asyncio.run(watched(scenario, run))
    except Stopped:
        raise
    except Exception as error:
        traceback.print_exc()
        findings = Findings(broken=[f"the scenario itself failed: {error!r}"])
    return Played(scenario, run, time.monotonic() - begun, findings)


def main() -> int:
    """The exit code."""
    asked, played = _asked(), []
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # a broker that is away on purpose is no news
    chosen = _chosen(asked.only, asked.broker)
    print(f"seed {asked.seed}", flush=True)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        root = (asked.directory or Path(scratch)).resolve()
        for scenario in chosen:
            print(f"playing {scenario.name} …", flush=True)
            played.append(play(scenario, Run(root / scenario.name, asked.seed, asked.broker, asked.short)))
            print("\n".join(played[-1].lines()), flush=True)
            write(asked.json, asked.seed, played)
    print(f"{sum(not each.findings.broken for each in played)} of {len(played)} scenarios held; report: {asked.json}")
    return int(any(each.findings.broken for each in played))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (Stopped, KeyboardInterrupt):
        print("stopped; the report has the scenarios that were played to their end", file=sys.stderr)
        sys.exit(130)
