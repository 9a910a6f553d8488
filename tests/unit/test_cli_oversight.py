"""The commands of operators: what they ask the gateway, what they print, and how they end."""

import json
import os
import pty
import re
import socket
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Final

import pytest
from typer.testing import CliRunner, Result

from deploy.admin import dlq, lag
from deploy.admin import gateway as http
from deploy.admin.commands import app
from deploy.admin.deliveries import moment

ROOT: Final = Path(__file__).parents[2]
MSG: Final = "msg_019c9d2e-6a00-7000-8000-000000000002"
Asked = tuple[str, str, Any]
ATTEMPT = {"at": "2026-03-01T12:00:00Z", "ms": 12, "status": 500, "error": "server_error", "meaning": "It answered."}
CALLBACK = {
    "webhookId": MSG, "tenant": "acme", "environment": "live", "mutationId": "m1", "receiver": "http://hooks.test:8443",
    "state": "failed", "status": "exhausted", "nextAttemptAt": None, "attempts": [ATTEMPT | {"excerpt": "[no] room"}],
}  # fmt: skip
LETTER = {
    "partition": 0, "offset": 7, "at": None, "reason": "poison [x]", "tries": 1, "sourceTopic": "mutations.accepted",
    "key": None, "bytes": 3, "excerpt": "x",
}  # fmt: skip
GROUP = {"reason": "poison", "count": 2, "oldest": None, "newest": None}
STATE = {
    "lag": [{"group": "g", "topic": "t", "partition": n, "lag": n, "ageSeconds": float(n)} for n in (1, 2)],
    "mutations": {"open": 3, "parked": 1, "owed": 0}, "callbacks": {"open": 4}, "away": [],
    "oldest": [{"environment": "live", "tenant": "acme", "mutationId": "m1", "lane": "working", "since": "2026-03-01"}],
    "parked": [{"environment": "live", "tenant": "acme", "mutationId": "m2", "since": None, "why": "m1 is not done."}],
}  # fmt: skip
ANSWERS: dict[str, Any] = {
    "/admin/deliveries": {"deliveries": [CALLBACK]},
    "/admin/deliveries/resend": {"count": 1, "dryRun": False},
    "/admin/search": {"mutations": [{"environment": "live", "mutationId": "m1"}]},
    "/admin/mutations/live/m1": {"deliveries": [CALLBACK]},
    "/admin/dead-letters": {"topics": [{"topic": "mutations.accepted.dlq", "total": 5, "read": 2, "groups": [GROUP]}]},
    "/admin/dead-letters/mutations.accepted.dlq": {"letters": [LETTER]},
    "/admin/dead-letters/mutations.accepted.dlq/replay": {
        "count": 0,
        "target": "mutations.accepted",
        "complete": True,
        "next": [],
    },
    "/admin/state": STATE,
}


