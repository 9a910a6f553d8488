"""The routes for operators: admin keys only, whatever is sent; and a stream that ends when it should."""

from collections.abc import AsyncIterator

import httpx2
import orjson
import pytest

from services.ingest.api import admin_state, schemas_oversight
from tests.fakes_ingest import IngestStand

ROUTES = [
    ("GET", "/admin/search?q=x"),
    ("GET", "/admin/mutations/live/x"),
    ("GET", "/admin/state"),
    ("GET", "/admin/state/events"),
]


@pytest.fixture
def stand() -> IngestStand:
    return IngestStand()


@pytest.fixture
async def admin(stand: IngestStand) -> AsyncIterator[httpx2.AsyncClient]:
    async with stand.client("key-of-admin") as client:
        yield client


def code_of(answer: httpx2.Response) -> str:
    assert answer.headers["content-type"] == "application/problem+json"
    return str(answer.json()["type"].rpartition(":")[2])


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_only_admin_keys_pass(stand: IngestStand, method: str, path: str) -> None:
    refused = {None: (401, "unauthorized"), "wrong": (401, "unauthorized"), "key-of-acme": (403, "forbidden")}
    for key, expected in refused.items():
        async with stand.client(key) as client:
            answer = await client.request(method, path)
        assert (answer.status_code, code_of(answer)) == expected


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
