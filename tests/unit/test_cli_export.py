"""`export` against a gateway that wants to be asked later: it waits as long as it is told, and not for ever."""

import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from deploy.admin.commands import app
from deploy.admin.gateway import PATIENCE_SECONDS, Busy, Unreachable, patiently

PERSON = {"id": "r1"}
Serve = Callable[..., str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts gateways that refuse a GET so often, then list one candidate; returns their address."""
    servers = []

    def start(refused: int, status: int, wait: str) -> str:
        class Handler(BaseHTTPRequestHandler):
            left = refused

            def do_GET(self) -> None:
                cls = type(self)
                cls.left -= 1
                said: dict[str, Any] = {"detail": "Later."} if cls.left >= 0 else {"data": [PERSON], "meta": {}}
                self.send_response(status if cls.left >= 0 else 200)
                self.send_header("retry-after", wait)
                self.end_headers()
                self.wfile.write(json.dumps(said).encode())

            def log_message(self, *_: Any) -> None: ...

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


def export(url: str) -> Result:
    return CliRunner().invoke(app, ["--url", url, "--key", "k", "export", "candidates"])


@pytest.mark.parametrize("status", [429, 503])
def test_an_export_goes_on_when_the_gateway_can(serve: Serve, status: int) -> None:
    result = export(serve(1, status, "1"))
    assert (result.exit_code, json.loads(result.stdout)["item"]) == (0, PERSON)
    assert f"({status}: Later.) Repeat it in 1 s. Trying again." in result.stderr


def test_an_export_ends_with_3_when_it_would_have_to_wait_too_long(serve: Serve) -> None:
    result = export(serve(1, 429, "3600"))
    assert (result.exit_code, result.stdout) == (3, "")
    assert "Repeat it in 3,600 s." in result.stderr


class Clock:
    """Time that passes only while somebody waits."""

    def __init__(self) -> None:
        self.now, self.waits = 1000.0, list[float]()

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds


def ask(*ends: Exception | str) -> Callable[[], str]:
    """Ends so each time it is asked, the last one again and again."""
    left = list(ends)

    def once() -> str:
        end = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(end, Exception):
            raise end
        return end

    return once


def test_each_wait_is_as_long_as_it_was_asked_for() -> None:
    clock = Clock()
    assert patiently(ask(Busy("", 2.0), Busy("", 30.0), "done"), Busy, clock, clock.sleep) == "done"
    assert clock.waits == [2.0, 30.0]


@pytest.mark.parametrize(("after", "tries"), [(1.0, 120), (50.0, 2), (121.0, 0)])
def test_the_waits_for_one_answer_are_bounded_in_sum(after: float, tries: int) -> None:
    clock = Clock()
    with pytest.raises(Busy):
        patiently(ask(Busy("", after)), Busy, clock, clock.sleep)
    assert (len(clock.waits), sum(clock.waits) <= PATIENCE_SECONDS) == (tries, True)


def test_what_does_not_answer_at_all_is_not_waited_for_by_who_waits_for_what_is_busy() -> None:
    clock = Clock()
    with pytest.raises(Unreachable):
        patiently(ask(Unreachable("")), Busy, clock, clock.sleep)
    assert clock.waits == []
