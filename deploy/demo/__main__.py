"""`python -m deploy.demo`: shows the whole road on one machine and exits 0 only if every step held."""

import argparse
import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from deploy.demo.road import Road, Target
from deploy.demo.screen import Screen, StepFailed
from deploy.demo.site import open_site
from deploy.demo.targets import compose_target, stack_target


@asynccontextmanager
async def open_target(name: str, state_dir: Path, screen: Screen) -> AsyncIterator[Target]:
    """The embedded stack, started here, or the containers that are already running."""
    if name == "compose":
        with screen.step("find the containers"):
            target = await compose_target()
        yield target
        return
    async with open_site() as site, stack_target(state_dir, site, screen) as target:
        yield target


async def run(name: str, state_dir: Path) -> int:
    """Exit code: 0 only if all held."""
    screen, started = Screen(), time.perf_counter()
    logs = str(state_dir)
    try:
        async with (
            open_target(name, state_dir, screen) as target,
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session,
        ):
            logs = target.logs
            await Road(target, screen, session).walk()
    except StepFailed as failure:
        console = screen.console
        console.print(f"\nFailed at: {failure.step}", markup=False)
        console.print(f"Expected:  {failure.expected}", markup=False)
        console.print(f"Seen:      {failure.seen}", markup=False)
        console.print(f"Logs:      {logs}", markup=False)
        return 1
    screen.console.print(f"\nAll held, in {time.perf_counter() - started:.1f} s.")
    return 0


def main() -> int:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m deploy.demo", description=__doc__)
    parser.add_argument("--target", choices=("stack", "compose"), default="stack", help="compose: what runs already")
    parser.add_argument("--state-dir", type=Path, default=Path(".run/demo"), help="of the stack that it starts")
    options = parser.parse_args()
    return asyncio.run(run(options.target, options.state_dir))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:  # what was started has been taken down
        sys.exit(130)
