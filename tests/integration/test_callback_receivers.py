"""The receivers of docs/callbacks.md, taken from the page as they stand: each runs, verifies and de-duplicates."""

import asyncio
import base64
import os
import re
import secrets
import shutil
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import orjson
import pytest

from deploy.admin.documents import DOCS
from services.notifier import body, schedule, signing
from shared.deliveries import webhook_id
from tests.retry import eventually

PAGE = (DOCS / "callbacks.md").read_text()
PATIENCE = 110.0  # the first `go run` compiles the standard library
TOOLS = {
    "python": ("receiver.py", [sys.executable]),
    "javascript": ("receiver.mjs", ["node"]),
    "go": ("receiver.go", ["go", "run"]),
    "java": ("Receiver.java", ["java"]),
}


def block(language: str) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return str(found)


def new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def receiving(language: str, secret: str, folder: Path) -> AsyncIterator[tuple[str, Path]]:
    """The receiver as a process: its URL, and the file with what it prints."""
    name, command = TOOLS[language]
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not there")
    (folder / name).write_text(block(language))
    port, printed = free_port(), folder / "printed"
    # Nothing but the standard library is needed, so nothing may be fetched.
    env = os.environ | {"WEBHOOK_SECRET": secret, "PORT": str(port), "GOTOOLCHAIN": "local", "GOPROXY": "off"}
    with printed.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *command, name, cwd=folder, env=env, stdout=output, stderr=output, start_new_session=True
        )
    try:
        await eventually(lambda: listening(port, process), PATIENCE)
        yield f"http://127.0.0.1:{port}/", printed
    finally:
        os.killpg(process.pid, 9)  # `go run` has a child
        await process.wait()


async def listening(port: int, process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        pytest.fail(f"the receiver ended with {process.returncode}")
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError as error:
        raise AssertionError("not listening yet") from error
    writer.close()


@pytest.mark.parametrize("language", sorted(TOOLS))
async def test_receiver_takes_what_is_genuine_once_and_nothing_else(language: str, tmp_path: Path) -> None:
    secret, former = new_secret(), new_secret()
    outcome = orjson.loads(block("json"))["data"]
    sent = body.build(outcome | {"idempotencyKey": "ключ"}, datetime.now(UTC), "live")
    now, identity = int(time.time()), webhook_id(outcome["mutationId"])
    genuine = signing.headers([former, secret], identity, now, sent)
    forged = {
        "another secret": (signing.headers([former], identity, now, sent), sent),
        "changed bytes": (genuine, sent.replace(b"completed", b"discarded")),
        "another id": (genuine | {"webhook-id": "msg_other"}, sent),
        "an old timestamp": (signing.headers([secret], identity, now - 600, sent), sent),
        "a timestamp to come": (signing.headers([secret], identity, now + 600, sent), sent),
        "another timestamp": (genuine | {"webhook-timestamp": str(now - 1)}, sent),
        "no number": (genuine | {"webhook-timestamp": "now"}, sent),
        "an empty signature": (genuine | {"webhook-signature": ""}, sent),
        "broken base64": (genuine | {"webhook-signature": "v1,%%%"}, sent),
        "no version": (genuine | {"webhook-signature": "x"}, sent),
        "no headers": ({}, sent),
    }
    async with receiving(language, secret, tmp_path) as (url, printed), aiohttp.ClientSession() as session:

        async def status(headers: dict[str, str], content: bytes) -> int:
            async with session.post(url, data=content, headers=headers) as answer:
                return answer.status

        answered = {name: await status(*attempt) for name, attempt in forged.items()}
        assert answered == dict.fromkeys(forged, 401)
        assert [await status(genuine, sent) for _ in range(3)] == [204] * 3
        lines = [line for line in printed.read_text().splitlines() if line.startswith("msg_")]
    assert len(lines) == 1, "printed once, however often it came"
    assert lines[0].startswith(f"{identity} ")


def test_the_page_shows_the_schedule_that_is_followed() -> None:
    (row,) = re.findall(r"^\| pause \| (.*) \|$", PAGE, re.MULTILINE)
    units = {"s": 1.0, "min": schedule.MINUTE, "h": schedule.HOUR}
    shown = [float(number) * units[unit] for number, unit in (pause.split() for pause in row.split(" | "))]
    assert shown == list(schedule.PAUSES)
