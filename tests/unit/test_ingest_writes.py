"""Every 202 is a mutation in the ledger; a key means one request, whatever happens to its answers."""

import asyncio
import base64
import hashlib
from typing import Any

import pytest

from services.ingest.api.schemas_out import AcceptedAnswer
from shared import limits
from tests.fakes_ingest import IngestStand

SMALL = "data:application/pdf;base64," + base64.b64encode(b"%PDF-1.7 small").decode()
ANN = {"firstName": "Ann", "curriculumVitae": {"filename": "cv.pdf", "data": SMALL}}


def file_of(size: int, name: str = "big.pdf") -> dict[str, str]:
    return {"filename": name, "data": "data:application/pdf;base64," + base64.b64encode(b"x" * size).decode()}


async def post(
    stand: IngestStand, body: Any, path: str = "/candidates", key: str = "key-of-acme", **options: Any
) -> Any:
    async with stand.client(key) as client:
        return await client.post(path, json=body, **options)


async def test_accepted_candidate_is_in_the_ledger_and_offered_to_the_relay() -> None:
    stand = IngestStand()
    answer = await post(stand, ANN | {"callbackUrl": "https://hooks.example.com/in", "idempotencyKey": "k1"})
    assert answer.status_code == 202
    AcceptedAnswer.model_validate_json(answer.content, strict=True)
    data = answer.json()["data"]
    [document] = stand.mutations()
    [(environment, offered)] = stand.relay.offered
    assert (environment, offered["_id"]) == ("live", data["mutationId"])
    assert document["_id"] == data["mutationId"]
    assert data["idempotencyKey"] == document["key"] == "k1"
    assert document["fields"] == {"firstName": "Ann"}
    assert document["callbackUrl"] == "https://hooks.example.com/in"
    assert (document["deadline"] - document["createdAt"]).total_seconds() == limits.DEADLINE_SECONDS
    [mutation] = data["mutations"]
    [attachment] = mutation["attachments"]
    assert mutation["record"] == document["record"] == {"type": "candidate", "id": mutation["record"]["id"]}
    assert document["places"] == [{"record": f"acme/candidate/{mutation['record']['id']}", "sequence": 1}]
    assert attachment == {"id": document["fileIds"][0], "field": "curriculumVitae", "filename": "cv.pdf"}
    entry = document["files"][attachment["id"]]
    assert base64.b64decode(entry["data"]) == b"%PDF-1.7 small"
    assert entry["declaredType"] == "application/pdf"
    assert answer.json()["meta"] == {"sandboxEnabled": False}


