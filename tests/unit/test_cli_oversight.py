"""The commands of operators: what they ask the gateway, what they print, and how they end."""

import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from deploy.admin import lag
from deploy.admin.__main__ import app
from deploy.admin.deliveries import moment

Asked = tuple[str, str, Any]
ATTEMPT = {"at": "2026-03-01T12:00:00Z", "ms": 12, "status": 500, "error": "server_error", "meaning": "It answered."}
CALLBACK = {
    "webhookId": "msg_m1", "tenant": "acme", "environment": "live", "mutationId": "m1", "receiver": "http://hooks.test",
    "state": "failed", "status": "exhausted", "nextAttemptAt": None, "attempts": [ATTEMPT | {"excerpt": "[no] room"}],
}  # fmt: skip
LETTER = {
    "partition": 0, "offset": 7, "at": None, "reason": "poison [x]", "tries": 1, "sourceTopic": "mutations.accepted",
    "key": None, "bytes": 3, "excerpt": "x",
}  # fmt: skip
GROUP = {"reason": "poison", "count": 2, "oldest": None, "newest": None}
STATE = {
    "lag": [{"group": "g", "topic": "t", "partition": n, "lag": n, "ageSeconds": float(n)} for n in (1, 2)],
    "mutations": {"open": 3, "parked": 1, "owed": 0}, "away": [],
    "parked": [{"environment": "live", "tenant": "acme", "mutationId": "m2", "since": None, "why": "m1 is not done."}],
}  # fmt: skip
ANSWERS: dict[str, Any] = {
    "/admin/deliveries": {"deliveries": [CALLBACK]},
    "/admin/deliveries/resend": {"count": 1, "dryRun": False},
    "/admin/search": {"mutations": [{"environment": "live", "mutationId": "m1"}]},
    "/admin/mutations/live/m1": {"deliveries": [CALLBACK]},
    "/admin/dead-letters": {"topics": [{"topic": "mutations.accepted.dlq", "total": 5, "read": 2, "groups": [GROUP]}]},
    "/admin/dead-letters/mutations.accepted.dlq": {"letters": [LETTER]},
    "/admin/dead-letters/mutations.accepted.dlq/replay": {"count": 0, "target": "mutations.accepted", "complete": True},
    "/admin/state": STATE,
}


class Gateway:
    """Answers what ANSWERS says, and remembers what was asked."""

    def __init__(self) -> None:
        self.answers, self.asked, self.status = dict(ANSWERS), list[Asked](), 200
        gateway = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                path, _, query = self.path.partition("?")
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                gateway.asked.append((self.command, path, json.loads(body) if body else query))
                known = self.headers["x-api-key"] == "admin" and path in gateway.answers and gateway.status == 200
                said = {"data": gateway.answers[path]} if known else {"detail": "There is no such thing.", "errors": []}
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
         ("GET", "/admin/deliveries", "environment=live&state=failed&limit=5"), ["msg_m1", "exhausted", "500"]),
        ("deliveries show m1", ("GET", "/admin/mutations/live/m1", ""), ["msg_m1", "500", "[no] room"]),
        ("deliveries resend msg_m1 -e sandbox",
         ("POST", "/admin/deliveries/resend", {"environment": "sandbox", "dryRun": False, "webhookIds": ["msg_m1"]}),
         ["1 are sent again"]),
        ("deliveries resend --failed --tenant acme --dry-run",
         ("POST", "/admin/deliveries/resend",
          {"environment": "live", "dryRun": True, "state": "failed", "tenant": "acme"}), ["1 would be sent again"]),
        ("dlq list", ("GET", "/admin/dead-letters", ""), ["mutations.accepted.dlq", "poison", "not looked at"]),
        ("dlq show mutations.accepted --limit 1",
         ("GET", "/admin/dead-letters/mutations.accepted.dlq", "limit=1"), ["0:7", "poison [x]"]),
        ("lag", ("GET", "/admin/state", ""), ["3", "2 s", "open 3", "m1 is not done."]),
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


@pytest.mark.parametrize(
    "words",
    ["deliveries resend", "deliveries resend m1 --failed", "deliveries resend m1 --tenant acme",
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
    times = [str(moment(text)) for text in ("30m", "24h", "7d")]
    assert times == sorted(times, reverse=True)
    assert moment("2026-03-01") == "2026-03-01"
    assert moment(None) is None


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


def test_that_more_may_be_left_to_send_again_is_told(gateway: Gateway, run: Callable[..., Result]) -> None:
    gateway.answers["/admin/deliveries/resend"] = {"count": 1000, "dryRun": False}
    result = run("deliveries", "resend", "--failed")
    assert (result.exit_code, "Repeat it for more" in result.stderr) == (0, True)
