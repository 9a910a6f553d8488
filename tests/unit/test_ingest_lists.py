"""Lists show a tenant its own records and files, page by page, and say what is wrong with a question."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.ingest.api.schemas_pages import AttachmentsPage, RecordsAnswer, RecordsPage
from services.ingest.cursors import cursor_behind
from shared import limits
from shared.search import search_keys
from tests.fakes_ingest import IngestStand

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def identity(n: int) -> str:
    return f"01890000-0000-7000-8000-{n:012x}"


def put_record(stand: IngestStand, n: int, tenant: str = "acme", kind: str = "candidate", **fields: Any) -> str:
    fields = {"firstName": f"Ann {n}"} | fields
    record = {"_id": identity(n), "tenant": tenant, "type": kind, "fields": fields, "search": search_keys(fields)}
    times = {"version": 1, "sequence": 1, "createdAt": NOW + timedelta(seconds=n), "updatedAt": NOW}
    stand.reads.records.append(("live", record | times))
    return identity(n)


def put_file(stand: IngestStand, n: int, *owners: str, kind: str | None = None, tenant: str = "acme") -> str:
    places = [{"record": place, "type": place.split("/")[1], "id": place.split("/")[2]} for place in owners]
    stored = {"_id": identity(n), "tenant": tenant, "type": kind, "filename": f"{n}.pdf", "owners": places}
    judged = {"field": None, "contentType": "application/pdf", "declaredType": None, "size": 5, "sha256": "ab"}
    stand.reads.stored.append(("live", stored | judged | {"createdAt": NOW}))
    return identity(n)


async def get(stand: IngestStand, path: str, key: str = "key-of-acme") -> Any:
    async with stand.client(key) as client:
        return await client.get(path)


async def refusal(stand: IngestStand, path: str) -> tuple[int, str, str]:
    answer = await get(stand, path)
    assert answer.headers["content-type"] == "application/problem+json"
    [error] = answer.json()["errors"]
    return answer.status_code, error["field"], error["code"]


async def test_pages_lead_through_all_records_newest_first_whatever_is_added() -> None:
    stand = IngestStand()
    wanted = [put_record(stand, n) for n in range(1, 8)][::-1]
    for n, tenant, kind in ((20, "other", "candidate"), (21, "acme", "company")):
        put_record(stand, n, tenant, kind)
    seen, cursor = [], ""
    while cursor is not None:
        answer = await get(stand, f"/candidates?pageSize=3{cursor and '&cursor=' + cursor}")
        RecordsPage.model_validate_json(answer.content)
        seen += [one["id"] for one in answer.json()["data"]]
        cursor = answer.json()["meta"]["nextCursor"]
        put_record(stand, 100 + len(seen))
    assert seen == wanted


@pytest.mark.parametrize("plural", ["candidates", "companies", "vacancies"])
async def test_list_without_records_is_empty_and_ends(plural: str) -> None:
    answer = await get(IngestStand(), f"/{plural}")
    assert answer.json()["data"] == []
    assert answer.json()["meta"] == {"sandboxEnabled": False, "nextCursor": None}


async def test_page_that_holds_the_last_record_is_the_last() -> None:
    stand = IngestStand()
    for n in range(25):
        put_record(stand, n)
    answer = await get(stand, "/candidates")
    assert len(answer.json()["data"]) == 25
    assert answer.json()["meta"]["nextCursor"] is None


async def test_chosen_fields_come_with_id_and_version_only() -> None:
    stand = IngestStand()
    record = put_record(stand, 1, email="a@example.test", tags=["x"])
    answer = await get(stand, "/candidates?fields=tags,%20createdAt,phone,tags")
    RecordsPage.model_validate_json(answer.content)
    assert answer.json()["data"] == [
        {"tags": ["x"], "id": record, "version": 1, "createdAt": "2026-01-02T03:04:06Z"},
    ]


async def test_cursor_of_another_list_is_refused() -> None:
    stand = IngestStand()
    here = cursor_behind("live/acme/candidate", identity(1))
    assert (await get(stand, f"/candidates?cursor={here}")).status_code == 200
    for path in ("/companies", "/sandbox/candidates"):
        assert await refusal(stand, f"{path}?cursor={here}") == (400, "cursor", "parameter_invalid")
    assert (await get(stand, f"/candidates?cursor={here}", key="key-of-other")).status_code == 400


@pytest.mark.parametrize(
    ("query", "field"),
    [
        *((f"pageSize={bad}", "pageSize") for bad in ("0", "101", "-1", "1.0", "x", "", "%D9%A3", "9" * 5000)),
        *((f"cursor={bad}", "cursor") for bad in ("", "x", "%00", "A" * 34, "%F0%9F%98%80")),
        *((f"fields={bad}", "fields") for bad in ("", "secret", "firstName,", "fields.firstName", "tenant", "$where")),
        ("pageSize=1&pageSize=1", "pageSize"),
        ("fields=tags&fields=email", "fields"),
    ],
)
async def test_malformed_parameter_of_a_list_is_named(query: str, field: str) -> None:
    assert await refusal(IngestStand(), f"/candidates?{query}") == (400, field, "parameter_invalid")


async def test_unknown_field_is_answered_with_those_that_there_are() -> None:
    answer = await get(IngestStand(), "/vacancies?fields=firstName")
    assert ": id, version, externalId, tags, locale, customFields, title, description, " in answer.json()["detail"]
    assert answer.json()["detail"].endswith(", companyId, createdAt, updatedAt.")


@pytest.mark.parametrize(
    ("path", "unknown", "known"),
    [
        ("/candidates?pagesize=5&colour=red&colour=blue", ["pagesize", "colour"], "cursor, pageSize, fields"),
        ("/attachments?candidateID=x", ["candidateID"], "candidateId, companyId, vacancyId, type, page, pageSize"),
        ("/schema?Operation=create", ["Operation"], "operation, recordType"),
        ("/mutations/k?verbose", ["verbose"], "wait"),
        ("/mutations/k/events?wait=5", ["wait"], "no parameters"),
        ("/sandbox/reset?sandbox=true", ["sandbox"], "no parameters"),
        (f"/attachments/{identity(1)}/content?AS=link", ["AS"], "as"),
    ],
)
async def test_parameters_that_a_route_has_not_are_refused_with_those_that_it_has(
    path: str, unknown: list[str], known: str
) -> None:
    answer = await get(IngestStand(), path)
    assert answer.status_code == 400
    assert [(each["field"], each["code"]) for each in answer.json()["errors"]] == [
        (name, "parameter_invalid") for name in unknown
    ]
    assert known in answer.json()["detail"]


async def test_mistyped_parameter_of_a_write_keeps_it_from_being_accepted() -> None:
    stand = IngestStand()
    async with stand.client() as client:
        answer = await client.post("/candidates?callbackURL=https://hooks.example.com/", json={"firstName": "Ann"})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "callbackURL")
    assert stand.mutations() == []


@pytest.mark.parametrize("path", ["/candidates?colour=red", "/admin/tenants?colour=red"])
async def test_a_query_is_judged_only_for_those_who_may_ask(path: str) -> None:
    assert (await get(IngestStand(), path, key="nobody's")).status_code == 401


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/docs", "/openapi.json", "/asyncapi"])
async def test_what_needs_no_key_takes_any_query(path: str) -> None:
    assert (await get(IngestStand(), f"{path}?colour=red")).status_code == 200


async def found(stand: IngestStand, query: str, plural: str = "candidates") -> list[str]:
    answer = await get(stand, f"/{plural}/find?{query}")
    assert answer.status_code == 200, answer.text
    RecordsAnswer.model_validate_json(answer.content)
    return [one["id"] for one in answer.json()["data"]]


async def test_candidates_are_found_however_address_and_number_are_written() -> None:
    stand = IngestStand()
    ann = put_record(stand, 1, email="Ann@Example.TEST", phone="+1 (555) 010-0199")
    bob = put_record(stand, 2, email="bob@example.test", phone="0015550100199")
    put_record(stand, 3, tenant="other", email="ann@example.test")
    put_record(stand, 4, kind="company", email="ann@example.test")
    assert await found(stand, "email=aNN@example.test") == [ann]
    assert await found(stand, "phone=%2B1.555.0100199") == [bob, ann]
    assert await found(stand, "phone=0015550100199&email=ann@example.test") == [ann]
    assert await found(stand, "email=nobody@example.test&phone=0015550100199") == []


async def test_companies_are_found_the_same_way_and_apart() -> None:
    stand = IngestStand()
    put_record(stand, 1, email="info@example.test")
    acme = put_record(stand, 2, kind="company", email="Info@Example.test", phone="+1 (555) 010-0199")
    assert await found(stand, "email=info@example.test", "companies") == [acme]
    assert await found(stand, "phone=0015550100199", "companies") == [acme]


async def test_vacancies_have_nothing_to_be_found_by() -> None:
    assert await refusal(IngestStand(), "/vacancies/find?email=info@example.test") == (
        400,
        "email",
        "parameter_invalid",
    )
    assert await refusal(IngestStand(), "/vacancies/find") == (404, "", "record_not_found")


async def test_at_most_ten_are_found_the_newest() -> None:
    stand = IngestStand()
    everybody = [put_record(stand, n, phone="555") for n in range(12)]
    assert await found(stand, "phone=555") == everybody[:1:-1]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", "email"), ("email=", "email"), ("email=%20", "email"), ("email=a+b@example.test", "email"),
        ("email=ann", "email"), ("email=ann@", "email"), (f"email={'a' * 65}@example.test", "email"),
        ("phone=", "phone"), ("phone=abc", "phone"), ("phone=12", "phone"), ("phone=555x7", "phone"),
        (f"phone={'1' * 51}", "phone"), ("email=a@b.test&email=a@b.test", "email"),
        ("phone=1&phone=2", "phone"),
    ],
)  # fmt: skip
async def test_nothing_to_find_by_is_refused(query: str, field: str) -> None:
    assert await refusal(IngestStand(), f"/candidates/find?{query}") == (400, field, "parameter_invalid")


@pytest.fixture
def stand() -> IngestStand:
    """Ann and the job share file 12; ann alone has 11, the job alone 13; 14 is another tenant's."""
    stand = IngestStand()
    ann, job = put_record(stand, 1), put_record(stand, 2, kind="vacancy")
    put_file(stand, 11, f"acme/candidate/{ann}", kind="CV")
    put_file(stand, 12, f"acme/candidate/{ann}", f"acme/vacancy/{job}", kind="OFFER")
    put_file(stand, 13, f"acme/vacancy/{job}", kind="ExportedTemplatedCv")
    put_file(stand, 14, f"other/candidate/{ann}", tenant="other")
    return stand


