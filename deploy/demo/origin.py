"""A small file origin: serves what was put there, and counts who asked. Fake data only."""

import asyncio
from collections import Counter

from aiohttp import web


class Origin:
    """Files by name; a gate that tests close to keep downloads under way."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.requests: Counter[str] = Counter()
        self.gate = asyncio.Event()
        self.gate.set()

    def routes(self) -> list[web.RouteDef]:
        """GET and PUT under /files/."""
        return [web.get("/files/{name}", self._get), web.put("/files/{name}", self._put)]

    async def _get(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        self.requests[name] += 1
        await self.gate.wait()
        if (body := self.files.get(name)) is None:
            raise web.HTTPNotFound
        return web.Response(body=body, content_type="application/octet-stream")

    async def _put(self, request: web.Request) -> web.Response:
        self.files[request.match_info["name"]] = await request.read()
        return web.Response(status=201)
