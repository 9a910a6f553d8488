"""Tenants, keys and secrets by HTTP: nothing secret is shown twice."""

import json
from datetime import timedelta

import httpx2
import pytest

from services.ingest.api import schemas_admin
from shared import limits, topics
from tests.fakes_admin import NOW
from tests.fakes_ingest import IngestStand, code_of

OF_A_TENANT = [
    ("GET", "/admin/tenants/acme/keys"),
    ("POST", "/admin/tenants/acme/keys"),
    ("DELETE", "/admin/tenants/acme/keys/0000000000000001"),
    ("GET", "/admin/tenants/acme/secrets"),
    ("POST", "/admin/tenants/acme/secrets"),
    ("POST", "/admin/tenants/acme/secrets/rotate"),
    ("DELETE", "/admin/tenants/acme/secrets/0000000000000001"),
]


@pytest.fixture
async def stand() -> IngestStand:
    stand = IngestStand()
    await stand.registry.create_tenant("acme")
    return stand


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/candidates"), ("GET", "/mutations/some"), ("GET", "/sandbox/attachments/1")]
)
async def test_an_admin_key_reads_and_writes_no_records(admin: httpx2.AsyncClient, method: str, path: str) -> None:
    answer = await admin.request(method, path)
    assert (answer.status_code, code_of(answer)) == (403, "forbidden")


async def test_a_tenant_is_created_once_with_its_topics(stand: IngestStand, admin: httpx2.AsyncClient) -> None:
    answers = [await admin.post("/admin/tenants", json={"name": "new-one"}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 200]
    for answer in answers:
        schemas_admin.TenantAnswer.model_validate(answer.json())
        assert answer.json()["data"]["topics"] == "ready"
    assert stand.topics.made == {spec.name for spec in topics.tenant_topics("new-one")}
    listed = await admin.get("/admin/tenants")
    schemas_admin.TenantsAnswer.model_validate(listed.json())
    assert [tenant["name"] for tenant in listed.json()["data"]] == ["acme", "new-one"]


async def test_without_kafka_a_tenant_is_made_and_its_topics_are_pending(
    stand: IngestStand, admin: httpx2.AsyncClient
) -> None:
    stand.topics.away = True
    answer = await admin.post("/admin/tenants", json={"name": "new-one"})
    assert (answer.status_code, answer.json()["data"]["topics"]) == (201, "pending")
    stand.topics.away = False
    again = await admin.post("/admin/tenants", json={"name": "new-one"})
    assert (again.status_code, again.json()["data"]["topics"]) == (200, "ready")


@pytest.mark.parametrize(
    "body", [{}, {"name": None}, {"name": ""}, {"name": "A"}, {"name": "a.b"}, {"name": "a" * 41}, {"name": "a\n"},
             {"name": 1}, {"name": "a", "more": 1}, [], "a", None],
)  # fmt: skip
async def test_a_name_that_no_topic_could_have_is_refused(admin: httpx2.AsyncClient, body: object) -> None:
    answer = await admin.post("/admin/tenants", content=json.dumps(body), headers={"content-type": "application/json"})
    assert (answer.status_code, code_of(answer)) == (422, "validation_failed")


async def test_a_key_is_shown_once(admin: httpx2.AsyncClient) -> None:
    made = [await admin.post("/admin/tenants/acme/keys") for _ in range(2)]
    for answer in made:
        assert answer.status_code == 201
        schemas_admin.KeyAnswer.model_validate(answer.json())
    listed = await admin.get("/admin/tenants/acme/keys")
    schemas_admin.KeysAnswer.model_validate(listed.json())
    assert [key["id"] for key in listed.json()["data"]] == [answer.json()["data"]["id"] for answer in made]
    assert all(set(key) == {"id", "createdAt", "revokedAt"} for key in listed.json()["data"])


async def test_a_revoked_key_is_listed_as_revoked(admin: httpx2.AsyncClient) -> None:
    first = (await admin.post("/admin/tenants/acme/keys")).json()["data"]["id"]
    await admin.post("/admin/tenants/acme/keys")
    for _ in range(2):
        ended = await admin.delete(f"/admin/tenants/acme/keys/{first}")
        assert (ended.status_code, ended.content) == (204, b"")
    revoked = [key["revokedAt"] for key in (await admin.get("/admin/tenants/acme/keys")).json()["data"]]
    assert [time is None for time in revoked] == [False, True]


@pytest.mark.parametrize(("query", "seconds"), [("", limits.SECRET_OVERLAP_SECONDS), ("?overlapSeconds=60", 60)])
async def test_older_secrets_sign_beside_a_new_one_for_the_overlap(
    admin: httpx2.AsyncClient, query: str, seconds: int
) -> None:
    old = (await admin.post("/admin/tenants/acme/secrets")).json()["data"]
    rotated = await admin.post(f"/admin/tenants/acme/secrets/rotate{query}")
    assert rotated.status_code == 201
    schemas_admin.SecretAnswer.model_validate(rotated.json())
    listed = (await admin.get("/admin/tenants/acme/secrets")).json()
    schemas_admin.SecretsAnswer.model_validate(listed)
    retired = {secret["id"]: secret["retiredAt"] for secret in listed["data"]}
    until = f"{NOW + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%SZ}"
    assert retired == {old["id"]: until, rotated.json()["data"]["id"]: None}


@pytest.mark.parametrize("sent", ["", "-1", "1.5", "x", "٣", "2592001", "9" * 5000, "1&overlapSeconds=1"])
async def test_an_overlap_that_is_no_number_within_bounds_is_refused(admin: httpx2.AsyncClient, sent: str) -> None:
    answer = await admin.post(f"/admin/tenants/acme/secrets/rotate?overlapSeconds={sent}")
    assert (answer.status_code, code_of(answer)) == (400, "parameter_invalid")


@pytest.mark.parametrize(("method", "path"), OF_A_TENANT)
@pytest.mark.parametrize("name", ["nobody", "A", "%00", "%ff", "a%2Fb", "a" * 41])
async def test_an_unknown_tenant_is_not_found(admin: httpx2.AsyncClient, method: str, path: str, name: str) -> None:
    answer = await admin.request(method, path.replace("acme", name))
    assert (answer.status_code, code_of(answer)) == (404, "not_found")


@pytest.mark.parametrize("of", ["keys", "secrets"])
@pytest.mark.parametrize("identity", ["0000000000000000", "x", "%00", "%ff", "0" * 5000])
async def test_an_unknown_id_is_not_found(admin: httpx2.AsyncClient, of: str, identity: str) -> None:
    answer = await admin.delete(f"/admin/tenants/acme/{of}/{identity}")
    assert (answer.status_code, code_of(answer)) == (404, "not_found")