ANN, JOB = f"candidateId={identity(1)}", f"vacancyId={identity(2).upper()}"


@pytest.mark.parametrize(
    ("query", "files"),
    [
        ("", [13, 12, 11]), (ANN, [12, 11]), (JOB, [13, 12]), (f"{ANN}&{JOB}", [12]), ("type=cv", [11]),
        ("type=exportedtemplatedCV", [13]), (f"{JOB}&type=Offer", [12]), ("type=logo", []),
    ],
)  # fmt: skip
async def test_attachments_are_those_that_all_filters_name(stand: IngestStand, query: str, files: list[int]) -> None:
    answer = await get(stand, f"/attachments?{query}")
    AttachmentsPage.model_validate_json(answer.content)
    assert [one["id"] for one in answer.json()["data"]] == [identity(n) for n in files]
    assert answer.json()["meta"] == {"sandboxEnabled": False, "page": 1, "pageSize": 25, "total": len(files)}


async def test_pages_of_attachments_tell_where_they_are(stand: IngestStand) -> None:
    pages = [(await get(stand, f"/attachments?pageSize=2&page={n}")).json() for n in (1, 2, 3)]
    assert [[one["filename"] for one in each["data"]] for each in pages] == [["13.pdf", "12.pdf"], ["11.pdf"], []]
    assert [(each["meta"]["page"], each["meta"]["total"]) for each in pages] == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize("query", [f"companyId={identity(1)}", f"candidateId={identity(9)}", f"{ANN}&{JOB[:-1]}3"])
