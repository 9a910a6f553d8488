"""The console is a fixed set of files under a strict policy: small, from nowhere else, and nothing else is served."""

import re
from pathlib import Path
from typing import Any

import pytest

from services.ingest.api.console import HEADERS, TYPES
from tests.fakes_ingest import IngestStand

FOLDER = Path(__file__).parents[2] / "services" / "ingest" / "console"
FIRST_VIEW_BYTES = 100_000
# Ways from a text to markup or to a program.
SINKS = (
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|DOMParser|createContextualFragment"
)


async def got(path: str, method: str = "GET", **headers: str) -> Any:
    async with IngestStand().client(None) as client:
        return await client.request(method, path, headers=headers)


@pytest.mark.parametrize("path", ["/console", *(f"/console/{name}" for name in TYPES)])
async def test_every_file_comes_without_a_key_and_under_the_policy(path: str) -> None:
    answer = await got(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == TYPES[path.removeprefix("/console").removeprefix("/") or "index.html"]
    assert {name: answer.headers[name] for name in HEADERS} == HEADERS
    assert answer.headers["x-request-id"]
    policy = answer.headers["content-security-policy"]
    assert "'none'" in policy
    assert "unsafe" not in policy
    assert "//" not in policy
    assert (await got(path, "HEAD")).content == b""


async def test_the_table_names_what_is_there_and_the_page_asks_for_nothing_else() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(TYPES)
    page = (FOLDER / "index.html").read_text()
    named = set(re.findall(r'(?:src|href)="([^#"][^"]*)"', page))
    modules = {name for name in TYPES if name.endswith(".js")}
    imported = set(re.findall(r'from "\./([^"]+)"', "".join((FOLDER / name).read_text() for name in modules)))
    assert named == {f"console/{name}" for name in TYPES if name != "index.html"}
    assert imported <= modules


async def test_the_first_view_is_small() -> None:
    sizes = {name: len((await got(f"/console/{name}")).content) for name in TYPES}
    assert sum(sizes.values()) <= FIRST_VIEW_BYTES, sizes


@pytest.mark.parametrize("name", TYPES)
def test_no_file_holds_markup_made_of_text_or_the_name_of_another_host(name: str) -> None:
    text = (FOLDER / name).read_text()
    assert not re.search(SINKS, text)
    assert set(re.findall(r"\w+://[^\s\"')]+", text)) <= {"http://www.w3.org/2000/svg"}
    assert not re.search(r"<style|\sstyle=|\son\w+=\"|javascript:", text)
    assert not re.search(r"<script(?! type=\"module\" src=)", text)


@pytest.mark.parametrize(
    "path",
    [
        "/console/nothing.js", "/console/app.js/", "/console/../api/app.py", "/console/..%2fapi%2fapp.py",
        "/console/%2e%2e/main.py", "/console/..%5capi", "/console/%00", "/console/app.js%00", "/console/%ff",
        "/console//etc/passwd", "/console/%2fetc%2fpasswd", "/console/__init__.py", "/console/APP.JS",
    ],
)  # fmt: skip
async def test_nothing_else_is_found_whatever_lies_on_the_disk(path: str) -> None:
    answer = await got(path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_slash_too_many_leads_to_the_page() -> None:
    answer = await got("/console/")
    assert (answer.status_code, answer.headers["location"]) == (307, "../console")


async def test_it_is_only_read() -> None:
    answer = await got("/console", "POST")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


async def test_what_the_gateway_refuses_elsewhere_is_refused_here() -> None:
    assert (await got("/console", **{"x-api-sandbox": "perhaps"})).status_code == 400
    assert (await got("/sandbox/console")).status_code == 200


async def test_it_is_no_part_of_the_described_api() -> None:
    assert "/console" not in (await got("/openapi.json")).text
