"""The services: whether each answers, and what it says of itself on /readyz and /healthz."""

import asyncio
from collections.abc import Mapping
from typing import Final

import aiohttp

from deploy.admin.checks.finding import Finding

BLOCKED: Final = "It goes on, and says so for a minute. Where it comes again: docs/runbooks/EventLoopBlocked.md"
TIME_OUT: Final = aiohttp.ClientTimeout(total=5)


async def look(addresses: Mapping[str, str]) -> list[Finding]:
    """What is wrong with the services at these addresses, by name."""
    async with aiohttp.ClientSession(timeout=TIME_OUT, trust_env=False) as session:
        found = await asyncio.gather(*(_service(session, name, url) for name, url in addresses.items()))
    return [finding for each in found for finding in each]


async def _service(session: aiohttp.ClientSession, name: str, url: str) -> list[Finding]:
    try:
        health, lines = await _asked(session, f"{url}/healthz")
        ready, _ = await _asked(session, f"{url}/readyz")
    except (aiohttp.ClientError, OSError, ValueError) as error:
        wrong = f"{name} does not answer at {url} ({type(error).__name__})."
        return [Finding("service_away", wrong, "Start it and look at its log; or correct the address.")]
    found = []
    for line in lines:
        if line.startswith("stuck:") or health != 200:
            found.append(
                Finding("service_stuck", f"{name} is {line}", "Restart it: only that helps (docs/operations.md).")
            )
        elif line.startswith("degraded:"):
            todo = BLOCKED if "event loop" in line else "Mend what it names; no restart would help."
            found.append(Finding("service_degraded", f"{name} is {line}", todo))
    if ready != 200:
        wrong = f"{name} is not ready: it starts, or it leaves."
        found.append(Finding("service_not_ready", wrong, "Wait for it; when it stays so, look at its log."))
    return found


async def _asked(session: aiohttp.ClientSession, url: str) -> tuple[int, list[str]]:
    async with session.get(url) as answer:
        return answer.status, (await answer.text()).splitlines()
