"""The routes for operators: what they answer and refuse, and a stream that ends when it should."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import httpx2
import orjson
import pytest
from structlog.testing import capture_logs

from services.ingest.api import admin_state, schemas_oversight, schemas_repairs
from services.ingest.api.app import build
from services.ingest.letters import Chosen as ChosenLetters
from services.ingest.letters import Replayed
from services.ingest.resends import Chosen
from shared.errors import DependencyUnavailable
from shared.tenants import KeyHolder
from tests.fakes_ingest import KEYS, IngestStand, code_of
from tests.fakes_oversight import NOW, OneLetter


@pytest.mark.parametrize("query", ["", "?q=", "?q=%20", "?q=%00", "?q=a&q=b", f"?q={'a' * 301}", "?q=a&x=b", "?q=%0a"])
async def test_a_search_for_what_is_no_id_is_refused(admin: httpx2.AsyncClient, query: str) -> None:
    answer = await admin.get(f"/admin/search{query}")
    assert (answer.status_code, code_of(answer)) == (400, "parameter_invalid")


async def test_the_state_is_as_described(admin: httpx2.AsyncClient) -> None:
    schemas_oversight.StateAnswer.model_validate((await admin.get("/admin/state")).json())


async def test_the_stream_tells_the_state_until_this_process_leaves(
    stand: IngestStand, admin: httpx2.AsyncClient
) -> None:
    def leave() -> None:
        stand.ready = False

    stand.oversight.standing.on_look = leave
    answer = await admin.get("/admin/state/events")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    retry, event, rest = answer.text.split("\n\n")
    assert (retry, rest) == (f"retry: {admin_state.RETRY_MS}", "")
    kind, _, data = event.partition("\ndata: ")
    assert kind == "event: state"
    schemas_oversight.Standing.model_validate(orjson.loads(data))


@pytest.mark.parametrize(("away", "events"), [(False, 0), (True, 1)])
async def test_a_key_that_is_revoked_is_told_no_more_unless_nobody_can_say_so(
    stand: IngestStand, admin: httpx2.AsyncClient, away: bool, events: int
) -> None:
    def revoke() -> None:
        stand.keys.revoked.add("key-of-admin")
        stand.keys.away, stand.ready = away, not away

    stand.oversight.standing.on_look = revoke
    async with asyncio.timeout(10):
        answer = await admin.get("/admin/state/events")
    assert (answer.status_code, answer.text.count("event: state")) == (200, events)


async def test_streams_beyond_the_room_are_refused_and_room_comes_back(
    stand: IngestStand, admin: httpx2.AsyncClient
) -> None:
    stand.ready = False
    streams = stand.gateway.oversight.streams
    while streams.take(None, 1):
        pass
    taken = streams.held
    answer = await admin.get("/admin/state/events")
    assert (answer.status_code, code_of(answer)) == (503, "over_capacity")
    assert int(answer.headers["retry-after"]) > 0
    streams.give_back(None, taken)
    for _ in range(2 * taken):
        assert (await admin.get("/admin/state/events")).status_code == 200
    assert streams.held == 0


def delivery(name: str, status: str = "exhausted") -> dict[str, Any]:
    attempt = {"n": 1, "at": NOW, "ms": 5, "status": 500, "error": "server_error", "answer": "no room"}
    return {
        "_id": name, "tenant": "acme", "status": status, "attempt": 1, "nextAt": None, "createdAt": NOW, "endedAt": NOW,
        "url": "https://hooks.test/in?token=secret", "host": "hooks.test", "attempts": [attempt],
    }  # fmt: skip


async def test_callbacks_are_listed_as_described_without_the_secrets_of_their_urls(
    stand: IngestStand, admin: httpx2.AsyncClient
) -> None:
    stand.oversight.resends.documents["sandbox"]["m1"] = delivery("m1")
    query = {"environment": "sandbox", "tenant": "acme", "state": "failed", "since": "2026-01-01T00:00:00+01:00"}
    answer = await admin.get("/admin/deliveries", params=query | {"limit": "5"})
    schemas_repairs.DeliveriesAnswer.model_validate(answer.json())
    [shown] = answer.json()["data"]["deliveries"]
    assert (shown["webhookId"], shown["receiver"], shown["state"]) == ("msg_m1", "hooks.test", "failed")
    assert shown["attempts"][0]["excerpt"] == "no room"
    assert "secret" not in answer.text
    since = datetime(2025, 12, 31, 23, tzinfo=UTC)
    assert stand.oversight.resends.asked == [Chosen("sandbox", "acme", "failed", since, None)]


@pytest.mark.parametrize(
    "query",
    ["environment=none", "tenant=A", "state=lost", "since=yesterday", "until=9999-12-31T23:59:59-12:00", "limit=0",
     "limit=101", "limit=x", "more=1", "state=failed&state=open", "since=0001-01-01T00:00:00Z"],
)  # fmt: skip
async def test_a_filter_that_makes_no_sense_is_refused(admin: httpx2.AsyncClient, query: str) -> None:
    answer = await admin.get(f"/admin/deliveries?{query}")
    assert (answer.status_code, code_of(answer)) == (400, "parameter_invalid")


@pytest.mark.parametrize(
    ("chosen", "resent"),
    [
        ({"webhookIds": ["msg_m1", "msg_m1", "m2", "msg_none"]}, ["m1", "m2"]),
        ({"state": "failed"}, ["m1", "m3"]),
        ({"state": "failed", "tenant": "acme", "since": "2026-01-01T00:00:00Z", "until": None}, ["m1", "m3"]),
    ],
)
async def test_callbacks_are_sent_again_and_a_rehearsal_only_counts(
    stand: IngestStand, admin: httpx2.AsyncClient, chosen: dict[str, Any], resent: list[str]
) -> None:
    documents = {"m1": delivery("m1"), "m2": delivery("m2", "pending"), "m3": delivery("m3")}
    stand.oversight.resends.documents["live"] = documents
    for dry_run in (True, False):
        body = chosen | {"environment": "live", "dryRun": dry_run}
        answer = await admin.post("/admin/deliveries/resend", json=body)
        schemas_repairs.CountAnswer.model_validate(answer.json())
        assert answer.json()["data"] == {"count": len(resent), "dryRun": dry_run}
        assert stand.oversight.resends.resent == ([] if dry_run else resent)


@pytest.mark.parametrize(
    "body",
    [{}, {"environment": "live"}, {"environment": "none", "state": "failed"}, {"state": "failed"},
     {"environment": "live", "webhookIds": []}, {"environment": "live", "webhookIds": [1]},
     {"environment": "live", "webhookIds": ["m"] * 1001}, {"environment": "live", "state": "delivered"},
     {"environment": "live", "webhookIds": ["m"], "state": "failed"}, {"environment": "live", "tenant": "acme"},
     {"environment": "live", "state": "failed", "since": "x"}, {"environment": "live", "state": "failed", "since": 1},
     {"environment": "live", "state": "failed", "dryRun": "yes"}, [], "a"],
)  # fmt: skip
async def test_an_unclear_wish_to_send_again_is_refused(
    stand: IngestStand, admin: httpx2.AsyncClient, body: object
) -> None:
    answer = await admin.post("/admin/deliveries/resend", json=body)
    assert (answer.status_code, code_of(answer)) == (422, "validation_failed")
    assert stand.oversight.resends.resent == []


async def test_dead_letters_are_listed_as_described(admin: httpx2.AsyncClient) -> None:
    listed = await admin.get("/admin/dead-letters")
    schemas_repairs.LetterTopicsAnswer.model_validate(listed.json())
    letters = await admin.get("/admin/dead-letters/mutations.accepted.dlq?reason=poison&limit=1")
    schemas_repairs.LettersAnswer.model_validate(letters.json())
    for method, path in (("GET", ""), ("POST", "/replay")):
        for topic in ("mutations.accepted", "none", "%00", "%2e%2e"):
            answer = await admin.request(method, f"/admin/dead-letters/{topic}{path}", json={})
            assert (answer.status_code, code_of(answer)) == (404, "not_found")


@pytest.mark.parametrize(
    ("body", "chosen"),
    [
        ({}, ChosenLetters()),
        ({"reason": "poison"}, ChosenLetters("poison")),
        ({"offsets": [[0, 7], [0, 7]]}, ChosenLetters(None, {(0, 7)})),
        ({"parts": [[0, 7, 9]]}, ChosenLetters(parts=[(0, 7, 9)])),
    ],
)
async def test_dead_letters_are_replayed_and_a_rehearsal_only_counts(
    stand: IngestStand, admin: httpx2.AsyncClient, body: dict[str, Any], chosen: ChosenLetters
) -> None:
    for dry_run in (True, False):
        answer = await admin.post("/admin/dead-letters/mutations.accepted.dlq/replay", json=body | {"dryRun": dry_run})
        schemas_repairs.ReplayAnswer.model_validate(answer.json())
        assert answer.json()["data"]["count"] == 1
        assert stand.oversight.letters.replayed == ([] if dry_run else [chosen])


@pytest.mark.parametrize(
    "body",
    [{"offsets": []}, {"offsets": [1]}, {"offsets": [[1]]}, {"offsets": [[-1, 0]]}, {"offsets": [[0, 2**63]]},
     {"offsets": [[0, 1, 2]]}, {"offsets": [["0", 1]]}, {"parts": []},
     {"parts": [[0, 1]]}, {"parts": [[0, -1, 1]]}, {"reason": ""}, {"reason": 1}, {"more": 1}, []],
)  # fmt: skip
async def test_an_unclear_wish_to_replay_is_refused(
    stand: IngestStand, admin: httpx2.AsyncClient, body: object
) -> None:
    answer = await admin.post("/admin/dead-letters/mutations.accepted.dlq/replay", json=body)
    assert (answer.status_code, code_of(answer)) == (422, "validation_failed")
    assert stand.oversight.letters.replayed == []


class Endless(OneLetter):
    """Holds more than is looked at within one answer."""

    async def replay(self, topic: str, chosen: ChosenLetters, dry_run: bool, done: Replayed) -> bool:
        done.left = [(0, 10_000, 20_000)]
        return True


async def test_what_a_replay_has_not_looked_at_is_told_so_that_the_next_can_go_on_there() -> None:
    stand = IngestStand()
    stand.app = build(replace(stand.gateway, oversight=replace(stand.gateway.oversight, letters=Endless())))
    async with stand.client("key-of-admin") as client:
        answer = await client.post("/admin/dead-letters/mutations.accepted.dlq/replay", json={})
    schemas_repairs.ReplayAnswer.model_validate(answer.json())
    told = answer.json()["data"]
    assert (told["complete"], told["next"]) == (False, [[0, 10_000, 20_000]])


class Cut(OneLetter):
    """Meets a bug, or a broker that goes away, behind the second record."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self._error = error

    async def replay(self, topic: str, chosen: ChosenLetters, dry_run: bool, done: Replayed) -> bool:
        done.letters = 2
        raise self._error


