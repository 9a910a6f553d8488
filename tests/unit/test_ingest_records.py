"""Records of every type are written the same way; an update, an erasure and a condition are kept in the ledger."""

from typing import Any

import pytest

from services.ingest.api.schemas_out import AcceptedAnswer
from services.ingest.record_types import RECORD_TYPES
from tests.fakes_ingest import IngestStand

RECORD = "01890000-0000-7000-8000-000000000001"
OTHER = "01890000-0000-7000-8000-000000000002"
FILE = {"filename": "a.txt", "data": "data:text/plain;base64,aGVsbG8="}
TYPES = [(each.name, each.plural) for each in RECORD_TYPES.values()]


def stand_with(record_type: str = "candidate", version: int | None = 3) -> IngestStand:
    stand = IngestStand()
    stand.ledger.records.add(("live", "acme", record_type, RECORD))
    if version is not None:
        stand.ledger.versions["live", "acme", record_type, RECORD] = version
    return stand


async def send(stand: IngestStand, method: str, path: str, **options: Any) -> Any:
    async with stand.client(options.pop("key", "key-of-acme")) as client:
        answer = await client.request(method, path, **options)
    if answer.status_code == 202:
        AcceptedAnswer.model_validate_json(answer.content, strict=True)
    return answer


def codes(answer: Any) -> list[tuple[str, str]]:
    return [(one["field"], one["code"]) for one in answer.json()["errors"]]


@pytest.mark.parametrize(("name", "plural"), TYPES)
async def test_records_of_every_type_are_created_alone_and_together(name: str, plural: str) -> None:
    stand, body = IngestStand(), {"externalId": "x-1"}
    for sent, count in ((body, 1), ([body], 1), ({plural: [body, body]}, 2)):
        answer = await send(stand, "POST", f"/{plural}", json=sent)
        mutations = answer.json()["data"]["mutations"]
        assert [one["record"]["type"] for one in mutations] == [name] * count
        assert [one["records"] for one in mutations] == [[one["record"]] for one in mutations]
    assert [one["fields"] for one in stand.mutations()] == [body] * 4
    places = {one["places"][0]["record"].rpartition("/")[0] for one in stand.mutations()}
    assert places == {f"acme/{name}"}


@pytest.mark.parametrize(("name", "plural"), TYPES)
async def test_each_type_has_its_own_attachment_fields_and_ids(name: str, plural: str) -> None:
    stand = stand_with(name)
    for field, attachment_type in RECORD_TYPES[name].files.items():
        answer = await send(stand, "POST", f"/{plural}/{RECORD}/attachments", json={field: FILE})
        assert answer.status_code == 202
        [entry] = stand.mutations()[-1]["files"].values()
        assert (entry["field"], entry.get("type")) == (field, attachment_type)
    foreign = "attachments" if name == "candidate" else "curriculumVitae"
    assert codes(await send(stand, "POST", f"/{plural}", json={foreign: FILE}))[0] == (f"/{foreign}", "unknown_field")
    for other in {plural for _, plural in TYPES} - {plural}:
        answer = await send(stand, "DELETE", f"/{other}/{RECORD}/attachments", json={"attachmentIds": [OTHER]})
        assert answer.status_code == 404


@pytest.mark.parametrize(("name", "plural"), TYPES)
async def test_update_sets_what_has_a_value_and_clears_what_is_null(name: str, plural: str) -> None:
    stand = stand_with(name)
    body: dict[str, Any] = {
        "tags": [],
        "externalId": "x-2",
        "locale": None,
        "customFields": {"a": None},
        "idempotencyKey": "k1",
    }
    answer = await send(stand, "PATCH", f"/{plural}/{RECORD}", json=body)
    assert answer.status_code == 202
    [document] = stand.mutations()
    assert (document["kind"], document["record"]) == ("update", {"type": name, "id": RECORD})
    changed = {"tags": [], "externalId": "x-2", "customFields": {"a": None}}
    assert document["changes"] == {"set": changed, "clear": ["locale"]}
    assert (document["key"], document["fileIds"], "expectedVersion" in document) == ("k1", [], False)


async def test_members_are_stored_in_one_form_however_they_are_written() -> None:
    stand = IngestStand()
    written = {"email": "  Ann.Example@Example.TEST ", "phone": "00 1 (0) 555-010.0199", "locale": " de-CH"}
    address = {"postalCode": "8000", "country": "ch", "region": None}
    body = written | {"address": address, "dateOfBirth": "1990-12-31", "links": ["HTTPS://a.example.org/x?y#z"]}
    assert (await send(stand, "POST", "/candidates", json=body)).status_code == 202
    assert stand.mutations()[0]["fields"] == {
        "email": "Ann.Example@example.test",
        "phone": "+15550100199",
        "locale": "de-CH",
        "address": {"postalCode": "8000", "country": "CH"},
        "dateOfBirth": "1990-12-31",
        "links": ["HTTPS://a.example.org/x?y#z"],
    }


