"""Starting while every server is away: the gateway answers, the others leave and are to be started again."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp
import pytest

from deploy.stack.child import ROOT
from tests.integration.test_ingest_server import free_port
from tests.retry import eventually

PATIENCE_SECONDS = 60


@contextmanager
def service(name: str, **env: str) -> Iterator[subprocess.Popen[str]]:
    nobody = free_port()
    away = {
        "ENGINE_KAFKA_BOOTSTRAP": f"127.0.0.1:{nobody}",
        "ENGINE_MONGODB_URI": f"mongodb://127.0.0.1:{nobody}",
        "ENGINE_S3_ENDPOINT": f"http://127.0.0.1:{nobody}",
        "ENGINE_S3_ACCESS_KEY": "nobody",
        "ENGINE_S3_SECRET_KEY": "nothing",
    }
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "ENGINE_"))}
    command = [sys.executable, "-m", f"services.{name}.main"]
    with subprocess.Popen(command, env=inherited | away | env, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("name", ["fetcher", "storage", "notifier"])
def test_who_can_do_nothing_without_kafka_says_so_and_leaves(name: str) -> None:
    with service(name) as process:
        said, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 1
    assert '"dependency": "kafka"' in said
    assert '"event": "start.failed"' in said
    assert "Traceback" not in said


async def test_the_gateway_answers_without_any_server() -> None:
    port = free_port()
    with service("ingest", ENGINE_HTTP_PORT=str(port), ENGINE_NOTICE_SECONDS="0") as process:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:

            async def ready() -> None:
                try:
                    async with session.get("/readyz") as answer:
                        assert answer.status == 200
                except aiohttp.ClientError as error:
                    raise AssertionError("not listening yet") from error

            await eventually(ready, PATIENCE_SECONDS)
            key = f"me_{'0' * 16}_{'A' * 43}"
            async with session.post("/candidates", json={"firstName": "Ada"}, headers={"x-api-key": key}) as answer:
                assert (answer.status, answer.content_type) == (503, "application/problem+json")
                assert answer.headers["Retry-After"] == "2"

            async def told() -> None:
                async with session.get("/healthz") as answer:
                    assert answer.status == 200
                    assert "degraded: mongodb has not answered" in await answer.text()

            await eventually(told, PATIENCE_SECONDS)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_SECONDS) == 0
