"""`listen`: what is signed is shown, what is not is refused, whoever comes."""

import json
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from standardwebhooks import Webhook

from services.ingest.schemas_topics import example

SECRET = "whsec_" + "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"
OTHER = "whsec_" + "b3RoZXJvdGhlcm90aGVyb3RoZXJvdGhlcg=="
EVENT = example()


@contextmanager
def listening(*words: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """`mutation-engine listen` with this secret; its address."""
    command = [sys.executable, "-m", "deploy.admin", "listen", "--port", "0", *words]
    env = os.environ | {"ENGINE_WEBHOOK_SECRET": SECRET, "COLUMNS": "200"}
    with subprocess.Popen(command, env=env, stdout=-1, stderr=-1, text=True) as process:
        assert process.stderr is not None
        try:
            said = process.stderr.readline()
            assert "callbackUrl" in said, said + process.stderr.read()
            yield said.split("callbackUrl ")[1].split()[0], process
        finally:
            process.kill()


def post(url: str, secret: str, body: bytes | None = None) -> int:
    content = body or json.dumps(EVENT).encode()
    now = datetime.now(UTC)
    signature = Webhook(secret).sign("msg_1", now, content.decode())
    headers = {"webhook-id": "msg_1", "webhook-timestamp": str(int(now.timestamp())), "webhook-signature": signature}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, content, headers), timeout=20) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_what_we_signed_is_shown_and_all_else_refused_and_told_by_the_exit_code() -> None:
    with listening("--count", "2", "--json") as (url, process):
        assert post(url, SECRET) == 204
        assert post(url, OTHER) == 401
        printed, _ = process.communicate(timeout=20)
    first, second = (json.loads(line) for line in printed.splitlines())
    assert (first["verified"], first["body"], first["webhookId"]) == (True, EVENT, "msg_1")
    assert (second["verified"], second["body"]) == (False, None)
    assert process.returncode == 1


def test_another_answer_can_be_rehearsed_and_strangers_do_not_stop_it() -> None:
    with listening("--count", "1", "--answer", "410") as (url, process):
        port = int(url.rstrip("/").rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as stranger:
            stranger.sendall(b"SSH-2.0-nothing\r\n\r\n")
        with socket.create_connection(("127.0.0.1", port)) as stranger:
            stranger.sendall(b"POST / HTTP/1.1\r\ncontent-length: 99999999999\r\n\r\n")
        assert post(url, SECRET) == 410
        printed, _ = process.communicate(timeout=20)
    assert "verified  msg_1" in printed
    assert "import-42  create  completed" in printed
    assert process.returncode == 0


def test_it_ends_when_nobody_reads_what_it_prints() -> None:
    with listening("--json") as (url, process):
        assert process.stdout is not None
        process.stdout.close()
        assert post(url, SECRET) == 204
        assert process.wait(timeout=20) == 1


def test_what_is_signed_but_none_of_ours_is_told_so_and_the_next_is_shown() -> None:
    data: dict[str, Any] = EVENT["data"]
    odd: list[Any] = [["something else"], {"type": "mutation.completed"}, EVENT | {"data": 5}, EVENT | {"data": {}}]
    odd.append(EVENT | {"data": data | {"attachments": [{"id": "a"}]}})
    with listening("--count", str(len(odd) + 1)) as (url, process):
        assert [post(url, SECRET, json.dumps(each).encode()) for each in odd] == [204] * len(odd)
        assert post(url, SECRET, json.dumps(EVENT | {"data": data | {"members": 1, "deliveries": 1}}).encode()) == 204
        printed, said = process.communicate(timeout=20)
    assert [line.count("no outcome of ours") for line in printed.splitlines()] == [1] * len(odd) + [0, 0]
    assert "import-42  create  completed" in printed
    assert ("could not be served" in said, "fault of ours" in said, process.returncode) == (False, False, 0)