@pytest.mark.parametrize(
    "text", ["Line\n\tline", "ä" * 20_000, "\U0001f40d" * 20_000, "a" * 8192, "a" * 8193, '"\\' * 9999]
)
@pytest.mark.parametrize(("name", "plural"), TYPES)
async def test_long_texts_are_stored_as_they_are_sent(name: str, plural: str, text: str) -> None:
    stand, member = stand_with(name), "summary" if name == "candidate" else "description"
    assert (await send(stand, "POST", f"/{plural}", json={member: text})).status_code == 202
    assert (await send(stand, "PATCH", f"/{plural}/{RECORD}", json={member: text})).status_code == 202
    created, updated = stand.mutations()
    assert created["fields"][member] == updated["changes"]["set"][member] == text


VACANCY = {
    "title": "Baker", "location": "Remote", "employmentType": "part_time", "status": "open", "openings": 2,
    "companyId": OTHER, "externalId": "v-1", "tags": ["bread"], "locale": "en", "customFields": {"shift": 1},
}  # fmt: skip


async def test_vacancy_takes_what_a_vacancy_has() -> None:
    stand = IngestStand()
    assert (await send(stand, "POST", "/vacancies", json=VACANCY)).status_code == 202
    assert stand.mutations()[0]["fields"] == VACANCY


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"employmentType": "Teilzeit"}, "invalid_value"),
        ({"status": "OPEN"}, "invalid_value"),
        ({"status": 1}, "invalid_type"),
        ({"openings": -1}, "invalid_value"),
        ({"openings": 10**30}, "invalid_value"),
        ({"openings": True}, "invalid_type"),
        ({"openings": "2"}, "invalid_type"),
        ({"companyId": "acme"}, "invalid_value"),
        ({"companyId": 7}, "invalid_type"),
    ],
)
async def test_vacancy_that_can_not_be_is_refused(changed: dict[str, Any], code: str) -> None:
    answer = await send(IngestStand(), "POST", "/vacancies", json=VACANCY | changed)
    assert (answer.status_code, codes(answer)) == (422, [(f"/{next(iter(changed))}", code)])


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        ({}, [("", "empty_request")]),
        ({"idempotencyKey": "k1"}, [("", "empty_request")]),
        ({"firstName": ""}, [("/firstName", "too_short")]),
        ({"version": 3, "id": RECORD}, [("/version", "unknown_field"), ("/id", "unknown_field")]),
        ({"otherAttachments": None}, [("/otherAttachments", "wrong_endpoint")]),
        ([{"firstName": "Ann"}], [("", "invalid_type")]),
    ],
)
async def test_update_that_can_not_be_is_refused(body: Any, wanted: list[tuple[str, str]]) -> None:
    stand = stand_with()
    answer = await send(stand, "PATCH", f"/candidates/{RECORD}", json=body)
    assert (answer.status_code, codes(answer)) == (422, wanted)
    assert stand.mutations() == []


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"headers": {"Idempotency-Key": "k1"}},
        {"params": {"idempotencyKey": "k1"}},
        {"json": {"idempotencyKey": "k1"}},
        {"content": b"", "headers": {"Idempotency-Key": "k1", "content-length": "0"}},
    ],
)
@pytest.mark.parametrize(("name", "plural"), TYPES)
async def test_erasure_needs_no_body(name: str, plural: str, options: dict[str, Any]) -> None:
    stand = stand_with(name)
    answer = await send(stand, "DELETE", f"/{plural}/{RECORD}", **options)
    assert answer.status_code == 202
    [document] = stand.mutations()
    assert (document["kind"], document["record"]) == ("erase", {"type": name, "id": RECORD})
    assert document["places"] == [{"record": f"acme/{name}/{RECORD}", "sequence": 1}]
    assert document["key"] == ("k1" if options else answer.json()["data"]["idempotencyKey"])


async def test_erasure_with_and_without_a_body_is_the_same_request() -> None:
    stand = stand_with()
    first = await send(stand, "DELETE", f"/candidates/{RECORD}", headers={"Idempotency-Key": "k1"})
    stand.ledger.records.clear()
    again = await send(stand, "DELETE", f"/candidates/{RECORD}", json={"idempotencyKey": "k1"})
    assert again.json() == first.json()
    assert again.headers["Idempotency-Replayed"] == "true"


@pytest.mark.parametrize(
    ("options", "status"),
    [({"json": {"firstName": "Ann"}}, 422), ({"json": []}, 422), ({"content": b"x"}, 415),
     ({"content": b"{", "headers": {"content-type": "application/json"}}, 400)],
)  # fmt: skip
async def test_erasure_takes_nothing_but_controls(options: dict[str, Any], status: int) -> None:
    stand = stand_with()
    assert (await send(stand, "DELETE", f"/candidates/{RECORD}", **options)).status_code == status
    assert stand.mutations() == []


