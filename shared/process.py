"""What every process does alike: start, leave on SIGTERM within its grace time, answer healthz, readyz and metrics."""

import asyncio
import contextlib
import gc
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine
from typing import Any, Final

import structlog
import uvloop
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from shared.errors import DependencyUnavailable
from shared.health import Health
from shared.loop_guard import LoopGuard
from shared.settings import EngineSettings
from shared.tracing import exporting

log = structlog.get_logger()
DRAINING_SHARE: Final = 0.6  # of the grace time, for work in hand; the rest is for handing back and closing
CANCEL_AGAIN_SECONDS: Final = 0.5
CLOSE_SECONDS: Final = 1.5  # for closing one thing of which nothing depends any more
GC_THRESHOLDS: Final = (10_000, 20, 50)


class Lifecycle:
    """`ready` while work is taken in; `stopping` is set by SIGTERM, SIGINT or `fail`, which makes the exit code 1."""

    def __init__(self, grace_seconds: float = 25.0) -> None:
        self.ready = False
        self.exit_code = 0
        self.stopping = asyncio.Event()
        self._grace_seconds = grace_seconds
        self._told_at: float | None = None
        self._guard: LoopGuard | None = None

    def listen(self, blocked_seconds: float) -> None:
        """Take SIGTERM and SIGINT as the request to drain and leave; end when the loop stands still for so long."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        self._guard = LoopGuard(loop, blocked_seconds)
        self._guard.start()

    def start(self) -> None:
        """Everything is built: take work in.

        What was built lives as long as the process, so the collector need not look at it again, and it looks less
        often: events and documents are freed by their reference counts.
        """
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        self.ready = True

    def stop(self) -> None:
        """Drain and leave within the grace time; what is not done by then is cut off, which loses nothing."""
        if self._told_at is None:
            self._told_at = time.monotonic()
            log.info("service.leaving", grace_seconds=self._grace_seconds)
        self.ready = False
        self.stopping.set()
        if self._guard:
            self._guard.leave_within(self._grace_seconds)

    @property
    def draining_seconds(self) -> float:
        """How long work in hand may still be waited for."""
        spent = 0.0 if self._told_at is None else time.monotonic() - self._told_at
        return max(self._grace_seconds * DRAINING_SHARE - spent, 0.0)

    def fail(self) -> None:
        """Only a restart helps: drain and leave with exit code 1; the supervisor starts a new process."""
        self.exit_code = 1
        self.stop()


def health_app(lifecycle: Lifecycle, health: Health) -> web.Application:
    """`/healthz` (503 when stuck), `/readyz` (503 while starting or draining), `/metrics` (Prometheus text)."""

    async def healthz(_: web.Request) -> web.Response:
        alive, text = health.report()
        return web.Response(status=200 if alive else 503, text=text)

    async def readyz(_: web.Request) -> web.Response:
        return web.Response(
            status=200 if lifecycle.ready else 503, text="ready\n" if lifecycle.ready else "not ready\n"
        )

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"content-type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", metrics)])
    return app


@contextlib.asynccontextmanager
async def health_server(host: str, port: int, app: web.Application) -> AsyncIterator[None]:
    """Serve the health endpoints while the block runs."""
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    try:
        yield
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def background(
    *jobs: Callable[[], Coroutine[Any, Any, None]], on_failure: Callable[[], None]
) -> AsyncIterator[None]:
    """Run endless jobs while the block runs; cancel them after it. Nobody waits for one that dies: it is told of."""

    def ended(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()):
            log.critical("job.failed", exc_info=error)
            on_failure()

    tasks = [asyncio.ensure_future(job()) for job in jobs]
    for task in tasks:
        task.add_done_callback(ended)
    try:
        yield
    finally:
        await _ended(tasks)


async def _ended(tasks: Collection[asyncio.Task[None]]) -> None:
    """Cancel until they have ended: before Python 3.12 `wait_for` loses a cancellation that comes with its result.

    Clients of ours wait so (PyMongo for each write), and an endless job that lost its one cancellation would go on.
    """
    while tasks:
        for task in tasks:
            task.cancel()
        _, tasks = await asyncio.wait(tasks, timeout=CANCEL_AGAIN_SECONDS)


async def closed(closing: Awaitable[object], what: str, seconds: float = CLOSE_SECONDS) -> None:
    """Wait so long for something to close, then leave it behind: nothing depends on it, and we are leaving."""
    try:
        async with asyncio.timeout(seconds):
            await closing
    except TimeoutError:
        log.warning("stop.left_behind", what=what)


def run_service(name: str, main: Callable[[Lifecycle], Coroutine[Any, Any, None]], settings: EngineSettings) -> int:
    """Run a service until it is told to stop; the exit code. What it can't start without: 1, start it again."""

    async def run() -> int:
        lifecycle = Lifecycle(settings.grace_seconds)
        lifecycle.listen(settings.loop_blocked_seconds)
        async with exporting(settings, name):
            await main(lifecycle)
        return lifecycle.exit_code

    try:
        return uvloop.run(run())
    except DependencyUnavailable as error:
        log.error("start.failed", dependency=error.dependency, error=str(error))
        return 1
