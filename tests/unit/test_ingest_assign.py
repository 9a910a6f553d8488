"""An assign is one mutation with a place in each record, and its uploads are kept before anybody says 202."""

from datetime import timedelta
from typing import Any

import pytest

from services.ingest.api.schemas_out import AcceptedAnswer, MutationAnswer
from shared import limits
from tests.fakes_ingest import IngestStand

CANDIDATE, COMPANY, VACANCY, FIRST, SECOND = (f"01890000-0000-7000-8000-00000000000{n}" for n in range(5))
FILES = [{"id": FIRST, "type": "cv", "name": "../cv.pdf"}, {"id": SECOND, "type": "exportedTemplatedCV"}]


def stand_with_records() -> IngestStand:
    stand = IngestStand()
    for record_type, record in (("candidate", CANDIDATE), ("company", COMPANY), ("vacancy", VACANCY)):
        stand.ledger.records.add(("live", "acme", record_type, record))
    return stand


async def assign(stand: IngestStand, body: Any, key: str = "key-of-acme", **headers: str) -> Any:
    async with stand.client(key) as client:
        return await client.post("/attachments/temporary/assign", json=body, headers=headers)


def codes(answer: Any) -> list[tuple[str, str]]:
    return [(one["field"], one["code"]) for one in answer.json()["errors"]]


async def test_assign_has_a_place_in_every_record_and_keeps_the_ids_of_the_uploads() -> None:
    stand = stand_with_records()
    body = {"vacancyId": VACANCY, "candidateId": CANDIDATE, "companyId": COMPANY, "attachments": FILES}
    answer = await assign(stand, body)
    assert answer.status_code == 202
    AcceptedAnswer.model_validate_json(answer.content, strict=True)
    [document] = stand.mutations()
    ids = {"candidate": CANDIDATE, "company": COMPANY, "vacancy": VACANCY}
    records = [{"type": name, "id": record} for name, record in ids.items()]
    assert document["kind"] == "assign"
    assert document["places"] == [
        {"record": f"acme/{name}/{record}", "sequence": 1} for name, record in ids.items()
    ]  # fmt: skip
    assert (document["record"], document["records"]) == (records[0], records)
    assert document["fileIds"] == [FIRST, SECOND]
    assert document["files"] == {
        FIRST: {"field": None, "filename": "cv.pdf", "type": "CV", "upload": True},
        SECOND: {"field": None, "filename": None, "type": "ExportedTemplatedCv", "upload": True},
    }
    [mutation] = answer.json()["data"]["mutations"]
    assert (mutation["record"], mutation["records"]) == (records[0], records)
    assert [one["id"] for one in mutation["attachments"]] == [FIRST, SECOND]
    async with stand.client() as client:
        seen = await client.get(f"/mutations/{document['key']}")
    MutationAnswer.model_validate_json(seen.content)
    assert seen.json()["data"]["records"] == records


async def test_uploads_are_kept_beyond_the_deadline_before_the_mutation_is_in_the_ledger() -> None:
    stand = stand_with_records()
    body = {"companyId": COMPANY, "attachments": FILES, "idempotencyKey": "k1"}
    first = await assign(stand, body)
    [document] = stand.mutations()
    [(environment, tenant, uploads, until, in_ledger)] = stand.keeps.kept
    assert (environment, tenant, uploads, in_ledger) == ("live", "acme", [FIRST, SECOND], 0)
    assert until == document["deadline"] + timedelta(seconds=limits.KEPT_AFTER_DEADLINE_SECONDS)
    again = await assign(stand, body)
    assert again.json() == first.json()
    assert len(stand.keeps.kept) == 1


async def test_uploads_that_can_not_be_kept_mean_no_mutation() -> None:
    stand = stand_with_records()
    stand.keeps.away = True
    answer = await assign(stand, {"companyId": COMPANY, "attachments": FILES}, **{"Idempotency-Key": "k1"})
    assert answer.status_code == 503
    assert "k1" in answer.json()["detail"]
    assert stand.mutations() == []


@pytest.mark.parametrize("name", ["candidateId", "companyId", "vacancyId"])
async def test_every_record_must_be_there(name: str) -> None:
    stand = stand_with_records()
    body = {"candidateId": CANDIDATE, "companyId": COMPANY, "vacancyId": VACANCY, name: FIRST, "attachments": FILES}
    answer = await assign(stand, body)
    assert (answer.status_code, codes(answer)) == (404, [(f"/{name}", "record_not_found")])
    assert (stand.mutations(), stand.keeps.kept) == ([], [])


async def test_records_of_another_tenant_or_type_are_404() -> None:
    stand = stand_with_records()
    assert (await assign(stand, {"companyId": COMPANY, "attachments": FILES}, key="key-of-other")).status_code == 404
    assert (await assign(stand, {"companyId": VACANCY, "attachments": FILES})).status_code == 404


@pytest.mark.parametrize(
    ("changed", "wanted"),
    [
        ({"companyId": None}, [("", "missing")]),
        ({"companyId": "x"}, [("/companyId", "invalid_value")]),
        ({"attachments": []}, [("/attachments", "too_short")]),
        ({"attachments": None}, [("/attachments", "invalid_type")]),
        ({"attachments": [{"id": FIRST, "type": "CV"}] * 2}, [("/attachments/1/id", "invalid_value")]),
        ({"attachments": [{"id": f"{FIRST[:-2]}{n}", "type": "CV"} for n in range(10, 21)]},
         [("/attachments", "too_many_items")]),
        ({"attachments": [{"id": FIRST}]}, [("/attachments/0/type", "missing")]),
        ({"attachments": [{"id": FIRST, "type": "letter"}]}, [("/attachments/0/type", "invalid_value")]),
        ({"attachments": [{"id": FIRST, "type": "CV", "name": "/"}]}, [("/attachments/0/name", "invalid_filename")]),
        ({"attachments": [{"id": FIRST, "type": "CV", "url": "x"}]}, [("/attachments/0/url", "unknown_field")]),
        ({"attachments": [7]}, [("/attachments/0", "invalid_type")]),
        ({"recordId": COMPANY}, [("/recordId", "unknown_field")]),
    ],
)  # fmt: skip
async def test_assign_that_can_not_be_is_refused(changed: Any, wanted: list[tuple[str, str]]) -> None:
    stand = stand_with_records()
    answer = await assign(stand, {"companyId": COMPANY, "attachments": FILES} | changed)
    assert (answer.status_code, codes(answer)) == (422, wanted)
    assert stand.mutations() == []


async def test_refused_type_names_the_allowed_ones() -> None:
    body = {"companyId": COMPANY, "attachments": [{"id": FIRST, "type": "letter"}]}
    [error] = (await assign(stand_with_records(), body)).json()["errors"]
    assert all(name in error["message"] for name in limits.ATTACHMENT_TYPES)