WRITES: list[tuple[str, str, dict[str, Any]]] = [
    ("PATCH", f"/candidates/{RECORD}", {"firstName": "Ann"}),
    ("DELETE", f"/candidates/{RECORD}", {}),
    ("POST", f"/candidates/{RECORD}/attachments", {"curriculumVitae": FILE}),
    ("DELETE", f"/candidates/{RECORD}/attachments", {"attachmentIds": [OTHER]}),
]


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
@pytest.mark.parametrize("tags", ['"3"', '"1", "3"', ' "1",W/"2" ,"3"', '"3",,'])
async def test_expected_version_goes_into_the_mutation(method: str, path: str, body: Any, tags: str) -> None:
    stand = stand_with()
    answer = await send(stand, method, path, json=body, headers={"If-Match": tags})
    assert answer.status_code == 202
    assert stand.mutations()[0]["expectedVersion"] == 3


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
@pytest.mark.parametrize("tags", ['"2"', 'W/"3"', '"03"', '"x"', '"a,b"', '"99999999999999999999"', '"2", "4"', '""'])
async def test_record_at_none_of_the_versions_is_412(method: str, path: str, body: Any, tags: str) -> None:
    stand = stand_with()
    answer = await send(stand, method, path, json=body, headers={"If-Match": tags})
    assert answer.status_code == 412
    assert answer.headers["content-type"] == "application/problem+json"
    assert codes(answer) == [("If-Match", "version_conflict")]
    assert "weak ones (W/) never match" in answer.json()["detail"]
    assert stand.mutations() == []


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
@pytest.mark.parametrize("tags", ["3", "garbage", '"3', '3"', "W/3", 'w/"3"', "", ",", '"3" "4"', '*, "3"', '"3", 4'])
async def test_what_is_no_tag_is_refused_with_a_hint_to_quote_it(method: str, path: str, body: Any, tags: str) -> None:
    stand = stand_with()
    answer = await send(stand, method, path, json=body, headers={"If-Match": tags})
    assert (answer.status_code, codes(answer)) == (400, [("If-Match", "malformed_request")])
    assert 'like "5"' in answer.json()["detail"]
    assert stand.mutations() == []


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
async def test_star_asks_only_for_a_record_that_is_there(method: str, path: str, body: Any) -> None:
    stand = stand_with()
    answer = await send(stand, method, path, json=body, headers={"If-Match": "*"})
    assert answer.status_code == 202
    assert "expectedVersion" not in stand.mutations()[0]
    stand.ledger.records.clear()
    assert (await send(stand, method, path, json=body, headers={"If-Match": "*"})).status_code == 404


async def test_record_whose_create_is_open_has_no_version_yet() -> None:
    stand = stand_with(version=None)
    answer = await send(stand, "PATCH", f"/candidates/{RECORD}", json={"tags": []}, headers={"If-Match": '"1"'})
    assert answer.status_code == 412


async def test_repetition_is_answered_also_when_the_version_is_another_one_by_now() -> None:
    stand = stand_with()
    options = {"json": {"firstName": "Ann"}, "headers": {"If-Match": '"3"', "Idempotency-Key": "k1"}}
    first = await send(stand, "PATCH", f"/candidates/{RECORD}", **options)
    stand.ledger.versions["live", "acme", "candidate", RECORD] = 4
    again = await send(stand, "PATCH", f"/candidates/{RECORD}", **options)
    assert again.json() == first.json()
    options["headers"]["If-Match"] = '"4"'
    assert codes(await send(stand, "PATCH", f"/candidates/{RECORD}", **options))[0][1] == "idempotency_key_reused"


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
@pytest.mark.parametrize("others", [{"key": "key-of-other"}, {"headers": {"x-api-sandbox": "true"}}])
async def test_records_of_others_are_404(method: str, path: str, body: Any, others: dict[str, Any]) -> None:
    stand = stand_with()
    assert codes(await send(stand, method, path, json=body, **others)) == [("", "record_not_found")]
    assert stand.mutations() == stand.mutations("sandbox") == []


@pytest.mark.parametrize(
    ("tags", "status"),
    [('"3"', 304), ('W/"3"', 304), ('"1", "3"', 304), ("*", 304), ('"2"', 200), ("3", 200), (None, 200)],
)
async def test_read_record_carries_its_version_as_etag(tags: str | None, status: int) -> None:
    stand = IngestStand()
    record = {"_id": RECORD, "tenant": "acme", "type": "company", "fields": {"name": "Acme"}, "version": 3}
    stand.reads.records.append(("live", record))
    answer = await send(stand, "GET", f"/companies/{RECORD}", headers={"If-None-Match": tags} if tags else {})
    assert (answer.status_code, answer.headers["etag"]) == (status, '"3"')
    assert answer.content == b"" if status == 304 else answer.json()["data"]["name"] == "Acme"
