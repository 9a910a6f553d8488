"""What every process does alike: leave on SIGTERM, measure its loop's lag, answer healthz, readyz and metrics."""

import asyncio
import contextlib
import gc
import signal
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, Final

import structlog
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from shared.observability import LOOP_LAG

log = structlog.get_logger()
LAG_EVERY_SECONDS: Final = 0.5
LAG_SAMPLES: Final = 120
GC_THRESHOLDS: Final = (10_000, 20, 50)


class Lifecycle:
    """`ready` while work is taken in; `stopping` is set by SIGTERM, SIGINT or `fail`, which makes the exit code 1."""

    def __init__(self) -> None:
        self.ready = False
        self.exit_code = 0
        self.stopping = asyncio.Event()

    def listen(self) -> None:
        """Take SIGTERM and SIGINT as the request to drain and leave."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)

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
        """Drain and leave."""
        self.ready = False
        self.stopping.set()

    def fail(self) -> None:
        """Only a restart helps: drain and leave with exit code 1; the supervisor starts a new process."""
        self.exit_code = 1
        self.stop()


def health_app(lifecycle: Lifecycle, healthy: Callable[[], bool] = lambda: True) -> web.Application:
    """`/healthz` (200 or 503), `/readyz` (503 while starting or draining), `/metrics` (Prometheus text)."""

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(status=200 if healthy() else 503, text="ok\n" if healthy() else "stuck\n")

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
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def watch_loop_lag() -> None:
    """Keep the worst lag of the last minute in a gauge."""
    loop = asyncio.get_running_loop()
    samples: deque[float] = deque(maxlen=LAG_SAMPLES)
    while True:
        due = loop.time() + LAG_EVERY_SECONDS
        await asyncio.sleep(LAG_EVERY_SECONDS)
        samples.append(loop.time() - due)
        LOOP_LAG.set(max(samples))
