"""`python -m deploy.demo.smoke`: image, compose file, and what survives new containers on the same volumes.

Everything has names, ports and a network of its own, so an installation that runs here already is left alone.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import aiohttp

from deploy.demo.road import Road
from deploy.demo.screen import Screen, StepFailed, expect
from deploy.demo.targets import compose, compose_target

OWN: Final = {
    "COMPOSE_PROJECT_NAME": "mutation-engine-smoke",
    "ENGINE_IMAGE": "mutation-engine:smoke",
    "HTTP_PORT": "18000",
    "S3_PORT": "18333",
    "DEMO_PORT": "18010",
    "DEMO_NET": "98",
}
SERVICES: Final = ("ingest", "fetcher", "storage", "notifier")


async def smoke(screen: Screen) -> None:
    """Every step; raises StepFailed at the first that does not hold."""
    with screen.step("docker compose build"):
        await compose("build", "--quiet")
    async with removed_in_the_end(screen), aiohttp.ClientSession() as session:
        with screen.step("docker compose up"):
            await compose("up", "--detach", "--wait")
        first = Road(await compose_target(), screen, session)
        await first.walk()
        with screen.step("docker compose stop: every service leaves by itself"):
            await compose("stop")
            await left_by_themselves()
        with screen.step("docker compose down, but for the volumes"):
            await compose("down")
        with screen.step("docker compose up, with new containers"):
            await compose("up", "--detach", "--wait")
        await first.look_again()
        await Road(await compose_target(), screen, session).walk()


async def left_by_themselves() -> None:
    """Exit code 0 of each service: nobody was cut off, and nobody killed."""
    lines = (await compose("ps", "--all", "--format", "json", *SERVICES)).splitlines()
    expect(dict.fromkeys(SERVICES, 0), {seen["Service"]: seen["ExitCode"] for seen in map(json.loads, lines)})


@asynccontextmanager
async def removed_in_the_end(screen: Screen) -> AsyncIterator[None]:
    """Containers, networks and volumes of the smoke test go; of a failure the logs are shown before."""
    try:
        yield
    except StepFailed:
        screen.console.print(await compose("logs", "--no-color", "--tail", "40"), markup=False)
        raise
    finally:
        with screen.step("docker compose down, with the volumes"):
            await compose("down", "--volumes", "--remove-orphans")


def main() -> int:
    """Exit code: 0 only if all held."""
    os.environ |= {name: os.environ.get(f"SMOKE_{name}", value) for name, value in OWN.items()}
    screen, started = Screen(), time.perf_counter()
    try:
        asyncio.run(smoke(screen))
    except StepFailed as failure:
        screen.console.print(f"\nFailed at: {failure.step}", markup=False)
        screen.console.print(f"Expected:  {failure.expected}", markup=False)
        screen.console.print(f"Seen:      {failure.seen}", markup=False)
        return 1
    screen.console.print(f"\nAll held, in {time.perf_counter() - started:.1f} s.")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:  # what was started has been taken down
        sys.exit(130)