async def test_same_key_and_payload_replays_the_same_ids() -> None:
    stand = IngestStand()
    first = await post(stand, ANN, headers={"Idempotency-Key": '"k1"'})
    again = await post(stand, dict(reversed(ANN.items())) | {"idempotencyKey": "k1"})
    assert again.status_code == 202
    assert again.json() == first.json()
    assert again.headers["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first.headers
    assert len(stand.mutations()) == len(stand.relay.offered) == 1


@pytest.mark.parametrize(
    "changed",
    [
        {"body": ANN | {"firstName": "Bea"}},
        {"body": ANN | {"callbackUrl": "https://hooks.example.com/in"}},
        {"headers": {"Idempotency-Key": "k1", "If-Match": '"3"'}},
        {"body": [ANN]},
    ],
)
async def test_same_key_with_another_request_is_refused(changed: dict[str, Any]) -> None:
    stand = IngestStand()
    await post(stand, ANN, headers={"Idempotency-Key": "k1"})
    answer = await post(stand, changed.get("body", ANN), headers=changed.get("headers", {"Idempotency-Key": "k1"}))
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["code"] == "idempotency_key_reused"
    assert len(stand.mutations()) == 1


async def test_key_of_another_tenant_or_environment_is_another_key() -> None:
    stand = IngestStand()
    answers = [
        await post(stand, ANN, headers={"Idempotency-Key": "k1"}),
        await post(stand, ANN, key="key-of-other", headers={"Idempotency-Key": "k1"}),
        await post(stand, ANN, headers={"Idempotency-Key": "k1", "x-api-sandbox": "true"}),
    ]
    assert len({answer.json()["data"]["mutationId"] for answer in answers}) == 3
    assert len(stand.mutations("sandbox")) == 1


async def test_without_a_key_each_request_gets_its_own() -> None:
    stand = IngestStand()
    answers = [await post(stand, ANN), await post(stand, ANN)]
    assert len({answer.json()["data"]["idempotencyKey"] for answer in answers}) == 2


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"headers": {"Idempotency-Key": "a"}, "json": ANN | {"idempotencyKey": "b"}}, "idempotency_key_conflict"),
        ({"params": {"idempotencyKey": ["a", "b"]}, "json": ANN}, "idempotency_key_conflict"),
        ({"headers": {"Idempotency-Key": "a b"}, "json": ANN}, "idempotency_key_invalid"),
        ({"headers": {"Idempotency-Key": ""}, "json": ANN}, "idempotency_key_invalid"),
        ({"json": ANN | {"idempotencyKey": 7}}, "idempotency_key_invalid"),
        ({"json": ANN | {"idempotencyKey": "k" * 256}}, "idempotency_key_invalid"),
        ({"json": ANN | {"idempotencyKey": "k#1"}}, "idempotency_key_invalid"),
        ({"params": {"callbackUrl": "https://a.example.com"},
          "json": ANN | {"callbackUrl": "https://b.example.com"}}, "callback_url_conflict"),
    ],
)  # fmt: skip
async def test_keys_and_callback_urls_that_disagree_or_are_malformed_are_refused(
    options: dict[str, Any], code: str
) -> None:
    stand = IngestStand()
    async with stand.client() as client:
        answer = await client.post("/candidates", **options)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["code"] == code
    assert stand.mutations() == []


@pytest.mark.parametrize("wrapped", [False, True])
async def test_array_is_one_request_and_a_mutation_for_each_record(wrapped: bool) -> None:
    stand = IngestStand()
    people = [ANN, {"lastName": "Berg"}, {"email": "c@example.org"}]
    body = {"candidates": people} if wrapped else people
    first = await post(stand, body, params={"idempotencyKey": "k1", "callbackUrl": "https://hooks.example.com/in"})
    again = await post(stand, body, params={"idempotencyKey": "k1", "callbackUrl": "https://hooks.example.com/in"})
    assert again.json() == first.json()
    assert again.headers["Idempotency-Replayed"] == "true"
    data = first.json()["data"]
    assert [one["idempotencyKey"] for one in data["mutations"]] == ["k1#1", "k1#2", "k1#3"]
    head = stand.ledger.documents["live"][data["mutationId"]]
    assert head["status"] == "batch"
    assert head["members"] == [one["mutationId"] for one in data["mutations"]]
    assert not {"places", "deadline", "callbackUrl"} & set(head)
    assert all(one["head"] == head["_id"] and one["callbackUrl"] for one in stand.mutations())
    assert [one["_id"] for _, one in stand.relay.offered] == head["members"]


async def test_one_bad_member_refuses_the_whole_array() -> None:
    stand = IngestStand()
    answer = await post(stand, [ANN, {"email": 7}, {}])
    assert answer.status_code == 422
    assert [(one["field"], one["code"]) for one in answer.json()["errors"]] == [
        ("/1/email", "invalid_type"),
        ("/2", "empty_request"),
    ]
    assert stand.ledger.documents["live"] == {}


