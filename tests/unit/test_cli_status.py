"""`status --follow` against gateways that answer late, oddly, or not at all for a while."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from typer.testing import CliRunner, Result

from deploy.admin.commands import app

Json = dict[str, Any]
Reply = tuple[int, Json]
Replies = Callable[[int | None], Reply]  # to the seconds that were asked to wait


def state(status: str, **more: Any) -> Reply:
    view = {"idempotencyKey": "k#1", "kind": "attach", "status": status, "attachments": [], "deliveries": []}
    return 200, {"data": view | more, "meta": {}}


def problem(status: int, code: str) -> Reply:
    return status, {"detail": "Said so.", "errors": [{"field": "wait", "code": code, "message": "Said so."}]}


@contextmanager
def gateway(replies: Replies) -> Iterator[tuple[str, list[str]]]:
    """Answers GET /mutations/… as it is told; the address, and the paths that were asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            wait = parse_qs(urlsplit(self.path).query).get("wait")
            status, body = replies(int(wait[0]) if wait else None)
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    thread.join()
    server.server_close()


def one_after_another(*replies: Reply) -> Replies:
    left = list(replies)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


def run(url: str, *words: str) -> Result:
    return CliRunner().invoke(app, ["--url", url, "--key", "secret-key", "status", "k#1", *words])


def statuses(result: Result) -> list[str]:
    return [json.loads(line)["status"] for line in result.stdout.splitlines()]


def test_it_waits_with_a_long_poll_and_prints_every_change_once() -> None:
    replies = one_after_another(state("accepted"), state("accepted"), state("applying"), state("completed"))
    with gateway(replies) as (url, asked):
        result = run(url, "--follow", "--json")
    assert (result.exit_code, statuses(result)) == (0, ["accepted", "applying", "completed"])
    assert asked == ["/mutations/k%231"] + ["/mutations/k%231?wait=30"] * 3


def test_a_gateway_that_is_away_for_a_while_is_waited_for() -> None:
    replies = one_after_another(state("accepted"), problem(503, "unavailable"), state("completed"))
    with gateway(replies) as (url, _):
        result = run(url, "--follow", "--json")
    assert (result.exit_code, statuses(result)) == (0, ["accepted", "completed"])


@pytest.mark.parametrize("status", ["failed", "partially_completed", "rejected"])
@pytest.mark.parametrize("words", [(), ("--follow",), ("--json",)])
def test_what_did_not_complete_is_exit_code_one_and_says_why(status: str, words: tuple[str, ...]) -> None:
    error = {"code": "no_file_stored", "message": "None of the files could be stored."}
    with gateway(one_after_another(state(status, error=error))) as (url, _):
        result = run(url, *words)
    assert result.exit_code == 1
    assert "None of the files could be stored." in result.stdout


def test_of_a_request_for_several_records_every_member_counts() -> None:
    members = [state("completed")[1]["data"], state("failed", error=None)[1]["data"]]
    with gateway(one_after_another(state("batch", members=members))) as (url, _):
        assert run(url, "--follow").exit_code == 1


def test_an_unknown_key_is_a_sentence_and_the_api_key_is_never_shown() -> None:
    with gateway(one_after_another(problem(404, "mutation_not_found"))) as (url, _):
        result = run(url)
    assert result.exit_code == 1
    assert "404: Said so. (mutation_not_found)\n" in result.stderr
    assert "secret-key" not in result.output


def test_whatever_answers_that_is_no_gateway_is_a_sentence() -> None:
    with gateway(lambda _: (200, {"hello": "world"})) as (url, _):
        result = run(url)
    assert result.exit_code == 1
    assert "does not look like a Mutation Engine" in result.stderr


def test_a_file_whose_name_is_not_known_yet_is_said_to_have_none() -> None:
    file = {"id": "f1", "filename": None, "status": "pending", "error": None}
    with gateway(one_after_another(state("accepted", attachments=[file]))) as (url, _):
        printed = run(url).stdout
    assert "(no name yet)  pending" in printed
    assert "None" not in printed


def test_words_of_others_are_never_markup() -> None:
    with gateway(one_after_another(state("[red]x[/nothing]", idempotencyKey="[bold]"))) as (url, _):
        result = run(url)
    assert "[bold]  attach  [red]x[/nothing]" in result.stdout