@pytest.mark.parametrize("error", [ZeroDivisionError(), DependencyUnavailable("kafka"), asyncio.CancelledError()])
async def test_a_replay_that_is_cut_off_is_logged_with_what_it_has_done(error: BaseException) -> None:
    stand = IngestStand()
    stand.app = build(replace(stand.gateway, oversight=replace(stand.gateway.oversight, letters=Cut(error))))
    with capture_logs() as logs:
        async with stand.client("key-of-admin") as client:
            for dry_run in (True, False):
                path = "/admin/dead-letters/mutations.accepted.dlq/replay"
                assert (await client.post(path, json={"dryRun": dry_run})).status_code >= 500
    [told] = [one for one in logs if one["event"] == "letters.replayed"]
    assert (told["count"], told["broke_off"]) == (2, True)


class Cancelled(OneLetter):
    """Lets a cancellation out that nobody asked for, as a client of ours may."""

    async def letters(self, topic: str, reason: str | None, most: int) -> list[dict[str, Any]] | None:
        raise asyncio.CancelledError


async def test_a_cancellation_that_nobody_asked_for_is_a_problem_and_is_logged() -> None:
    stand = IngestStand()
    stand.app = build(replace(stand.gateway, oversight=replace(stand.gateway.oversight, letters=Cancelled())))
    with capture_logs() as logs:
        async with stand.client("key-of-admin") as client:
            answer = await client.get("/admin/dead-letters/mutations.accepted.dlq")
    assert (answer.status_code, code_of(answer)) == (500, "internal_error")
    [told] = [one for one in logs if one["event"] == "request_failed"]
    assert told["request_id"] == answer.headers["x-request-id"]


