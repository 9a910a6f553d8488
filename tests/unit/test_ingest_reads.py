"""The read side shows what is stored, to its tenant alone, and says where to look for what is still on its way."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.ingest.api.schemas_out import (
    AttachmentAnswer,
    AttachmentsAnswer,
    LinkAnswer,
    MutationAnswer,
    RecordAnswer,
)
from tests.fakes_ingest import IngestStand

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
CANDIDATE = "01890000-0000-7000-8000-000000000001"
ATTACHMENT = "01890000-0000-7000-8000-000000000002"
PLACE = f"acme/candidate/{CANDIDATE}"


def stand_with_data() -> IngestStand:
    stand = IngestStand()
    record = {"_id": CANDIDATE, "tenant": "acme", "type": "candidate", "fields": {"firstName": "Ann"}}
    stand.reads.records.append(("live", record | {"version": 3, "sequence": 4, "createdAt": NOW, "updatedAt": NOW}))
    owners = [{"record": PLACE, "type": "candidate", "id": CANDIDATE, "removedAt": None}]
    stored = {"_id": ATTACHMENT, "tenant": "acme", "field": "curriculumVitae", "filename": "cv.pdf", "owners": owners}
    judged = {"contentType": "application/pdf", "declaredType": None, "size": 5, "sha256": "ab", "createdAt": NOW}
    stand.reads.stored.append(("live", stored | judged | {"key": "records/live/acme/x/ab"}))
    return stand


async def get(stand: IngestStand, path: str, key: str = "key-of-acme", **headers: str) -> Any:
    async with stand.client(key, **headers) as client:
        return await client.get(path)


async def test_candidate_is_shown_with_its_version() -> None:
    answer = await get(stand_with_data(), f"/candidates/{CANDIDATE}")
    RecordAnswer.model_validate_json(answer.content)
    assert answer.json()["data"] == {
        "firstName": "Ann",
        "id": CANDIDATE,
        "version": 3,
        "createdAt": "2026-01-02T03:04:05Z",
        "updatedAt": "2026-01-02T03:04:05Z",
    }


async def test_attachments_are_listed_and_described_without_their_keys() -> None:
    stand = stand_with_data()
    listed = await get(stand, f"/candidates/{CANDIDATE}/attachments")
    one = await get(stand, f"/attachments/{ATTACHMENT}")
    AttachmentsAnswer.model_validate_json(listed.content)
    AttachmentAnswer.model_validate_json(one.content)
    assert listed.json()["data"] == [one.json()["data"]]
    assert one.json()["data"]["owners"] == [{"type": "candidate", "id": CANDIDATE}]
    assert "records/" not in listed.text + one.text


async def test_download_redirects_for_a_minute_and_is_never_kept() -> None:
    answer = await get(stand_with_data(), f"/attachments/{ATTACHMENT}/content")
    assert answer.status_code == 307
    assert "seconds=60" in answer.headers["location"]
    assert "type=application/pdf" in answer.headers["location"]
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_download_as_link_is_for_clients_that_would_send_their_key_along() -> None:
    answer = await get(stand_with_data(), f"/attachments/{ATTACHMENT}/content?as=link")
    link = LinkAnswer.model_validate_json(answer.content)
    assert answer.status_code == 200
    assert 50 <= (link.expires_at - datetime.now(UTC)).total_seconds() <= 60


async def test_another_way_to_download_is_refused() -> None:
    answer = await get(stand_with_data(), f"/attachments/{ATTACHMENT}/content?as=file")
    [error] = answer.json()["errors"]
    assert (answer.status_code, error["field"], error["code"]) == (400, "as", "parameter_invalid")


@pytest.mark.parametrize(
    "path",
    [f"/candidates/{CANDIDATE}", f"/attachments/{ATTACHMENT}/content", f"/attachments/{ATTACHMENT}/content?as=link",
     "/candidates", "/candidates/x", "/mutations/none", "/sandbox/reset", "/healthz", "/metrics", "/docs",
     "/openapi.json", "/nowhere", "/attachments/temporary/assign"],
)  # fmt: skip
async def test_head_answers_as_get_does_without_the_body(path: str) -> None:
    stand = stand_with_data()
    async with stand.client(**{"x-request-id": "r-1"}) as client:
        got, headed = await client.get(path), await client.head(path)
    assert (headed.status_code, headed.content) == (got.status_code, b"")
    differing = {"ratelimit"} | ({"location", "content-length"} if "content" in path or path == "/metrics" else set())
    shown = [{name: value for name, value in one.headers.items() if name not in differing} for one in (got, headed)]
    assert shown[0] == shown[1]


PATHS = [f"/candidates/{CANDIDATE}", f"/candidates/{CANDIDATE}/attachments", f"/attachments/{ATTACHMENT}"]


@pytest.mark.parametrize("path", [*PATHS, f"/attachments/{ATTACHMENT}/content"])
async def test_ids_of_another_tenant_or_environment_are_not_found(path: str) -> None:
    stand = stand_with_data()
    assert (await get(stand, path)).status_code in (200, 307)
    assert (await get(stand, path, key="key-of-other")).status_code == 404
    assert (await get(stand, "/sandbox" + path)).status_code == 404
    assert (await get(stand, path, **{"x-api-sandbox": "true"})).status_code == 404


@pytest.mark.parametrize("path", ["/candidates/%00", "/candidates/..", "/attachments/%24ne", "/mutations/a%20b"])
async def test_ids_that_can_not_be_ours_are_not_found(path: str) -> None:
    assert (await get(stand_with_data(), path)).status_code == 404


async def test_file_and_record_that_are_on_their_way_say_where_to_look() -> None:
    stand = IngestStand()
    data = "data:text/plain;base64,aGVsbG8="
    async with stand.client() as client:
        files = [{"filename": "a.txt", "data": data}]
        sent = await client.post("/candidates", json=[{"otherAttachments": files}], headers={"Idempotency-Key": "k1"})
    [mutation] = sent.json()["data"]["mutations"]
    attachment = await get(stand, f"/attachments/{mutation['attachments'][0]['id']}")
    assert attachment.status_code == 404
    assert attachment.json()["errors"][0]["code"] == "attachment_not_stored_yet"
    assert "/mutations/k1%231" in attachment.json()["detail"]
    for path in ("", "/attachments"):
        candidate = await get(stand, f"/candidates/{mutation['record']['id']}{path}")
        assert candidate.status_code == 404
        assert "on its way" in candidate.json()["detail"]


async def test_mutation_shows_files_outcome_and_every_attempt_to_call_back() -> None:
    stand = IngestStand()
    async with stand.client() as client:
        body = {"curriculumVitae": {"filename": "a.txt", "data": "data:text/plain;base64,aGVsbG8="}}
        await client.post("/candidates", params={"callbackUrl": "https://hooks.example.com/in"}, json=body, headers={"Idempotency-Key": "k=1"})  # fmt: skip  # noqa: E501
    waiting = (await get(stand, "/mutations/k=1")).json()["data"]
    assert (waiting["status"], waiting["callback"], waiting["deliveries"]) == ("accepted", True, [])
    assert [(one["filename"], one["status"]) for one in waiting["attachments"]] == [("a.txt", "pending")]

    [document] = stand.mutations()
    done = [{"id": document["fileIds"][0], "status": "stored", "sha256": "ab"}]
    document["status"], document["endedAt"] = "completed", NOW
    document["outcome"] = {"record": document["record"] | {"version": 1}, "attachments": done, "error": None}
    attempt = {"n": 1, "at": NOW, "status": 500, "ms": 12, "answer": "no", "error": None, "secret": "x"}
    stand.reads.sent[document["_id"]] = {"status": "pending", "attempt": 1, "nextAt": NOW, "attempts": [attempt]}
    answer = await get(stand, "/mutations/k=1")
    MutationAnswer.model_validate_json(answer.content)
    ended = answer.json()["data"]
    assert (ended["status"], ended["attachments"], ended["record"]["version"]) == ("completed", done, 1)
    assert ended["deliveries"][0]["attempts"][0]["answer"] == "no"
    assert "secret" not in answer.text
    assert (await get(stand, "/mutations/k=1", key="key-of-other")).status_code == 404


@pytest.mark.parametrize(("leased", "in_flight"), [(timedelta(hours=1), True), (-timedelta(hours=1), False)])
async def test_an_attempt_under_way_is_shown_as_such_and_not_by_the_end_of_its_lease(
    leased: timedelta, in_flight: bool
) -> None:
    stand = IngestStand()
    async with stand.client() as client:
        await client.post("/candidates", json={"firstName": "Ann"}, headers={"Idempotency-Key": "k1"})
    [document] = stand.mutations()
    until = datetime.now(UTC) + leased
    sent = {"status": "pending", "attempt": 0, "nextAt": until, "leaseUntil": until, "attempts": []}
    stand.reads.sent[document["_id"]] = sent
    answer = await get(stand, "/mutations/k1")
    MutationAnswer.model_validate_json(answer.content)
    [delivery] = answer.json()["data"]["deliveries"]
    assert (delivery["inFlight"], delivery["nextAt"] is None) == (in_flight, in_flight)


async def test_head_of_an_array_lists_its_members_in_order() -> None:
    stand = IngestStand()
    async with stand.client() as client:
        people = [{"firstName": name} for name in "abc"]
        await client.post("/candidates", json=people, headers={"Idempotency-Key": "k1"})
    answer = await get(stand, "/mutations/k1")
    MutationAnswer.model_validate_json(answer.content)
    assert answer.json()["data"]["status"] == "batch"
    members = answer.json()["data"]["members"]
    assert [one["idempotencyKey"] for one in members] == ["k1#1", "k1#2", "k1#3"]
    assert (await get(stand, "/mutations/k1%232")).json()["data"] == members[1]


async def test_ready_follows_the_service_and_alive_does_not() -> None:
    stand = IngestStand()
    stand.ready = False
    assert (await get(stand, "/healthz")).status_code == 200
    assert (await get(stand, "/readyz")).status_code == 503
    stand.ready = True
    assert (await get(stand, "/readyz")).status_code == 200
    await get(stand, "/mutations/abc")
    metrics = (await get(stand, "/metrics")).text
    assert 'route="/mutations/{idempotencyKey}",status="404"' in metrics
    assert "abc" not in metrics
