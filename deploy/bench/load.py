"""The load: clients that POST, and the site that serves the files and takes the callbacks."""

import asyncio
import itertools
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson
from aiohttp import web
from standardwebhooks import Webhook, WebhookVerificationError

from deploy.bench.workloads import Bodies

TRIES = 10
STALLED_SECONDS = 60.0


@dataclass
class Accepted:
    """A 202: when it was asked for, or due to be, when it came (time.perf_counter() seconds), and the body."""

    number: int
    asked: float
    at: float
    mutation: str
    attachment: str


@dataclass
class Site:
    """Serves the files of one workload and takes its callbacks; no routing, to stay cheap."""

    webhook: Webhook
    bodies: Bodies | None = None
    url: str = ""
    completed: dict[str, tuple[float, dict[str, Any]]] = field(default_factory=dict)  # by mutation id
    identities: dict[str, str] = field(default_factory=dict)  # mutation id to webhook-id
    faults: list[str] = field(default_factory=list)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """POST takes a callback; GET /files/<number>.pdf answers a file."""
        if request.method == "POST":
            at, body = time.perf_counter(), await request.read()
            self._take(at, dict(request.headers.items()), body)
            return web.Response(status=204)
        if self.bodies is None:
            raise web.HTTPNotFound
        return web.Response(body=self.bodies.file(int(request.path.rpartition("/")[2].removesuffix(".pdf"))))

    def _take(self, at: float, headers: dict[str, str], body: bytes) -> None:
        headers = {name.lower(): value for name, value in headers.items()}
        try:
            self.webhook.verify(body.decode(), headers)
        except WebhookVerificationError as error:
            self.faults.append(f"callback not verified: {error}")
            return
        data = orjson.loads(body)["data"]
        mutation, identity = data["mutationId"], headers["webhook-id"]
        if self.identities.setdefault(mutation, identity) != identity:
            self.faults.append(f"two webhook ids for {mutation}")
        self.completed.setdefault(mutation, (at, data))


@asynccontextmanager
async def open_site(secret: str) -> AsyncIterator[Site]:
    """Serve on a free loopback port until the block ends."""
    site = Site(Webhook(secret))
    runner = web.ServerRunner(web.Server(site.handle, access_log=None))
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        site.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield site
    finally:
        await runner.cleanup()


async def _accepted(session: aiohttp.ClientSession, url: str, body: bytes) -> bytes:
    """The body of a 202. A 503 is repeated under the same key, as any client would; so its time counts."""
    key = {"Idempotency-Key": str(uuid.uuid4())}
    for _ in range(TRIES):
        async with session.post(url, data=body, headers=key) as answer:
            raw = await answer.read()
        if answer.status != 503:
            break
        await asyncio.sleep(float(answer.headers.get("Retry-After", "1")))
    if answer.status != 202:
        raise RuntimeError(f"{answer.status} instead of 202: {raw[:300]!r}")
    return raw


async def post_all(api: str, key: str, bodies: Bodies, n: int, clients: int, rate: float = 0.0) -> list[Accepted]:
    """POST n candidates from so many clients; raises RuntimeError where no 202 comes.

    Each sends when it has its answer; at a rate, so many a second by the clock, however late the answers are, and
    times count from when a request was due: what waits for a free client is no faster for it.
    """
    numbers, accepted, begun = itertools.count(), list[Accepted](), time.perf_counter()
    headers = {"x-api-key": key, "content-type": "application/json"}

    async def client(session: aiohttp.ClientSession) -> None:
        while (number := next(numbers)) < n:
            body, asked = bodies.request(number), time.perf_counter()
            if rate:
                asked = begun + number / rate
                await asyncio.sleep(asked - time.perf_counter())
            raw = await _accepted(session, f"{api}/candidates", body)
            at = time.perf_counter()
            entry = orjson.loads(raw)["data"]["mutations"][0]
            accepted.append(Accepted(number, asked, at, entry["mutationId"], entry["attachments"][0]["id"]))

    connector = aiohttp.TCPConnector(limit=clients)
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session, asyncio.TaskGroup() as group:
        for _ in range(clients):
            group.create_task(client(session))
    return accepted


async def wait_for_callbacks(site: Site, n: int) -> bool:
    """Whether n mutations were called back, waiting as long as callbacks keep coming."""
    seen, since = -1, time.perf_counter()
    while len(site.completed) < n:
        if len(site.completed) != seen:
            seen, since = len(site.completed), time.perf_counter()
        elif time.perf_counter() - since > STALLED_SECONDS:
            return False
        await asyncio.sleep(0.02)
    return True