OPERATOR = "0123456789abcdef"


async def test_what_an_operator_has_done_again_is_logged_and_a_rehearsal_is_not(
    stand: IngestStand, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = f"me_{OPERATOR}_{'x' * 43}"
    monkeypatch.setitem(KEYS, key, KeyHolder(None))
    stand.oversight.resends.documents["live"] = {"m1": delivery("m1")}
    with capture_logs() as logs:
        async with stand.client(key) as client:
            for dry_run in (True, False):
                again = {"environment": "live", "state": "failed", "dryRun": dry_run}
                await client.post("/admin/deliveries/resend", json=again)
                replay = {"reason": "poison", "dryRun": dry_run}
                await client.post("/admin/dead-letters/mutations.accepted.dlq/replay", json=replay)
    resent, replayed = logs
    assert (resent["event"], resent["operator"], resent["count"]) == ("callbacks.resent", OPERATOR, 1)
    assert (resent["mutations"], resent["chosen"]["state"]) == (["m1"], "failed")
    assert (replayed["event"], replayed["operator"], replayed["count"]) == ("letters.replayed", OPERATOR, 1)
    assert (replayed["topic"], replayed["chosen"]["reason"]) == (OneLetter.topic, "poison")
    assert replayed["broke_off"] is False
    assert key not in str(logs)
