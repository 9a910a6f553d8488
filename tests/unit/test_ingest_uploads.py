"""Temporary uploads are kept together or not at all; their bytes say what they are."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.ingest.api.body import BodyReader
from services.ingest.api.schemas_out import AttachmentAnswer, ProblemAnswer, UploadedFiles
from services.ingest.uploads import UploadRules
from shared import limits
from shared.limits import KIB, MIB
from tests import corpus
from tests.fakes_ingest import IngestStand
from tests.forms import BOUNDARY, FORM_TYPE, form, head

PATH = "/attachments/temporary"
PDF, PNG = corpus.pdf(), corpus.image("PNG")
TWO = form(("cv.pdf", PDF), ("me.png", PNG))
END = f"\r\n--{BOUNDARY}--\r\n".encode()


async def send(stand: IngestStand, content: Any, path: str = PATH, key: str = "key-of-acme", **headers: str) -> Any:
    async with stand.client(key) as client:
        answer = await client.post(path, content=content, headers={"content-type": FORM_TYPE} | headers)
    if answer.status_code >= 400:
        assert answer.headers["content-type"] == "application/problem+json"
        ProblemAnswer.model_validate_json(answer.content, strict=True)
    return answer


def errors(answer: Any) -> tuple[int, list[tuple[str, str]]]:
    return answer.status_code, [(one["field"], one["code"]) for one in answer.json()["errors"]]


def left(stand: IngestStand) -> tuple[int, int]:
    """How many objects and documents there are."""
    return len(stand.blobs.objects), sum(map(len, stand.uploads.documents.values()))


async def test_files_are_kept_and_described() -> None:
    stand = IngestStand()
    answer = await send(stand, TWO, PATH + "?type=cv")
    assert answer.status_code == 200
    UploadedFiles.model_validate_json(answer.content)
    first, second = answer.json()
    assert [one["attachmentName"] for one in (first, second)] == ["cv.pdf", "me.png"]
    assert [(one["extension"], one["size"]) for one in (first, second)] == [("pdf", len(PDF)), ("png", len(PNG))]
    assert {one["type"] for one in (first, second)} == {"CV"}
    document = stand.uploads.documents["live"][first["attachmentId"]]
    assert document["tenant"] == "acme"
    assert document["sha256"] == hashlib.sha256(PDF).hexdigest()
    assert document["keepUntil"] == document["expiresAt"] == document["createdAt"] + timedelta(hours=24)
    assert document["claimedBy"] is None
    assert document["key"].startswith(f"staging/live/uploads/{first['attachmentId']}/")
    assert stand.blobs.objects[document["key"]] == PDF
    assert left(stand) == (2, 2)


@pytest.mark.parametrize(
    ("name", "content", "stored", "extension", "content_type", "match"),
    [
        ("cv.pdf", PDF, "cv.pdf", "pdf", "application/pdf", "match"),
        ("photo.JPEG", corpus.image("JPEG"), "photo.JPEG", "jpg", "image/jpeg", "match"),
        ("page.html", PNG, "page.html.png", "png", "image/png", "compatible"),
        ("cv", PDF, "cv.pdf", "pdf", "application/pdf", "compatible"),
        ("../../etc/Lebenslauf Müller.pdf", PDF, "Lebenslauf Müller.pdf", "pdf", "application/pdf", "match"),
        ("x" * 300 + ".pdf", PNG, "x" * 251 + ".png", "png", "image/png", "compatible"),
        ("logo.svg", corpus.svg("<script>alert(1)</script>"), "logo.svg", "svg", "image/svg+xml", "match"),
        ("fav", corpus.image("ICO"), "fav.ico", "ico", "image/vnd.microsoft.icon", "compatible"),
    ],
)
async def test_the_bytes_say_what_a_file_is(
    name: str, content: bytes, stored: str, extension: str, content_type: str, match: str
) -> None:
    stand = IngestStand()
    [kept] = (await send(stand, form((name, content)))).json()
    assert (kept["attachmentName"], kept["extension"]) == (stored, extension)
    document = stand.uploads.documents["live"][kept["attachmentId"]]
    assert (document["contentType"], document["match"]) == (content_type, match)


@pytest.mark.parametrize(
    ("query", "kind"),
    [
        ("", "unassigned"), ("?type=UnAssigned", "unassigned"), ("?type=cover_letter", "COVER_LETTER"),
        ("?type=EXPORTEDTEMPLATEDCV", "ExportedTemplatedCv"),
    ],
)  # fmt: skip
async def test_type_is_read_without_regard_to_case(query: str, kind: str) -> None:
    [kept] = (await send(IngestStand(), form(("cv.pdf", PDF)), PATH + query)).json()
    assert kept["type"] == kind


@pytest.mark.parametrize("query", ["?type=", "?type=cvs", "?type=CV&type=CV", "?type=%00", "?type=%EF%BF%BD"])
async def test_another_type_is_refused_with_the_allowed_ones(query: str) -> None:
    stand = IngestStand()
    answer = await send(stand, form(("cv.pdf", PDF)), PATH + query)
    assert errors(answer) == (422, [("type", "invalid_value")])
    assert all(one in answer.text for one in limits.ATTACHMENT_TYPES)
    assert left(stand) == (0, 0)


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"<!doctype html><title>x</title>", "type text/html"), (b"\x00\xf3" * 99, "not known")],
)
async def test_refused_file_is_told_its_type_and_the_accepted_ones(content: bytes, says: str) -> None:
    answer = await send(IngestStand(), form(("a", content)))
    assert errors(answer) == (422, [("/files/0", "unsupported_content_type")])
    [error] = answer.json()["errors"]
    assert says in error["message"]
    assert "bmp, doc, docx, gif, ico, jpg, pdf, png, svg, tif, webp, xlsx" in error["message"]


BAD: list[tuple[bytes, int, str, str]] = [
    (form(), 422, "/files", "empty_request"),
    (form(*[("a.pdf", PDF)] * 11), 422, "/files", "too_many_items"),
    (form(("cv.pdf", PDF), ("a.txt", b"only words")), 422, "/files/1", "unsupported_content_type"),
    (form(("cv.pdf", PDF), ("cv.docx", corpus.bomb(2))), 422, "/files/1", "unsafe_content"),
    (form(("cv.pdf", PDF), ("cv.pdf", b"")), 422, "/files/1", "empty_file"),
    (form(("cv.pdf", PDF), ("..", PDF)), 422, "/files/1", "invalid_filename"),
    (form(("cv.pdf", PDF), ("", b"")), 422, "/files/1", "invalid_filename"),
    (form(("cv.pdf", PDF), field="file"), 422, "/file", "unknown_field"),
    (form(("cv.pdf", PDF))[: -len(END)] + b"\r\n" + form(("cv.pdf", PDF), field="x"), 422, "/x", "unknown_field"),
    (head("cv.pdf").replace(b'; filename="cv.pdf"', b"") + PDF + END, 422, "/files/0", "invalid_filename"),
    (TWO[: -len(END)], 400, "", "malformed_request"),
    (b"", 400, "", "malformed_request"),
    (b"--other\r\n", 400, "", "malformed_request"),
]


@pytest.mark.parametrize(("content", "status", "where", "code"), BAD)
async def test_a_bad_file_refuses_all_and_leaves_nothing(content: bytes, status: int, where: str, code: str) -> None:
    stand = IngestStand()
    assert errors(await send(stand, content)) == (status, [(where, code)])
    assert left(stand) == (0, 0)


async def test_what_is_no_form_is_refused() -> None:
    assert errors(await send(IngestStand(), b"{}", **{"content-type": "application/json"}))[0] == 415
    assert errors(await send(IngestStand(), TWO, **{"content-type": "multipart/form-data"}))[0] == 400
    assert errors(await send(IngestStand(), TWO, **{"content-encoding": "gzip"}))[0] == 415
    assert errors(await send(IngestStand(), TWO, key="nobody"))[0] == 401


async def poured(parts: Iterable[bytes], poured_bytes: list[int]) -> AsyncIterator[bytes]:
    for piece in parts:
        poured_bytes.append(len(piece))
        yield piece


def large(size: int) -> Iterable[bytes]:
    """A form with a PDF of so many bytes, in pieces."""
    yield head("cv.pdf") + PDF
    rest = size - len(PDF)
    yield from (bytes(256 * KIB) for _ in range(rest // (256 * KIB)))
    yield bytes(rest % (256 * KIB)) + END


async def test_a_file_of_the_most_bytes_is_kept() -> None:
    stand = IngestStand()
    [kept] = (await send(stand, poured(large(limits.TEMPORARY_FILE_BYTES), []))).json()
    assert kept["size"] == limits.TEMPORARY_FILE_BYTES
    [content] = stand.blobs.objects.values()
    assert hashlib.sha256(content).hexdigest() == stand.uploads.documents["live"][kept["attachmentId"]]["sha256"]


async def test_what_the_judge_has_read_is_kept_from_its_beginning() -> None:
    stand, content = (
        IngestStand(),
        corpus.ole("WordDocument", "1Table") + bytes(700 * KIB),
    )  # more than is judged in memory
    assert (await send(stand, form(("cv.doc", content)))).status_code == 200
    assert list(stand.blobs.objects.values()) == [content]


async def test_one_byte_more_is_refused_at_once() -> None:
    stand, taken = IngestStand(), list[int]()
    answer = await send(stand, poured(large(limits.TEMPORARY_FILE_BYTES + 200 * MIB), taken))
    assert errors(answer) == (413, [("/files/0", "payload_too_large")])
    assert sum(taken) < limits.TEMPORARY_FILE_BYTES + MIB
    assert left(stand) == (0, 0)
    exact = await send(stand, poured(large(limits.TEMPORARY_FILE_BYTES + 1), []))
    assert exact.status_code == 413


async def test_an_announced_length_that_is_too_large_is_refused_unread() -> None:
    taken: list[int] = []
    length = str(10 * limits.TEMPORARY_FILE_BYTES + limits.UPLOAD_OVERHEAD_BYTES + 1)
    answer = await send(IngestStand(), poured([TWO], taken), **{"content-length": length})
    assert errors(answer)[0] == 413
    assert taken == []


async def broken_off(stand: IngestStand, content: bytes, at: int, piece: int) -> int:
    """The status that a client would have got, had it not gone after so many bytes."""
    waiting = [content[n : min(n + piece, at)] for n in range(0, at, piece)]
    status = 0

    async def receive() -> Any:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(0), "more_body": True}
        return {"type": "http.disconnect"}

    async def answered(message: Any) -> None:
        nonlocal status
        status = message.get("status", status)

    scope = {
        "type": "http", "method": "POST", "path": PATH, "raw_path": PATH.encode(), "root_path": "", "scheme": "http",
        "query_string": b"", "server": ("ingest", 80), "client": None, "http_version": "1.1",
        "asgi": {"version": "3.0"},
        "headers": [(b"host", b"x"), (b"x-api-key", b"key-of-acme"), (b"content-type", FORM_TYPE.encode())],
    }  # fmt: skip
    await stand.app(scope, receive, answered)
    return status


async def test_a_client_that_breaks_off_at_any_byte_leaves_nothing() -> None:
    stand, small = IngestStand(), form(("a.png", PNG), ("b.svg", corpus.svg()), ("c.gif", corpus.image("GIF")))
    for at in range(len(small) + 1):
        assert await broken_off(stand, small, at, 1000) == 400
        assert left(stand) == (0, 0), at
    assert stand.blobs.puts > 500


async def test_a_client_that_breaks_off_within_a_large_file_leaves_nothing() -> None:
    stand, content = IngestStand(), form(("a.pdf", PDF + bytes(MIB)), ("b.pdf", PDF + bytes(MIB)))
    for at in range(0, len(content), 50_000):
        assert await broken_off(stand, content, at, 64 * KIB) == 400
        assert left(stand) == (0, 0), at


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, len(TWO)), max_size=30), st.sampled_from([TWO, *(bad for bad, *_ in BAD)]))
def test_every_split_of_the_stream_gives_the_same(cuts: list[int], content: bytes) -> None:
    async def told(places: list[int]) -> Any:
        stand = IngestStand()
        parts = [content[a:b] for a, b in zip([0, *places], [*places, len(content)], strict=True)]
        answer = await send(stand, poured(parts, []))
        if answer.status_code >= 400:
            return errors(answer), left(stand)
        return sorted(stand.blobs.objects.values()), [one["attachmentName"] for one in answer.json()]

    assert asyncio.run(told(sorted(cuts))) == asyncio.run(told([]))


@pytest.mark.parametrize("fails_from", [1, 2])
async def test_a_store_that_is_away_leaves_nothing(fails_from: int) -> None:
    stand = IngestStand()
    stand.blobs.fails_from = fails_from
    assert errors(await send(stand, TWO))[0] == 503
    assert left(stand) == (0, 0)


async def test_a_database_that_may_have_taken_it_leaves_nothing() -> None:
    stand = IngestStand()
    stand.uploads.loses_answers = True
    assert errors(await send(stand, TWO))[0] == 503
    assert left(stand) == (0, 0)


async def test_a_tenant_that_is_full_is_refused_unread_and_others_are_not() -> None:
    stand, taken = IngestStand(rules=UploadRules(quota_files=2)), list[int]()
    assert (await send(stand, TWO)).status_code == 200
    answer = await send(stand, poured([TWO], taken))
    assert errors(answer)[0] == 429
    assert answer.json()["type"].endswith("quota_exceeded")
    assert 0 < int(answer.headers["retry-after"]) <= 24 * 3600
    assert taken == []
    assert (await send(stand, TWO, key="key-of-other")).status_code == 200
    assert (await send(stand, TWO, "/sandbox" + PATH)).status_code == 200
    stand.later = timedelta(hours=24)
    assert (await send(stand, TWO)).status_code == 200


@pytest.mark.parametrize("rules", [UploadRules(quota_files=3), UploadRules(quota_bytes=2 * len(PDF + PNG) - 1)])
async def test_files_that_would_pass_the_quota_leave_nothing(rules: UploadRules) -> None:
    stand = IngestStand(rules=rules)
    assert (await send(stand, TWO)).status_code == 200
    assert errors(await send(stand, TWO))[0] == 429
    assert left(stand) == (2, 2)


async def test_requests_of_one_tenant_can_not_pass_the_quota_together() -> None:
    stand = IngestStand(rules=UploadRules(quota_files=5))
    answers = await asyncio.gather(*(send(stand, TWO) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [200, 200, *[429] * 6]
    assert left(stand) == (4, 4)


async def test_more_requests_than_a_process_takes_are_put_off() -> None:
    stand, go_on = IngestStand(rules=UploadRules(at_once=1)), asyncio.Event()
    begun = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield TWO[:100]
        begun.set()
        await go_on.wait()
        yield TWO[100:]

    first = asyncio.create_task(send(stand, slow()))
    await begun.wait()
    second = await send(stand, TWO)
    assert (second.status_code, second.headers["retry-after"]) == (503, "5")
    go_on.set()
    assert (await first).status_code == 200
    assert (await send(stand, TWO)).status_code == 200


async def test_a_tenants_slow_uploads_leave_room_for_anothers() -> None:
    stand, go_on, begun = IngestStand(rules=UploadRules(at_once=4)), asyncio.Event(), asyncio.Semaphore(0)

    async def slow() -> AsyncIterator[bytes]:
        yield TWO[:100]
        begun.release()
        await go_on.wait()
        yield TWO[100:]

    flood = [asyncio.create_task(send(stand, slow())) for _ in range(3)]
    for _ in flood:
        await begun.acquire()
    assert (await send(stand, TWO)).status_code == 503
    assert (await send(stand, TWO, "/sandbox" + PATH)).status_code == 503, "one share for both environments"
    assert (await send(stand, TWO, key="key-of-other")).status_code == 200
    go_on.set()
    assert [(await each).status_code for each in flood] == [200] * 3
    assert stand.gateway.uploads.in_hand == 0


async def test_a_slow_client_is_cut_and_leaves_nothing() -> None:
    stand = IngestStand(BodyReader(grace=0.2, rate=10**9))

    async def slow() -> AsyncIterator[bytes]:
        yield TWO[:-20]
        await asyncio.Event().wait()

    assert errors(await send(stand, slow())) == (408, [("", "body_too_slow")])
    assert left(stand) == (0, 0)


async def test_an_upload_is_described_and_downloaded_until_it_expires() -> None:
    stand = IngestStand()
    [kept] = (await send(stand, form(("logo.svg", corpus.svg())), PATH + "?type=logo")).json()
    path = f"/attachments/{kept['attachmentId']}"
    async with stand.client() as client, stand.client("key-of-other") as other:
        read = await client.get(path)
        AttachmentAnswer.model_validate_json(read.content)
        shown = read.json()["data"]
        assert (shown["type"], shown["filename"], shown["contentType"]) == ("LOGO", "logo.svg", "image/svg+xml")
        assert (shown["expiresAt"], shown["owners"]) == (kept["expiresAt"], [])
        assert "staging/" not in read.text
        loaded = await client.get(path + "/content")
        assert loaded.status_code == 307
        assert loaded.headers["x-content-type-options"] == "nosniff"
        assert f"uploads/{kept['attachmentId']}/" in loaded.headers["location"]
        for foreign in (other.get(path), other.get(path + "/content"), client.get("/sandbox" + path)):
            assert (await foreign).status_code == 404
        stand.later = timedelta(hours=24)
        assert (await client.get(path)).status_code == 404
        assert (await client.get(path + "/content")).status_code == 404
        stand.uploads.documents["live"][kept["attachmentId"]]["keepUntil"] += timedelta(hours=1)
        assert (await client.get(path)).status_code == 200
