"""Every path, every id, two tenants: nothing of one is seen or touched by the other.

The matrix is made from /openapi.json, so a new path is in it by itself; a new kind of body must get an example here.
"""

import re
import secrets
from collections.abc import Iterator
from functools import partial
from typing import Any, Final
from urllib.parse import quote

import bson
import pytest

from deploy.demo.samples import photograph
from shared import ledger
from shared.blobs import open_blobs
from tests.e2e.client import Client, Json, inline, person
from tests.e2e.stores import settings_of
from tests.retry import eventually

pytestmark = pytest.mark.any_broker

PARAMETER: Final = re.compile(r"{(\w+)}")
RECORDS: Final = {"candidates": person(), "companies": {"name": "Test"}, "vacancies": {"title": "Test"}}
ID_PARAMETERS: Final = ("candidateId", "companyId", "vacancyId")
# A valid body for each schema of the description; what names ids names those of the other tenant.
FILE: Final = inline("a.txt", b"a", "text/plain")


def bodies(ids: dict[str, str]) -> dict[str, Json]:
    """By the name of its schema."""
    return {
        "CandidateFiles": {"otherAttachments": FILE},
        "CompanyFiles": {"attachments": FILE},
        "VacancyFiles": {"attachments": FILE},
        "RemovePayload": {"attachmentIds": [ids["attachment"]]},
        "ErasePayload": {},
        "CandidateUpdate": {"firstName": "B"},
        "CompanyUpdate": {"name": "B"},
        "VacancyUpdate": {"title": "B"},
    }


async def planted(client: Client, prefix: str = "") -> dict[str, str]:
    """Something of everything, by what it is: ids and keys of this tenant alone."""
    ids: dict[str, str] = {}
    for plural, body in RECORDS.items():
        field = "otherAttachments" if plural == "candidates" else "attachments"
        answer = await client.write(
            "POST", f"{prefix}/{plural}", body | {field: [inline("a.png", photograph(), "image/png")]}
        )
        await client.outcome(answer)
        await eventually(partial(_delivered, client, f"{prefix}/mutations/{answer.body['data']['idempotencyKey']}"))
        ids |= {plural: answer.mutation["record"]["id"], "attachment": answer.mutation["attachments"][0]["id"]}
        ids |= {"mutation": answer.mutation["mutationId"], "key": answer.body["data"]["idempotencyKey"]}
    [uploaded] = await client.upload(("b.png", photograph(), "image/png"), prefix=prefix)
    ids["upload"] = uploaded["attachmentId"]
    return ids


async def _delivered(client: Client, path: str) -> None:
    """The callback is taken before its delivery ends; after that nothing changes by itself."""
    [delivery] = (await client.call("GET", path)).body["data"]["deliveries"]
    assert delivery["status"] == "delivered"


async def everything_of(handle: Json, tenant: str) -> dict[str, bytes]:
    """All documents of a tenant and all its objects' keys, in both environments."""
    found: dict[str, bytes] = {}
    async with ledger.open_client(handle["mongodb"]) as client:
        for name in ledger.DATABASES.values():
            database = client.get_database(name)
            for collection in await database.list_collection_names():
                async for document in database[collection].find({"tenant": tenant}):
                    found[f"{name}.{collection}.{document['_id']}"] = bson.encode(document)
    async with open_blobs(settings_of(handle)) as blobs:
        async for key, size, _ in blobs.list("records/"):
            found |= {key: str(size).encode()} if key.split("/")[2] == tenant else {}
    return found


def operations(description: Json) -> Iterator[tuple[str, str, Json]]:
    """(method, path, operation) of all but the administration, which no tenant's key opens."""
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            if not path.startswith("/admin"):
                yield method.upper(), path, operation


def body_of(operation: Json, examples: dict[str, Json]) -> Json | None:
    """A valid body, or None where the operation takes none."""
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if content is None:
        return None
    name = content["schema"]["$ref"].rpartition("/")[2]
    assert name in examples, f"give {name} an example"
    return examples[name]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("prefix", ["", "/sandbox"])
