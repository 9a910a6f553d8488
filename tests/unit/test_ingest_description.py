"""The API's description is complete, and readable on a machine that reaches nothing else."""

import re
from typing import Any

import pytest

from services.ingest.api.describe import COMPONENTS
from shared.errors import REQUEST_CODES
from tests.fakes_ingest import IngestStand


async def described() -> Any:
    async with IngestStand().client(None) as client:
        return (await client.get("/openapi.json")).json()


def references(part: Any) -> set[str]:
    if isinstance(part, dict):
        own = {part["$ref"]} if isinstance(part.get("$ref"), str) else set()
        return own.union(*map(references, part.values()))
    return set().union(*map(references, part)) if isinstance(part, list) else set()


async def test_every_reference_leads_somewhere() -> None:
    document = await described()
    found = references(document)
    assert found
    assert {one.removeprefix(COMPONENTS) for one in found} <= set(document["components"]["schemas"])


@pytest.mark.parametrize("status", ["400", "401", "408", "413", "415", "422", "429", "500", "503"])
async def test_every_write_names_its_body_and_its_refusals(status: str) -> None:
    paths = (await described())["paths"]
    operations = [operation for methods in paths.values() for operation in methods.values()]
    with_body = [operation for operation in operations if "requestBody" in operation]
    writes = [operation for operation in with_body if operation["tags"] != ["administration"]]
    assert len(writes) == 17
    for operation in writes:
        [kind] = operation["requestBody"]["content"]
        assert kind == ("multipart/form-data" if "200" in operation["responses"] else "application/json")
        assert list(operation["responses"][status]["content"]) == ["application/problem+json"]


async def test_every_refusal_is_a_problem_with_known_codes() -> None:
    for path, methods in (await described())["paths"].items():
        for operation in methods.values():
            for status, answer in operation["responses"].items():
                if int(status) >= 400 and path not in ("/readyz", "/healthz"):
                    assert list(answer["content"]) == ["application/problem+json"], (path, status)
                    assert set(answer["description"].split(", ")) <= set(REQUEST_CODES)


async def test_both_environments_are_servers() -> None:
    assert [server["url"] for server in (await described())["servers"]] == ["/", "/sandbox"]


async def test_path_parameters_are_described() -> None:
    for path, methods in (await described())["paths"].items():
        for operation in methods.values():
            named = {one["name"] for one in operation.get("parameters", ()) if one["in"] == "path"}
            assert named == set(re.findall(r"{(\w+)}", path))


async def test_docs_need_no_other_host_and_no_script() -> None:
    async with IngestStand().client(None) as client:
        answer = await client.get("/docs")
    assert answer.status_code == 200
    assert "POST /candidates/{id}/attachments" in answer.text
    assert "idempotency_key_reused" in answer.text
    assert not re.findall(r"<script|(?:src|href)=[\"']?(?:https?:)?//", answer.text)
    assert "default-src 'none'" in answer.headers["content-security-policy"]