class Gateway:
    """Answers what ANSWERS says, of an iterator the next, and remembers what was asked."""

    def __init__(self) -> None:
        self.answers, self.asked, self.status = dict(ANSWERS), list[Asked](), 200
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                path, _, query = self.path.partition("?")
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                gateway.asked.append((self.command, path, json.loads(body) if body else query))
                known = self.headers["x-api-key"] == "admin" and path in gateway.answers and gateway.status == 200
                found = gateway.answers.get(path)
                data = next(found) if isinstance(found, Iterator) else found
                said = {"data": data} if known else {"detail": "There is no such thing.", "errors": []}
                self.send_response(200 if known else max(gateway.status, 404))
                self.end_headers()
                self.wfile.write(json.dumps(said).encode())

            do_GET = do_POST = answer

            def log_message(self, *_: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    opened = Gateway()
    thread = Thread(target=opened.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield opened
    opened.server.shutdown()
    thread.join()
    opened.server.server_close()


@pytest.fixture
def run(gateway: Gateway) -> Callable[..., Result]:
    def runs(*words: str) -> Result:
        return CliRunner().invoke(app, ["--url", gateway.url, "--key", "admin", *words])

    return runs


@pytest.mark.parametrize(
    ("words", "asked", "printed"),
    [
        ("deliveries list --state failed --limit 5",
         ("GET", "/admin/deliveries", "environment=live&state=failed&limit=5"),
         [MSG, "failed (exhausted)", "500", " hooks.test:8443"]),
        ("deliveries show m1", ("GET", "/admin/mutations/live/m1", ""),
         [MSG, "failed (exhausted)", "500", "[no] room"]),
        (f"deliveries resend {MSG} -e sandbox",
         ("POST", "/admin/deliveries/resend", {"environment": "sandbox", "dryRun": False, "webhookIds": [MSG]}),
         ["1 is sent again"]),
        ("deliveries resend --failed --tenant acme --dry-run",
         ("POST", "/admin/deliveries/resend",
          {"environment": "live", "dryRun": True, "state": "failed", "tenant": "acme"}), ["1 would be sent again"]),
        ("dlq list", ("GET", "/admin/dead-letters", ""), ["mutations.accepted.dlq", "poison", "not looked at"]),
        ("dlq show mutations.accepted --limit 1",
         ("GET", "/admin/dead-letters/mutations.accepted.dlq", "limit=1"), ["0:7", "poison [x]", "1 try, 3 bytes"]),
        ("lag", ("GET", "/admin/state", ""),
         ["3", "2 s", "open 3", "callbacks open 4", "live acme m1 since 2026", "m1 is not done."]),
    ],
)  # fmt: skip
def test_a_command_asks_the_gateway_and_says_what_it_answers(
    gateway: Gateway, run: Callable[..., Result], words: str, asked: Asked, printed: list[str]
) -> None:
    result = run(*words.split())
    assert result.exit_code == 0, result.output
    assert gateway.asked[-1] == asked
    assert all(word in result.stdout for word in printed), result.stdout
    as_json = run(*words.split(), "--json")
    assert as_json.exit_code == 0
    json.loads(as_json.stdout)


def test_a_replay_without_a_letter_is_a_failure_and_asks_for_what_was_named(
    gateway: Gateway, run: Callable[..., Result]
) -> None:
    result = run("dlq", "replay", "mutations.accepted", "--offset", "0:7", "--reason", "poison", "--dry-run")
    assert result.exit_code == 1
    assert gateway.asked[-1][2] == {"dryRun": True, "reason": "poison", "offsets": [[0, 7]]}
    assert "0 would be replayed to mutations.accepted" in result.stdout


def letters(count: int, *left: list[int]) -> dict[str, Any]:
    return {"count": count, "target": "mutations.accepted", "complete": not left, "next": list(left)}


@pytest.mark.parametrize(
    ("answers", "parts", "said"),
    [
        ([letters(2, [0, 9, 30], [1, 0, 5]), letters(0, [0, 20, 30]), letters(1)],
         [None, [[0, 9, 30], [1, 0, 5]], [[0, 20, 30]]], ""),
        ([letters(3, [0, 9, 30]), letters(0, [0, 9, 30]), letters(9)], [None, [[0, 9, 30]]], "none from 0:9 on"),
    ],
)  # fmt: skip
def test_a_replay_goes_on_until_all_were_looked_at_or_nothing_comes_any_more(
    gateway: Gateway, run: Callable[..., Result], answers: list[Any], parts: list[Any], said: str
) -> None:
    gateway.answers["/admin/dead-letters/mutations.accepted.dlq/replay"] = iter(answers)
    result = run("dlq", "replay", "mutations.accepted", "--all")
    assert result.exit_code == 0, result.output
    assert [body.get("parts") for _, _, body in gateway.asked] == parts
    assert "3 are replayed to mutations.accepted" in result.stdout
    assert ("2 records so far" in result.stderr, "none from" in result.stderr) == (not said, bool(said))
    assert said in result.stderr


@pytest.mark.parametrize(
    "words",
    ["deliveries resend", f"deliveries resend {MSG} --failed", f"deliveries resend {MSG} --tenant acme",
     "deliveries resend order-4711", "deliveries list --state gone", "deliveries list --environment livee",
     "deliveries list --since yesterday", "deliveries resend --failed --until 24hours",
     "dlq replay mutations.accepted", "dlq replay mutations.accepted --all --reason x",
     "dlq replay mutations.accepted --offset 7", "deliveries list --limit 0"],
)  # fmt: skip
def test_an_unclear_command_asks_nobody(gateway: Gateway, run: Callable[..., Result], words: str) -> None:
    assert run(*words.split()).exit_code == 2
    assert gateway.asked == []


def test_what_is_not_there_is_told_and_ends_with_1(gateway: Gateway, run: Callable[..., Result]) -> None:
    gateway.answers["/admin/search"] = {"mutations": []}
    for words in ("deliveries show m9", "dlq show none"):
        result = run(*words.split())
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr


def test_an_absent_server_behind_the_gateway_ends_with_3(gateway: Gateway, run: Callable[..., Result]) -> None:
    gateway.answers["/admin/state"] = STATE | {"lag": None, "away": ["kafka"]}
    result = run("lag")
    assert (result.exit_code, "kafka is away" in result.stderr) == (3, True)


def test_of_a_topic_the_oldest_record_counts_and_an_unknown_age_stays_unknown() -> None:
    rows: list[dict[str, Any]] = [{"topic": "t", "lag": n, "ageSeconds": age} for n, age in ((1, 2.0), (2, 9.0))]
    assert lag.by_topic(rows) == [{"topic": "t", "lag": 3, "ageSeconds": 9.0}]
    assert lag.by_topic([*rows, {"topic": "t", "lag": 1, "ageSeconds": None}])[0]["ageSeconds"] is None


def test_times_may_be_so_long_ago() -> None:
    times = [str(moment("--since", text)) for text in ("30m", "24h", "7d")]
    assert times == sorted(times, reverse=True)
    assert moment("--since", "2026-03-01") == "2026-03-01"
    assert moment("--since", None) is None


def test_what_is_no_time_is_answered_with_every_way_to_say_one(run: Callable[..., Result]) -> None:
    said = run("deliveries", "list", "--since", "yesterday").stderr
    assert all(word in said for word in ("--since", "yesterday", "30m", "24h", "7d", "2026-03-01T12:00:00Z"))


def test_an_id_that_is_none_of_a_callback_is_told_where_to_look_it_up(run: Callable[..., Result]) -> None:
    said = run("deliveries", "resend", "order-4711").stderr
    assert "order-4711 is no webhook id" in said
    assert "mutation-engine deliveries show order-4711" in said


def test_a_row_is_whole_in_a_terminal_of_80_columns_and_in_one_that_can_do_nothing(gateway: Gateway) -> None:
    command = [sys.executable, "-m", "deploy.admin", "--url", gateway.url, "--key", "admin", "deliveries", "list"]
    for term in ("xterm", "dumb"):
        master, terminal = pty.openpty()
        termios.tcsetwinsize(terminal, (24, 80))
        subprocess.run(command, stdout=terminal, env=os.environ | {"TERM": term}, cwd=ROOT, check=True)
        os.close(terminal)
        header, row, *rest = os.read(master, 65536).decode().splitlines()
        os.close(master)
        assert ("webhook id" in header, "next attempt" in header) == (True, True)
        assert (MSG in row, "hooks.test:8443" in row, rest) == (True, True, [])


def test_a_gateway_that_gives_no_answer_is_left_with_3_and_advice() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with http.Gateway(url, "key") as gateway, pytest.raises(http.Unreachable) as raised:
            gateway.call("GET", "/admin/dead-letters", seconds=0.1)
    assert raised.value.code == 3
    assert "gave no answer" in str(raised.value)
    assert "mutation-engine lag" in str(raised.value)


class Hanging:
    """An installation that gives no answer, and notes for how long it was asked."""

    def __init__(self) -> None:
        self.asked: list[float | None] = []

    def admin(self) -> "Hanging":
        return self

    def __enter__(self) -> "Hanging":
        return self

    def __exit__(self, *_: object) -> None: ...

    def data(self, *_: object, seconds: float | None = None, **__: object) -> None:
        self.asked.append(seconds)
        raise http.Unreachable("no answer")


@pytest.mark.parametrize("words", ["list", "show mutations.accepted", "replay mutations.accepted --all"])
def test_dead_letters_are_waited_for_as_long_as_the_console_waits(words: str) -> None:
    console = re.search(r"PATIENT_SECONDS = (\d+);", (ROOT / "services/ingest/console/api.js").read_text())
    hanging = Hanging()
    result = CliRunner().invoke(dlq.app, words.split(), obj=hanging)
    assert isinstance(result.exception, http.Unreachable)
    assert console is not None
    assert hanging.asked == [float(console[1])]


@pytest.mark.parametrize(
    ("status", "errors", "code", "said"),
    [
        (404, [("", "mutation_not_found", "Said so.")], 1, "404: Said so. (mutation_not_found)"),
        (400, [("since", "parameter_invalid", "Said so.")], 2, "400: Said so. (parameter_invalid)"),
        (422, [("/a", "too_long", "Cut it.")], 1, "422: Said so.\n  /a: Cut it. (too_long)"),
    ],
)
def test_a_refusal_is_said_once_and_tells_a_wrong_command_from_what_failed(
    status: int, errors: list[tuple[str, str, str]], code: int, said: str
) -> None:
    told = [dict(zip(("field", "code", "message"), each, strict=True)) for each in errors]
    refused = http.Refused(status, {"detail": "Said so.", "errors": told})
    assert (refused.code, str(refused)) == (code, said)


def test_what_strangers_answered_does_not_steer_the_terminal(gateway: Gateway, run: Callable[..., Result]) -> None:
    said = "\x1b]0;title\x07 \x9b31m \u202e :x: [red]"
    attempt = ATTEMPT | {"excerpt": said, "status": None, "error": said}
    gateway.answers["/admin/mutations/live/m1"] = {"deliveries": [CALLBACK | {"attempts": [attempt]}]}
    gateway.answers["/admin/deliveries"] = {"deliveries": [CALLBACK | {"attempts": [attempt]}]}
    for words in ("deliveries show m1", "deliveries list"):
        printed = run(*words.split()).stdout
        assert ":x: [red]" in printed
        assert not set(printed) & set("\x1b\x07\x9b\u202e")


@pytest.mark.parametrize("status", [429, 503])
def test_what_may_work_later_ends_with_3_and_says_so(gateway: Gateway, run: Callable[..., Result], status: int) -> None:
    gateway.status = status
    result = run("lag", "--json")
    assert (result.exit_code, result.stdout) == (3, "")
    assert f"{status}: There is no such thing." in result.stderr


@pytest.mark.parametrize(("words", "code"), [("lag --json >&-", 0), ("erase --candidate x <&-", 2)])
def test_what_is_closed_from_the_beginning_is_no_fault(gateway: Gateway, words: str, code: int) -> None:
    command = f"{sys.executable} -m deploy.admin --url {gateway.url} --key admin {words}"
    done = subprocess.run(["sh", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, "fault of ours" in done.stderr) == (code, False)


def test_that_more_may_be_left_to_send_again_is_told(gateway: Gateway, run: Callable[..., Result]) -> None:
    gateway.answers["/admin/deliveries/resend"] = {"count": 1000, "dryRun": False}
    result = run("deliveries", "resend", "--failed")
    assert (result.exit_code, "Repeat it for more" in result.stderr) == (0, True)
