"""A refusal is one problem that names everything that is wrong; nothing a client sends is our fault."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.ingest.api.body import BodyReader
from services.ingest.api.schemas_out import ProblemAnswer
from services.ingest.operations import Asked, prepare
from services.ingest.problems import FieldError
from services.ingest.record_types import CANDIDATE
from shared import limits
from shared.addresses import EgressPolicy
from shared.errors import FIELD_CODES, REQUEST_CODES
from tests.fakes_ingest import IngestStand

JSON = {"content-type": "application/json"}
DATA = "data:application/pdf;base64,aGVsbG8="


async def send(
    stand: IngestStand, content: Any, method: str = "POST", path: str = "/candidates", **headers: str
) -> Any:
    async with stand.client() as client:
        answer = await client.request(method, path, content=content, headers=JSON | headers)
    if answer.status_code >= 400:
        assert answer.headers["content-type"] == "application/problem+json"
        body = ProblemAnswer.model_validate_json(answer.content, strict=True)
        assert body.status == body.status_code == answer.status_code
        known = {*REQUEST_CODES, *FIELD_CODES}
        assert {one.code for one in body.errors} <= known
        assert body.type.rpartition(":")[2] in known
    return answer


async def errors_of(body: Any, path: str = "/candidates", method: str = "POST") -> list[tuple[str, str]]:
    stand = IngestStand()
    answer = await send(stand, json.dumps(body).encode(), method, path)
    assert answer.status_code == 422
    assert stand.mutations() == []
    return [(one["field"], one["code"]) for one in answer.json()["errors"]]


def one_file(**members: Any) -> dict[str, Any]:
    return {"otherAttachments": [{"filename": "a.pdf"} | members]}


INVALID: list[tuple[Any, list[tuple[str, str]]]] = [
        ({"firstname": "Ann"}, [("/firstname", "unknown_field")]),
        ({"firstName": 5}, [("/firstName", "invalid_type")]),
        ({"firstName": "a" * 201}, [("/firstName", "too_long")]),
        ({"firstName": "a" * 20_000}, [("/firstName", "too_long")]),
        ({"firstName": ""}, [("/firstName", "too_short")]),
        ({"firstName": "a\nb"}, [("/firstName", "invalid_value")]),
        ({"email": "nobody"}, [("/email", "invalid_value")]),
        ({"phone": "call me"}, [("/phone", "invalid_value")]),
        ({"locale": "english please"}, [("/locale", "invalid_value")]),
        ({"tags": ["a"] * 51}, [("/tags", "too_many_items")]),
        ({"tags": [1]}, [("/tags/0", "invalid_type")]),
        ({}, [("", "empty_request")]),
        ({"firstName": None, "otherAttachments": [], "customFields": {}}, [("", "empty_request")]),
        ({"callbackUrl": "https://hooks.example.com/in"}, [("", "empty_request")]),
        ("Ann", [("", "invalid_type")]),
        ([], [("", "empty_request")]),
        ([{"firstName": "a"}] * 11, [("", "too_many_items")]),
        ({"candidates": {}}, [("/candidates", "invalid_type")]),
        ({"candidates": [{"firstName": 1}], "x/~y": 1}, [("/x~1~0y", "unknown_field"),
         ("/candidates/0/firstName", "invalid_type")]),
        ([{"firstName": "a", "idempotencyKey": "k"}], [("/0/idempotencyKey", "unknown_field")]),
        ({"firstName": "a", "callbackUrl": "http://127.0.0.1/"}, [("/callbackUrl", "url_not_allowed")]),
        ({"firstName": "a", "callbackUrl": 5}, [("/callbackUrl", "invalid_type")]),
        ({"customFields": {"a": [], "b": "x" * 2001, "c": 1}}, [("/customFields/a", "invalid_type"),
         ("/customFields/b", "too_long")]),
        ({"customFields": [1]}, [("/customFields", "invalid_type")]),
        ({"customFields": {"$set": 1}}, [("/customFields/$set", "invalid_value")]),
        ({"customFields": {"a.b": 1}}, [("/customFields/a.b", "invalid_value")]),
        ({"customFields": {"a\0b": 1}}, [("/customFields/a\0b", "invalid_value")]),
        ({"customFields": {"": 1}}, [("/customFields/", "invalid_value")]),
        ({"customFields": {"n": 2**63}}, [("/customFields/n", "invalid_value")]),
        ({"customFields": {"n": {"deep": 1}}}, [("/customFields/n", "invalid_type")]),
        ({"customFields": {"n": "a" * 2001}}, [("/customFields/n", "too_long")]),
        ({"customFields": {"n": "a" * 20_001}}, [("/customFields/n", "too_long")]),
        ({"customFields": {str(n): n for n in range(101)}}, [("/customFields", "too_many_items")]),
        ({"curriculumVitae": "cv.pdf"}, [("/curriculumVitae", "invalid_type")]),
        ({"curriculumVitae": {"filename": "a"}}, [("/curriculumVitae", "file_source_missing")]),
        (one_file(), [("/otherAttachments/0", "file_source_missing")]),
        (one_file(data=DATA, url="https://files.example.com/a"), [("/otherAttachments/0", "file_source_ambiguous")]),
        (one_file(data=DATA, filename=".."), [("/otherAttachments/0/filename", "invalid_filename")]),
        (one_file(data="hello"), [("/otherAttachments/0/data", "invalid_data_uri")]),
        (one_file(data="data:application/pdf,hello"), [("/otherAttachments/0/data", "invalid_data_uri")]),
        (one_file(data="a" * 20_000), [("/otherAttachments/0/data", "invalid_data_uri")]),
        (one_file(data=5), [("/otherAttachments/0/data", "invalid_type")]),
        (one_file(data=DATA[:-1]), [("/otherAttachments/0/data", "invalid_base64")]),
        (one_file(data="data:application/pdf;base64,aGVsbG9="), [("/otherAttachments/0/data", "invalid_base64")]),
        (one_file(data="data:application/pdf;base64,"), [("/otherAttachments/0/data", "empty_file")]),
        (one_file(data="data:application/zip;base64,aGVsbG8="),
         [("/otherAttachments/0/data", "unsupported_content_type")]),
        (one_file(url="ftp://files.example.com/a"), [("/otherAttachments/0/url", "invalid_url")]),
        (one_file(url="http://localhost/a"), [("/otherAttachments/0/url", "url_not_allowed")]),
        (one_file(url="http://[::1]/a"), [("/otherAttachments/0/url", "url_not_allowed")]),
        (one_file(url=5), [("/otherAttachments/0/url", "invalid_type")]),
        ({"otherAttachments": [{"filename": "a", "data": DATA}] * 6}, [("/otherAttachments", "too_many_items")]),
        ({str(n): n for n in range(200)}, [("", "too_many_items")]),
        (one_file(data=DATA, **{str(n): n for n in range(200)}), [("/otherAttachments/0", "too_many_items")]),
        ({"address": {str(n): n for n in range(200)}}, [("/address", "too_many_items")]),
        ({"address": {"country": "Schweiz", "planet": "x"}}, [("/address/country", "invalid_value"),
         ("/address/planet", "unknown_field")]),
        ({"address": {"postalCode": "8" * 21, "city": ""}}, [("/address/postalCode", "too_long"),
         ("/address/city", "too_short")]),
        ({"address": {"country": "C1"}}, [("/address/country", "invalid_value")]),
        ({"dateOfBirth": "1990-02-30"}, [("/dateOfBirth", "invalid_value")]),
        ({"dateOfBirth": "19900228"}, [("/dateOfBirth", "invalid_value")]),
        ({"links": ["ftp://a.example.org"]}, [("/links/0", "invalid_value")]),
        ({"links": ["https://a.example.org"] * 21}, [("/links", "too_many_items")]),
        ({"phone": "00 (0)"}, [("/phone", "invalid_value")]),
        ({"phone": "+1 555 010 0199 x7"}, [("/phone", "invalid_value")]),
        ({"summary": "a\0b"}, [("/summary", "invalid_value")]),
        ({"summary": "a" * 20_001}, [("/summary", "too_long")]),
        ({"summary": "a" * 100_001}, [("/summary", "too_long")]),
        ({"summary": "a" * 10_000_000}, [("/summary", "too_long")]),
        ({"summary": 7}, [("/summary", "invalid_type")]),
    ]  # fmt: skip


@pytest.mark.parametrize(("body", "wanted"), INVALID)
async def test_invalid_candidate_is_refused_with_pointer_and_code(body: Any, wanted: list[tuple[str, str]]) -> None:
    assert await errors_of(body) == wanted


@pytest.mark.parametrize(
    ("body", "hint"),
    [
        ({"curriculumVitae": "hello"}, "Send a file object, or an array of them."),
        ({"otherAttachments": "a" * 20_000}, "Send a file object, or an array of them."),
        (one_file(data="data:application/zip;base64,aGVsbG8="), "application/pdf"),
        (one_file(data="data:application/pdf;base64," + "A" * 8_000_000), "5 MiB"),
    ],
)
async def test_the_message_says_what_to_send_instead(body: Any, hint: str) -> None:
    answer = await send(IngestStand(), json.dumps(body).encode())
    assert answer.status_code == 422
    assert hint in answer.json()["errors"][0]["message"]


@pytest.mark.parametrize("body", [b"{}", b'{"firstName":"a"}' + b" " * 20_000])
async def test_a_byte_order_mark_is_named(body: bytes) -> None:
    answer = await send(IngestStand(), b"\xef\xbb\xbf" + body)
    assert answer.status_code == 400
    assert "byte order mark" in answer.json()["detail"]


async def test_limits_are_told_in_their_own_unit() -> None:
    answer = await send(IngestStand(BodyReader(largest=2 * limits.MIB)), b" " * (2 * limits.MIB + 1))
    assert (answer.status_code, "2 MiB" in answer.json()["detail"]) == (413, True)


async def test_every_error_is_named_at_once() -> None:
    body = {
        "firstname": "Ann",
        "email": 5,
        "curriculumVitae": [{"filename": "..", "url": "ftp://a.example.com", "data": "x"}, 7],
        "otherAttachments": [{"filename": "a", "data": DATA, "size": 5}] * 6,
        "callbackUrl": "nonsense",
    }
    found = await errors_of(body)
    assert set(found) == {
        ("/callbackUrl", "invalid_url"),
        ("/firstname", "unknown_field"),
        ("/email", "invalid_type"),
        ("/curriculumVitae/0/filename", "invalid_filename"),
        ("/curriculumVitae/0/url", "invalid_url"),
        ("/curriculumVitae/0/data", "invalid_data_uri"),
        ("/curriculumVitae/0", "file_source_ambiguous"),
        ("/curriculumVitae/1", "invalid_type"),
        *((f"/otherAttachments/{n}/size", "unknown_field") for n in range(5)),
        ("/otherAttachments", "too_many_items"),
    }


async def test_file_of_five_mebibytes_is_taken_and_one_byte_more_is_not() -> None:
    stand = IngestStand()
    for size, status in ((limits.BASE64_FILE_BYTES, 202), (limits.BASE64_FILE_BYTES + 1, 422)):
        data = "data:application/pdf;base64," + base64.b64encode(bytes(size)).decode()
        answer = await send(stand, json.dumps(one_file(data=data)).encode())
        assert answer.status_code == status
    assert answer.json()["errors"][0]["code"] == "file_too_large"


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        ({}, ("/attachmentIds", "missing")),
        ({"attachmentIds": []}, ("/attachmentIds", "too_short")),
        ({"attachmentIds": ["x"]}, ("/attachmentIds/0", "invalid_value")),
        ({"attachmentIds": "x"}, ("/attachmentIds", "invalid_type")),
        ({"attachmentIds": ["x"] * 101}, ("/attachmentIds", "too_many_items")),
        ([], ("", "invalid_type")),
    ],
)
async def test_removal_needs_ids(body: Any, wanted: tuple[str, str]) -> None:
    path = "/candidates/01890000-0000-7000-8000-000000000009/attachments"
    assert wanted in await errors_of(body, path, "DELETE")


async def test_append_needs_a_file_and_takes_no_fields() -> None:
    path = "/candidates/01890000-0000-7000-8000-000000000009/attachments"
    assert await errors_of({}, path) == [("", "empty_request")]
    assert await errors_of({"firstName": "Ann"}, path) == [("/firstName", "unknown_field")]


async def test_update_with_files_names_the_right_endpoint() -> None:
    stand = IngestStand()
    body = json.dumps({"curriculumVitae": [], "otherAttachments": None, "firstName": "Ann"}).encode()
    answer = await send(stand, body, "PATCH", "/candidates/01890000-0000-7000-8000-000000000009")
    assert answer.status_code == 422
    for one, field in zip(answer.json()["errors"], ["/curriculumVitae", "/otherAttachments"], strict=True):
        assert (one["field"], one["code"]) == (field, "wrong_endpoint")
        assert "POST /candidates/{id}/attachments" in one["message"]


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"", {}, 400),
        (b"{", {}, 400),
        (b'{"firstName":"a","firstName":"b"}', {}, 400),
        (b"[" * 50_000, {}, 400),
        (b'{"firstName":NaN}', {}, 400),
        (b'{"customFields":{"a":1e999}}', {}, 422),
        (b'{"customFields":{"a":' + b"9" * 4000 + b"}}", {}, 422),
        (b'{"customFields":{"a":' + b"9" * 5000 + b"}}", {}, 400),
        ('{"firstName":"a"}'.encode("utf-16"), {}, 400),
        (b"\xef\xbb\xbf{}", {}, 400),
        (b'{"firstName":"\\ud800"}', {}, 400),
        (b'{"firstName":"a"}', {"content-type": "text/plain"}, 415),
        (b'{"firstName":"a"}', {"content-type": "application/json; charset=latin-1"}, 415),
        (b'{"firstName":"a"}', {"content-encoding": "gzip"}, 415),
        (b'{"firstName":"a"}', {"content-type": "application/json; charset=UTF-8"}, 202),
        (b'{"firstName":"a"}', {"content-length": "99999999999999999999999999"}, 413),
    ],
)
async def test_bodies_that_are_no_json_of_ours(content: bytes, headers: dict[str, str], status: int) -> None:
    answer = await send(IngestStand(), content, **headers)
    assert answer.status_code == status


async def pieces(*contents: bytes) -> AsyncIterator[bytes]:
    for content in contents:
        yield content


async def test_size_is_counted_while_it_streams() -> None:
    stand = IngestStand(BodyReader(largest=100_000))
    answer = await send(stand, pieces(b'{"firstName":"', *[b"a" * 50_000] * 3))
    assert answer.status_code == 413


async def test_budget_of_bytes_in_flight_refuses_and_is_given_back() -> None:
    stand = IngestStand(BodyReader(in_flight=100_000))
    body = json.dumps({"firstName": "a", "lastName": " " * 200_000}).encode()
    refused = await send(stand, pieces(body[:60_000], body[60_000:]))
    assert refused.status_code == 503
    assert refused.json()["errors"][0]["code"] == "over_capacity"
    assert int(refused.headers["Retry-After"]) > 0
    assert (await send(stand, b'{"firstName":"a"}' + b" " * 70_000)).status_code == 202


async def test_two_bodies_share_the_budget_and_one_tenant_leaves_room_for_another() -> None:
    stand = IngestStand(BodyReader(in_flight=100_000))
    held = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield body(60_000)
        held.set()
        await go_on.wait()

    def body(size: int) -> bytes:
        return b'{"firstName":"a"}'.ljust(size)

    go_on = asyncio.Event()
    first = asyncio.create_task(send(stand, slow()))
    await held.wait()
    other = {"x-api-key": "key-of-other"}
    assert (await send(stand, body(15_001))).status_code == 503, "more than its share"
    assert (await send(stand, body(15_000))).status_code == 202
    assert (await send(stand, body(40_001), **other)).status_code == 503, "more than there is"
    assert (await send(stand, body(40_000), **other)).status_code == 202
    go_on.set()
    assert (await first).status_code == 202
    assert stand.bodies.held == 0


@pytest.mark.parametrize("reader", [BodyReader(seconds=0.05), BodyReader(seconds=60, rate=10**9, grace=0.05)])
async def test_body_that_comes_too_slowly_is_cut(reader: BodyReader) -> None:
    never = asyncio.Event()

    async def stalling() -> AsyncIterator[bytes]:
        yield b'{"firstName":'
        await never.wait()

    answer = await send(IngestStand(reader), stalling())
    assert answer.status_code == 408


async def test_a_gateway_that_stood_still_does_not_blame_the_client() -> None:
    async def stopped() -> AsyncIterator[bytes]:
        yield b'{"firstName":'
        time.sleep(1.2)  # noqa: ASYNC251  as SIGSTOP does: no time-out can end meanwhile
        await asyncio.Event().wait()

    answer = await send(IngestStand(BodyReader(seconds=0.05)), stopped())
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (503, "unavailable")
    assert int(answer.headers["Retry-After"]) > 0


async def test_framework_errors_are_problems_too() -> None:
    stand = IngestStand()
    assert (await send(stand, b"", "GET", "/nowhere")).status_code == 404
    wrong = await send(stand, b"", "PUT", "/candidates")
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "GET, HEAD, POST")
    assert (await send(stand, b"", "PUT", "/candidates/find")).headers["allow"] == "GET, HEAD"
    assert (await send(stand, b"", "PUT", "/attachments/temporary")).headers["allow"] == "POST"
    assert (await send(stand, b"", "GET", "/candidates/1/")).status_code == 404


async def test_absent_database_is_503() -> None:
    stand = IngestStand()
    stand.keys.away = True
    answer = await send(stand, b'{"firstName":"a"}')
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (503, "unavailable")


async def test_a_bug_is_a_problem_that_tells_nothing() -> None:
    stand = IngestStand()
    del stand.keys.away
    answer = await send(stand, b'{"firstName":"a"}')
    assert answer.status_code == 500
    assert "away" not in answer.text
    assert answer.headers["x-request-id"]


async def test_request_id_is_echoed_when_sane_and_made_otherwise() -> None:
    stand = IngestStand()
    assert (await send(stand, b"", "GET", "/healthz", **{"x-request-id": "abc-1"})).headers["x-request-id"] == "abc-1"
    for odd in ("a b", "x" * 129, "<script>"):
        answer = await send(stand, b"", "GET", "/nowhere", **{"x-request-id": odd})
        assert len(answer.headers["x-request-id"]) == 36


async def test_many_errors_are_cut_and_looked_for_no_longer() -> None:
    body = [{"otherAttachments": [{"filename": "a", "x": 1, "y": 2, "z": 3}] * 5, "a": 1}] * 10
    answer = await send(IngestStand(), json.dumps(body).encode())
    assert len(answer.json()["errors"]) == 100
    assert "there are more" in answer.json()["detail"]
    errors: list[FieldError] = []
    assert await prepare(1, Asked("create", CANDIDATE, None, body), EgressPolicy(), errors) is None
    assert len(errors) < 140