async def test_large_base64_is_staged_with_size_and_digest_and_small_stays_in_the_ledger() -> None:
    stand = IngestStand()
    sizes = [limits.INLINE_FILE_BYTES, limits.INLINE_FILE_BYTES, 100, limits.INLINE_FILE_BYTES + 1]
    files = [file_of(size, f"{n}.pdf") for n, size in enumerate(sizes)]
    answer = await post(stand, {"otherAttachments": files})
    assert answer.status_code == 202
    [document] = stand.mutations()
    entries = [document["files"][one] for one in document["fileIds"]]
    assert ["data" in one for one in entries] == [True, True, False, False]
    for size, entry, file_id in list(zip(sizes, entries, document["fileIds"], strict=True))[2:]:
        key = entry["staged"]["key"]
        assert key.startswith(f"staging/live/{document['_id']}/{file_id}-")
        digest = hashlib.sha256(b"x" * size).hexdigest()
        assert entry["staged"] == {"key": key, "size": size, "sha256": digest}
        assert stand.blobs.objects[key] == b"x" * size
    assert len(stand.blobs.objects) == 2


@pytest.mark.parametrize("body", [file_of(300_000), file_of(300_001)])
async def test_repeated_or_refused_request_leaves_no_staged_object_behind(body: dict[str, str]) -> None:
    stand = IngestStand()
    await post(stand, {"otherAttachments": [file_of(300_000)], "idempotencyKey": "k1"})
    before = dict(stand.blobs.objects)
    await post(stand, {"otherAttachments": [body], "idempotencyKey": "k1"})
    assert stand.blobs.objects == before


async def test_loser_of_a_race_for_a_key_deletes_what_it_staged_and_replays_the_winner() -> None:
    stand = IngestStand()
    body = {"otherAttachments": [file_of(300_000)], "idempotencyKey": "k1"}
    together = await asyncio.gather(*(post(stand, body) for _ in range(4)))
    assert len({answer.json()["data"]["mutationId"] for answer in together}) == 1
    assert len(stand.blobs.objects) == len(stand.mutations()) == 1


async def test_store_that_fails_half_way_is_503_and_leaves_nothing() -> None:
    stand = IngestStand()
    stand.blobs.fails_from = 2
    answer = await post(stand, {"otherAttachments": [file_of(300_000), file_of(300_001)], "idempotencyKey": "k1"})
    assert answer.status_code == 503
    assert "k1" in answer.json()["detail"]
    assert stand.blobs.objects == {}
    assert stand.mutations() == []


@pytest.mark.parametrize("body", [ANN, [ANN], {"otherAttachments": [file_of(300_000)]}])
async def test_unknown_fate_of_a_claim_is_503_that_names_the_key_and_the_repetition_is_answered(body: Any) -> None:
    stand = IngestStand()
    stand.ledger.away = True
    answer = await post(stand, body)
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    key = answer.json()["detail"].rpartition(" ")[2].rstrip(".")
    stand.ledger.away = False
    repeated = await post(stand, body, headers={"Idempotency-Key": key})
    assert repeated.status_code == 202
    assert repeated.json()["data"]["idempotencyKey"] == key


async def test_insert_whose_answer_was_lost_is_replayed_and_its_staged_file_is_kept() -> None:
    stand = IngestStand()
    stand.ledger.loses_answers = True
    body = {"otherAttachments": [file_of(300_000)], "idempotencyKey": "k1"}
    assert (await post(stand, body)).status_code == 503
    stand.ledger.loses_answers = False
    repeated = await post(stand, body)
    assert repeated.headers["Idempotency-Replayed"] == "true"
    [document] = stand.mutations()
    assert [document["files"][one]["staged"]["key"] for one in document["fileIds"]] == list(stand.blobs.objects)


async def test_append_takes_the_next_place_of_a_record_whose_create_is_open() -> None:
    stand = IngestStand()
    created = (await post(stand, ANN)).json()["data"]["mutations"][0]
    path = f"/candidates/{created['record']['id'].upper()}/attachments"
    answer = await post(
        stand, {"otherAttachments": [{"filename": "a.pdf", "url": "https://files.example.com/a"}]}, path
    )
    assert answer.status_code == 202
    _, document = stand.mutations()
    assert document["kind"] == "append"
    assert document["record"] == created["record"]
    assert [place["sequence"] for place in document["places"]] == [2]
    assert document["files"][document["fileIds"][0]]["url"] == "https://files.example.com/a"


