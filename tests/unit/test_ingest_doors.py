"""No route opens by mistake: whoever has no key is refused before a byte of the body is taken."""

import re
from collections.abc import AsyncIterator

import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.routing import Route

from services.ingest.api.context import RequestContext
from tests.fakes_ingest import IngestStand, code_of

CONSOLE = {"/console", "/console/", "/console/{name}"}  # fixed files, which know nothing
OPEN = {"/healthz", "/readyz", "/metrics", "/openapi.json", "/asyncapi", "/docs", *CONSOLE}
STRANGERS = [None, b"wrong", b"me_0123456789abcdef_" + b"x" * 43, b"\xe9\xff"]


def doors(stand: IngestStand) -> list[tuple[str, str]]:
    """(method, path) of every route that there is, described or not."""
    assert isinstance(stand.app, RequestContext)
    assert isinstance(stand.app._app, FastAPI)
    routes = [context.original_route for context in iter_route_contexts(stand.app._app.routes)]
    assert all(isinstance(route, Route) for route in routes), "no mount, no socket"
    return [(method, route.path) for route in routes if isinstance(route, Route) for method in route.methods or ()]


@pytest.mark.parametrize("key", STRANGERS)
async def test_every_route_but_those_for_all_refuses_strangers_unread(key: bytes | None) -> None:
    stand = IngestStand()
    taken: list[str] = []

    async def body(path: str) -> AsyncIterator[bytes]:
        taken.append(path)
        yield b"{}"

    async with stand.client(None) as client:
        opened = set()
        for method, path in doors(stand):
            url = re.sub(r"{\w+}", "01890000-0000-7000-8000-000000000009", path)
            headers = [(b"content-type", b"application/json"), *([(b"x-api-key", key)] if key else [])]
            answer = await client.request(method, url, content=body(path), headers=headers)
            if answer.status_code == 401:
                assert answer.headers["content-type"] == "application/problem+json"
                assert method == "HEAD" or answer.json()["errors"][0]["code"] == "unauthorized"
            else:
                opened.add(path)
    assert opened == OPEN
    assert taken == []
    assert len(doors(stand)) > 40


async def test_every_route_for_operators_refuses_a_tenants_key(stand: IngestStand) -> None:
    await stand.registry.create_tenant("acme")
    routes = [(method, path) for method, path in doors(stand) if path.startswith("/admin")]
    async with stand.client("key-of-acme") as client:
        for method, path in routes:
            answer = await client.request(method, path.replace("{tenant}", "acme"), json={})
            assert (answer.status_code, code_of(answer)) == (403, "forbidden"), path
    assert len(routes) > 15
    assert (await stand.registry.keys("acme"), await stand.registry.secrets("acme")) == ([], [])
    assert (stand.oversight.resends.resent, stand.oversight.letters.replayed) == ([], [])
