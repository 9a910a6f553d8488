"""The sandbox at the gateway: names that rehearse outcomes, and resets."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.ingest.api.schemas_out import ResetAnswer
from shared.errors import FILE_OUTCOMES, OUTCOME_CODES
from tests.fakes_ingest import IngestStand

DATA = "data:application/pdf;base64,aGVsbG8="
URL = "https://files.example.com/a.pdf"


async def entry_of(path: str, **file: str) -> dict[str, Any]:
    """What the ledger holds of a file that was sent with a new candidate."""
    stand = IngestStand()
    async with stand.client() as client:
        answer = await client.post(path, json={"otherAttachments": [file]})
    assert answer.status_code == 202
    [document] = stand.mutations("sandbox" if path.startswith("/sandbox") else "live")
    assert stand.blobs.objects == {}
    [entry] = document["files"].values()
    return dict(entry)


@pytest.mark.parametrize("code", FILE_OUTCOMES)
@pytest.mark.parametrize("source", [{"url": URL}, {"data": DATA}])
async def test_in_the_sandbox_a_magic_name_is_the_outcome_and_its_source_is_forgotten(
    code: str, source: dict[str, str]
) -> None:
    entry = await entry_of("/sandbox/candidates", filename=f"outcome-{code}.pdf", **source)
    assert entry["rehearsed"] == code
    assert not entry.keys() & {"url", "data", "staged"}
    assert code in OUTCOME_CODES


@pytest.mark.parametrize(
    "filename",
    ["outcome-nonsense.pdf", "outcome-too_large", "Outcome-too_large.pdf", "my-outcome-too_large.pdf",
     "outcome-too_large.tar.gz", "outcome-record_not_found.pdf", "outcome-.pdf"],
)  # fmt: skip
async def test_any_other_name_is_an_ordinary_one(filename: str) -> None:
    entry = await entry_of("/sandbox/candidates", filename=filename, url=URL)
    assert "rehearsed" not in entry
    assert entry["url"] == URL


async def test_live_a_magic_name_is_an_ordinary_one() -> None:
    entry = await entry_of("/candidates", filename="outcome-too_large.pdf", url=URL)
    assert "rehearsed" not in entry
    assert entry["url"] == URL


@pytest.mark.parametrize("headers", [{}, {"x-api-sandbox": "true"}])
async def test_a_reset_is_asked_for_as_of_now_and_for_the_caller_alone(headers: dict[str, str]) -> None:
    stand, before = IngestStand(), datetime.now(UTC)
    async with stand.client(**headers) as client:
        answer = await client.post("/sandbox/reset")
        shown = await client.get("/sandbox/reset")
    assert answer.status_code == 202
    asked = ResetAnswer.model_validate_json(answer.content, strict=True)
    assert asked.meta.sandbox_enabled
    assert asked.data.requested_at is not None
    assert asked.data.requested_at.microsecond % 1000 == 0  # MongoDB keeps no more, and would show another time
    assert before - timedelta(milliseconds=1) <= asked.data.requested_at <= datetime.now(UTC)
    assert shown.status_code == 200
    assert shown.json()["data"] == answer.json()["data"]
    assert stand.resets.asked.keys() == {"acme"}


async def test_who_never_asked_for_a_reset_is_told_so() -> None:
    async with IngestStand().client() as client:
        answer = await client.get("/sandbox/reset")
    ResetAnswer.model_validate_json(answer.content, strict=True)
    assert answer.json()["data"] == {"requestedAt": None, "completedAt": None}


@pytest.mark.parametrize("headers", [{}, {"x-api-sandbox": "true"}, {"x-api-sandbox": "false"}])
async def test_there_is_no_reset_without_the_word_sandbox_in_the_path(headers: dict[str, str]) -> None:
    stand = IngestStand()
    async with stand.client(**headers) as client:
        answer = await client.post("/reset")
    assert answer.status_code == 404
    assert stand.resets.asked == {}


WORDS = [
    ["tru"], ["1"], [""], [" "], ["true", "false"], ["false", "true"], ["true", ""], ["", "false"], ["true, true"],
]  # fmt: skip


async def created(path: str, words: list[str]) -> tuple[int, int, int]:
    """Status, and how many mutations there are then: live, in the sandbox."""
    stand = IngestStand()
    async with stand.client() as client:
        answer = await client.post(path, json={"firstName": "Ann"}, headers=[("x-api-sandbox", one) for one in words])
    if answer.status_code == 400:
        assert [(one["field"], one["code"]) for one in answer.json()["errors"]] == [
            ("x-api-sandbox", "malformed_request")
        ]
    return answer.status_code, len(stand.mutations()), len(stand.mutations("sandbox"))


@pytest.mark.parametrize("words", WORDS)
@pytest.mark.parametrize("path", ["/candidates", "/sandbox/candidates"])
async def test_nothing_is_written_when_the_header_is_not_clear(path: str, words: list[str]) -> None:
    assert await created(path, words) == (400, 0, 0)


@pytest.mark.parametrize("word", ["false", "FALSE"])
async def test_path_and_header_must_not_contradict_each_other(word: str) -> None:
    assert await created("/sandbox/candidates", [word]) == (400, 0, 0)
    async with IngestStand().client(**{"x-api-sandbox": word}) as client:
        assert (await client.get("/sandbox/reset")).status_code == 400


@pytest.mark.parametrize("words", [["true"], ["TRUE"], [" True "], ["true", "TRUE"]])
async def test_true_is_read_without_regard_to_case(words: list[str]) -> None:
    assert await created("/candidates", words) == (202, 0, 1)
    assert await created("/sandbox/candidates", words) == (202, 0, 1)


async def test_false_is_live() -> None:
    assert await created("/candidates", ["False"]) == (202, 1, 0)


async def test_a_reset_needs_a_key_and_is_refused_as_the_sandboxs_problem() -> None:
    stand = IngestStand()
    async with stand.client(None) as client:
        answer = await client.post("/sandbox/reset")
    assert answer.status_code == 401
    assert answer.json()["meta"] == {"sandboxEnabled": True}
    assert answer.json()["instance"] == "/sandbox/reset"


async def test_problems_in_the_sandbox_say_so_whichever_way_it_was_named() -> None:
    async with IngestStand().client() as client:
        for path, headers in (("/sandbox/candidates", {}), ("/candidates", {"x-api-sandbox": "true"})):
            refusals = [
                await client.post(path, content=b"{", headers=headers | {"content-type": "application/json"}),
                await client.post(path, json={}, headers=headers),
                await client.get(f"{path}/1", headers=headers),
                await client.get(f"{path}/1/nowhere", headers=headers),
                await client.put(path, headers=headers),
            ]
            assert [each.status_code for each in refusals] == [400, 422, 404, 404, 405]
            assert [each.json()["meta"] for each in refusals] == [{"sandboxEnabled": True}] * 5