async def test_no_id_of_another_tenant_is_found_on_any_path(client: Client, stranger: Client, prefix: str) -> None:
    ids = await planted(stranger, prefix)
    description = (await client.call("GET", "/openapi.json")).body
    before, asked = await everything_of(client.handle, stranger.tenant), 0
    examples = bodies(ids)
    for method, path, operation in operations(description):
        if not PARAMETER.search(path):
            continue
        for value in ids.values():
            body = body_of(operation, examples)
            answer = await client.call(method, prefix + PARAMETER.sub(quote(value, safe=""), path), body)
            assert answer.status == 404, (method, path, value, answer.body)
            assert not _mentions(answer.body, ids, but=value), (method, path, value)
            asked += 1
    assert asked >= 15 * len(ids)
    assert await everything_of(client.handle, stranger.tenant) == before


def _mentions(body: Any, ids: dict[str, str], but: str = "") -> list[str]:
    """Ids of the other tenant in an answer, beyond the one that was asked for."""
    return [value for value in ids.values() if value != but and value in str(body)]


async def test_lists_and_filters_show_nothing_of_another_tenant(client: Client, stranger: Client) -> None:
    ids = await planted(stranger)
    description = (await client.call("GET", "/openapi.json")).body
    lists = [path for method, path, _ in operations(description) if method == "GET" and not PARAMETER.search(path)]
    assert {"/candidates", "/companies", "/vacancies", "/attachments", "/candidates/find"} <= set(lists)
    for path in lists:
        for query in ("", "?pageSize=100", f"?email={person()['email']}"):
            answer = await client.call("GET", path + query)
            assert not _mentions(answer.body, ids), (path, query)
        for name, value in ((name, value) for name in ID_PARAMETERS for value in ids.values()):
            answer = await client.call("GET", f"{path}?{name}={value}")
            assert not _mentions(answer.body, ids, but=value), (path, name)
    for name in ID_PARAMETERS:
        for value in ids.values():
            assert (await client.call("GET", f"/attachments?{name}={quote(value)}")).status in (400, 404)


async def test_ids_of_another_tenant_inside_bodies_are_not_found(client: Client, stranger: Client) -> None:
    theirs, mine = await planted(stranger), await planted(client)
    before = await everything_of(client.handle, stranger.tenant)
    listed = [{"id": theirs["upload"], "type": "cv"}]
    for name, plural in zip(ID_PARAMETERS, RECORDS, strict=True):
        foreign = {"attachments": [{"id": mine["upload"], "type": "cv"}], name: theirs[plural]}
        refused = await client.call("POST", "/attachments/temporary/assign", foreign)
        assert refused.status == 404, refused.body
        own = await client.write("POST", "/attachments/temporary/assign", {"attachments": listed, name: mine[plural]})
        outcome = await client.outcome(own)
        assert outcome["status"] == "failed"
        assert [file["error"]["code"] for file in outcome["attachments"]] == ["not_found"]
    removal = {"attachmentIds": [theirs["attachment"]]}
    answer = await client.write("DELETE", f"/candidates/{mine['candidates']}/attachments", removal)
    assert (await client.outcome(answer))["status"] == "failed"
    assert await everything_of(client.handle, stranger.tenant) == before


async def test_a_key_of_another_tenant_is_a_free_one(client: Client, stranger: Client) -> None:
    key = secrets.token_hex(8)
    one, other = [await each.write("POST", "/candidates", person(idempotencyKey=key)) for each in (client, stranger)]
    assert one.mutation["mutationId"] != other.mutation["mutationId"]
    outcomes = [await client.outcome(one), await stranger.outcome(other)]
    assert [outcome["status"] for outcome in outcomes] == ["completed", "completed"]


async def test_no_path_opens_without_a_key_or_with_a_wrong_one(client: Client) -> None:
    description = (await client.call("GET", "/openapi.json")).body
    wrong = client.key[:-1] + ("A" if client.key[-1] != "A" else "B")
    for method, path, operation in operations(description):
        if operation.get("security") == []:
            continue
        for headers in ({}, {"x-api-key": wrong}):
            url = client.handle["http"] + PARAMETER.sub("x", path)
            async with client.session.request(method, url, headers=headers) as answer:
                assert answer.status == 401, (method, path)
