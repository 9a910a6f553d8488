"""What schemathesis runs with (SCHEMATHESIS_HOOKS): requests that find something, and one check more.

Every choice hangs on the generated value alone, so that a seed gives the same requests again.
"""

import re
from typing import Any, Final
from zlib import crc32

import schemathesis
from hypothesis import strategies as st

from shared.limits import WAIT_SECONDS

KNOWN: Final = {
    "candidate": "01890000-0000-7000-8000-0000000000c1",
    "company": "01890000-0000-7000-8000-0000000000c2",
    "vacancy": "01890000-0000-7000-8000-0000000000c3",
    "attachment": "01890000-0000-7000-8000-0000000000a1",
}
KNOWN_KEY: Final = "fuzz-1"
UUID: Final = re.compile(r"[0-9a-f-]{36}")
OWNERS: Final = {"candidates": "candidate", "companies": "company", "vacancies": "vacancy", "attachments": "attachment"}
# Nobody in the stack under test dials them.
URLS: Final = (
    "https://files.example.com/cv.pdf",
    "https://hooks.example.org/in?a=b%20c",
    "http://127.0.0.1/",
    "http:/",
)

schemathesis.openapi.format("uri", st.sampled_from(URLS))


def _chosen(value: object) -> bool:
    return crc32(str(value).encode()) % 4 > 0


@schemathesis.hook
def map_path_parameters(context: Any, path_parameters: dict[str, Any] | None) -> dict[str, Any] | None:
    """Most ids and keys are those of something that is there."""
    for name, value in (path_parameters or {}).items():
        if path_parameters and _chosen(value):
            kind = OWNERS.get(context.operation.path.split("/")[1], "")
            path_parameters[name] = {"id": KNOWN.get(kind, value), "idempotencyKey": KNOWN_KEY}.get(name, value)
        elif path_parameters and context.operation.path.endswith("/events") and UUID.fullmatch(str(value)):
            path_parameters[name] = KNOWN_KEY  # a mutation that this run made is never done, nor is the stream of it
    return path_parameters


@schemathesis.hook
def map_query(context: Any, query: dict[str, Any] | None) -> dict[str, Any] | None:
    """Most records asked for are there; most keys come once, because three of them always contradict each other."""
    if query and "wait" in query:
        query["wait"] = _soon(query["wait"])
    for name, value in list((query or {}).items()):
        if query and _chosen(value):
            if name == "idempotencyKey":
                del query[name]
            elif name.removesuffix("Id") in KNOWN:
                query[name] = KNOWN[name.removesuffix("Id")]
    return query


@schemathesis.hook
def map_headers(context: Any, headers: dict[str, Any] | None) -> dict[str, Any] | None:
    """Nothing ever ends in the stack under test: who would wait waits a second."""
    if headers and "Prefer" in headers:
        headers["Prefer"] = re.sub(r"[0-9]+", lambda number: str(min(int(number[0]), 1)), str(headers["Prefer"]))
    return headers


def _soon(seconds: Any) -> Any:
    """A time that is waited for becomes a second; what is refused stays as it is."""
    return 1 if str(seconds).isdecimal() and 1 < int(seconds) <= WAIT_SECONDS else seconds


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:
    """Most files have a source that is taken, and most records that are named are there."""
    return _replaced(body)


def _replaced(part: Any, name: str = "") -> Any:
    if isinstance(part, dict):
        return {member: _replaced(value, member) for member, value in part.items()}
    if isinstance(part, list):
        return [_replaced(item) for item in part]
    if not isinstance(part, str) or not _chosen(part):
        return part
    known = KNOWN.get(name.removesuffix("Id"), part) if name.endswith("Id") else part
    return {"url": URLS[0], "data": "data:text/plain;base64,aGVsbG8="}.get(name, known)


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """A redirect is an answer to look at, and leads away from the API."""
    kwargs["allow_redirects"] = False


@schemathesis.check
def refusals_are_problems(context: Any, response: Any, case: Any) -> None:
    """Every refusal has the one media type."""
    media_type = response.headers.get("content-type")
    if response.status_code >= 400 and media_type != ["application/problem+json"]:
        raise AssertionError(f"{response.status_code} came as {media_type}")