async def test_record_that_the_tenant_has_not_is_not_found(stand: IngestStand, query: str) -> None:
    assert await refusal(stand, f"/attachments?{query}") == (404, "", "record_not_found")
    assert (await get(stand, f"/attachments?{ANN}", key="key-of-other")).status_code == 404


@pytest.mark.parametrize(
    ("query", "field"),
    [
        *((f"{name}={bad}", name) for name in ("page", "pageSize") for bad in ("0", "-1", "x", "", "1000001")),
        ("page=101&pageSize=100", "page"), ("candidateId=x", "candidateId"), ("vacancyId=", "vacancyId"),
        (f"{ANN}&{ANN}", "candidateId"),
    ],
)  # fmt: skip
async def test_malformed_parameter_of_attachments_is_named(stand: IngestStand, query: str, field: str) -> None:
    assert await refusal(stand, f"/attachments?{query}") == (400, field, "parameter_invalid")


@pytest.mark.parametrize("query", ["type=", "type=cover%20letter", "type=CV&type=CV"])
async def test_another_type_is_refused_as_an_upload_with_it_is(query: str) -> None:
    assert await refusal(IngestStand(), f"/attachments?{query}") == (422, "type", "invalid_value")
    [error] = (await get(IngestStand(), f"/attachments?{query}")).json()["errors"]
    assert all(one in error["message"] for one in limits.ATTACHMENT_TYPES)