async def test_remove_keeps_each_id_once() -> None:
    stand = IngestStand()
    candidate = (await post(stand, ANN)).json()["data"]["mutations"][0]["record"]["id"]
    ids = ["01890000-0000-7000-8000-000000000001", "01890000-0000-7000-8000-000000000002"]
    async with stand.client() as client:
        path = f"/candidates/{candidate}/attachments"
        answer = await client.request("DELETE", path, json={"attachmentIds": [*ids, ids[0]]})
    assert answer.status_code == 202
    assert answer.json()["data"]["mutations"][0]["attachments"] == []
    assert stand.mutations()[1]["kind"] == "remove"
    assert stand.mutations()[1]["remove"] == ids


@pytest.mark.parametrize("path", ["01890000-0000-7000-8000-000000000009", "nonsense"])
async def test_append_and_remove_for_an_unknown_record_are_404(path: str) -> None:
    stand = IngestStand()
    async with stand.client() as client:
        url = f"/candidates/{path}/attachments"
        appended = await client.post(url, json={"curriculumVitae": [{"filename": "a", "data": SMALL}]})
        removed = await client.request("DELETE", url, json={"attachmentIds": ["01890000-0000-7000-8000-000000000001"]})
    for answer in (appended, removed):
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (404, "record_not_found")


async def test_record_of_another_tenant_is_unknown() -> None:
    stand = IngestStand()
    candidate = (await post(stand, ANN)).json()["data"]["mutations"][0]["record"]["id"]
    body = {"curriculumVitae": [{"filename": "a", "data": SMALL}]}
    answer = await post(stand, body, f"/candidates/{candidate}/attachments", key="key-of-other")
    assert answer.status_code == 404


async def test_append_is_replayed_also_when_its_record_is_gone_since() -> None:
    stand = IngestStand()
    record = "01890000-0000-7000-8000-000000000009"
    stand.ledger.records.add(("live", "acme", "candidate", record))
    body = {"curriculumVitae": [{"filename": "a", "data": SMALL}], "idempotencyKey": "k1"}
    first = await post(stand, body, f"/candidates/{record}/attachments")
    stand.ledger.records.clear()
    assert (await post(stand, body, f"/candidates/{record}/attachments")).json() == first.json()


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/candidates", {"x-api-sandbox": "true"}),
        ("/sandbox/candidates", {}),
        ("/candidates", {"x-api-sandbox": "TRUE"}),
    ],
)
async def test_sandbox_by_header_or_prefix_has_its_own_ledger(path: str, headers: dict[str, str]) -> None:
    stand = IngestStand()
    answer = await post(stand, ANN, path, headers=headers)
    assert answer.json()["meta"] == {"sandboxEnabled": True}
    assert stand.mutations() == []
    assert len(stand.mutations("sandbox")) == 1


async def test_misspelt_sandbox_header_does_not_go_live() -> None:
    stand = IngestStand()
    answer = await post(stand, ANN, headers={"x-api-sandbox": "yes"})
    assert answer.status_code == 400
    assert stand.mutations() == []


async def test_trace_of_the_client_goes_on_in_the_mutation() -> None:
    stand = IngestStand()
    trace = "0af7651916cd43dd8448eb211c80319c"
    await post(stand, ANN, headers={"traceparent": f"00-{trace}-b7ad6b7169203331-01"})
    await post(stand, ANN, headers={"traceparent": "garbage"})
    first, second = (one["traceparent"] for one in stand.mutations())
    assert first.split("-")[1] == trace
    assert len(second.split("-")[1]) == 32
    assert second.split("-")[1] != trace
