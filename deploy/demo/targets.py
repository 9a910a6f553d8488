"""Where the demo walks: an embedded stack started for it, or the containers of docker-compose.yml."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from deploy.demo.road import Target
from deploy.demo.screen import Screen, Unexpected
from deploy.demo.site import Site
from deploy.stack import EmbeddedStack

TENANT: Final = "demo"
CREDENTIALS: Final = "/var/lib/mutation-engine/credentials/credentials.json"
COMPOSE: Final = ("docker", "compose", "--profile", "demo")


@asynccontextmanager
async def stack_target(state_dir: Path, site: Site, screen: Screen) -> AsyncIterator[Target]:
    """Start the stack on its own state directory; it ends with the block."""
    stack = EmbeddedStack(state_dir, port=0, allow_loopback=True, broker="tansu")
    try:
        with screen.step("start the embedded stack"):
            handle = (await asyncio.to_thread(stack.start)).handle
            screen.detail = handle["http"]
        tenant = handle["tenants"][TENANT]
        yield Target(handle["http"], tenant["apiKey"], tenant["webhookSecret"], site.url, site.url, handle["logs"])
        with screen.step("stop it again"):
            await asyncio.to_thread(stack.stop)
    finally:
        await asyncio.to_thread(stack.stop)


async def compose_target() -> Target:
    """The running containers; starts the demo's own, and reads the credentials that `init` has made."""
    await compose("up", "--detach", "--wait", "demo.test")
    kept = json.loads(await compose("run", "--rm", "--no-deps", "-T", "init", "cat", CREDENTIALS))["tenants"][TENANT]
    http, site = os.environ.get("HTTP_PORT", "8000"), os.environ.get("DEMO_PORT", "8010")
    return Target(
        f"http://127.0.0.1:{http}",
        kept["apiKey"],
        kept["webhookSecret"],
        "http://demo.test:8000",
        f"http://127.0.0.1:{site}",
        "docker compose logs",
    )


async def compose(*arguments: str) -> str:
    """What `docker compose` says; raises Unexpected with the end of its complaint."""
    process = await asyncio.create_subprocess_exec(
        *COMPOSE, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    if process.returncode:
        raise Unexpected(
            f"docker compose {arguments[0]} to work (is `docker compose up` running?)", err.decode()[-500:]
        )
    return out.decode()
