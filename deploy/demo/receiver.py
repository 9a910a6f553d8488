"""A small webhook receiver: keeps every callback with its headers."""

import asyncio
import time
from dataclasses import dataclass

from aiohttp import web


@dataclass(frozen=True, slots=True)
class Callback:
    """One delivery attempt as it came; `at` is time.perf_counter(), in seconds."""

    headers: dict[str, str]
    body: str
    at: float

    @property
    def webhook_id(self) -> str:
        """Stable over the retries of one callback."""
        return self.headers["webhook-id"]


class Receiver:
    """Callbacks by the last part of the path they came to; answers 204, or what `status` says, behind a gate."""

    def __init__(self) -> None:
        self.callbacks: dict[str, list[Callback]] = {}
        self.status = 204
        self.gate = asyncio.Event()
        self.gate.set()

    def routes(self) -> list[web.RouteDef]:
        """POST takes a callback under /hooks/, GET lists them as JSON."""
        return [web.post("/hooks/{name}", self._take), web.get("/hooks/{name}", self._list)]

    async def _take(self, request: web.Request) -> web.Response:
        body = (await request.read()).decode()
        wanted = {name.lower(): value for name, value in request.headers.items() if name.lower().startswith("webhook-")}
        taken = self.callbacks.setdefault(request.match_info["name"], [])
        taken.append(Callback(wanted, body, time.perf_counter()))
        await self.gate.wait()
        return web.Response(status=self.status)

    async def _list(self, request: web.Request) -> web.Response:
        taken = self.callbacks.get(request.match_info["name"], [])
        return web.json_response([{"headers": one.headers, "body": one.body, "at": one.at} for one in taken])
