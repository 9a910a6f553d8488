"""Plays seeds: `python -m tests.simulation --seeds 20000 --from 0`, or one of them: `--seed 17`.

Exit code 1 where a seed failed, or a kind of fault was never reached; 130 after Ctrl-C.
"""

import argparse
import os
import resource
import sys
import time
from collections import Counter
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path
from typing import Final

from tests.simulation import scenario
from tests.simulation.faults import KINDS
from tests.simulation.scenario import Result

EVERY: Final = 1000  # seeds between two words about how far it is


def results(first: int, count: int, jobs: int) -> Iterator[Result]:
    """In the order of their ends."""
    seeds = range(first, first + count)
    if jobs == 1:
        yield from map(scenario.run, seeds)
        return
    with get_context("spawn").Pool(jobs, scenario.prepare_worker) as pool:
        yield from pool.imap_unordered(scenario.run, seeds, chunksize=16)


def _regressions() -> list[int]:
    lines = Path(__file__).with_name("regressions.txt").read_text().splitlines()
    return [int(line.split()[0]) for line in lines if line and not line.startswith("#")]


def _counted(played: Iterator[Result], seeds: int) -> Iterator[Result]:
    """The same, with a word now and then on standard error."""
    for count, result in enumerate(played, 1):
        if count % EVERY == 0:
            print(f"{count:,} of {seeds:,} seeds", file=sys.stderr, flush=True)
        yield result


def _asked() -> argparse.Namespace:
    form = argparse.RawDescriptionHelpFormatter
    arguments = argparse.ArgumentParser("python -m tests.simulation", description=__doc__, formatter_class=form)
    arguments.add_argument("--seeds", type=int, default=300, help="how many, each another schedule of faults (300)")
    arguments.add_argument("--from", dest="first", type=int, default=0, help="the first of them (0)")
    arguments.add_argument("--seed", type=int, action="append", help="this one alone, told in full; repeatable")
    arguments.add_argument("--regressions", action="store_true", help="those that once failed: regressions.txt")
    arguments.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes at once (all cores)")
    return arguments.parse_args()


def main() -> int:
    """The exit code: 1 where a seed failed, or a fault was never reached."""
    asked = _asked()
    scenario.prepare()
    chosen = asked.seed or (_regressions() if asked.regressions else [])
    if chosen:
        return _tell([scenario.run(seed) for seed in chosen], every=True)
    begun = time.monotonic()
    played = list(_counted(results(asked.first, asked.seeds, asked.jobs), asked.seeds))
    seconds = time.monotonic() - begun
    code = _tell(played)
    used = sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    print(f"{len(played)} seeds in {seconds:.1f} s: {len(played) / seconds:.1f} a second; {used:.1f} s of CPU time")
    reached = sum((each.reached for each in played), Counter[str]())
    missing = [kind for kind in KINDS if not reached[kind]]
    print("faults reached: " + ", ".join(f"{kind} {reached[kind]}" for kind in KINDS))
    if missing:
        print("never reached: " + ", ".join(missing))
    return code or bool(missing)


def _tell(played: list[Result], every: bool = False) -> int:
    failed = sorted((each for each in played if each.findings), key=lambda each: each.seed)
    for each in failed if not every else played:
        print(f"seed {each.seed}: {each.virtual_seconds:.6f} s, {each.steps} steps, {dict(sorted(each.ends.items()))}")
        print("".join(f"    {finding}\n" for finding in each.findings), end="")
        if each.findings:
            print(f"    again: python -m tests.simulation --seed {each.seed}")
    print(f"{len(failed)} of {len(played)} seeds failed")
    return int(bool(failed))


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":  # the order in sets is part of a schedule
        os.execve(
            sys.executable,
            [sys.executable, "-m", "tests.simulation", *sys.argv[1:]],
            os.environ | {"PYTHONHASHSEED": "0"},
        )
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
