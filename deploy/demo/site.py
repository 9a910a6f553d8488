"""Origin and receiver behind one port: in-process for demo and tests, a program of its own for the container."""

import argparse
import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from deploy.demo.origin import Origin
from deploy.demo.receiver import Receiver

LARGEST_FILE = 64 * 1024 * 1024


@dataclass
class Site:
    """The two programs and the address at which the services reach them."""

    origin: Origin = field(default_factory=Origin)
    receiver: Receiver = field(default_factory=Receiver)
    url: str = ""

    def file_url(self, name: str) -> str:
        """Where the fetcher finds a file."""
        return f"{self.url}/files/{name}"

    def hook_url(self, name: str) -> str:
        """Where the notifier sends callbacks."""
        return f"{self.url}/hooks/{name}"


@asynccontextmanager
async def open_site(host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[Site]:
    """Serve until the block ends; port 0 takes any free one."""
    site = Site()
    app = web.Application(client_max_size=LARGEST_FILE)
    app.add_routes([*site.origin.routes(), *site.receiver.routes()])
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        site.url = f"http://{host}:{runner.addresses[0][1]}"
        yield site
    finally:
        await runner.cleanup()


async def serve(host: str, port: int) -> None:
    """Serve until the process is told to stop."""
    async with open_site(host, port) as site:
        print(f"serving {site.url}", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    options = parser.parse_args()
    try:
        asyncio.run(serve(options.host, options.port))
    except KeyboardInterrupt:
        print("stopped")
