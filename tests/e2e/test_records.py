"""Records of every type change in order, at the version that the client has seen, and share files."""

import aiohttp
import pytest

from deploy.demo.samples import curriculum_vitae
from services.ingest.record_types import RECORD_TYPES
from tests.e2e.client import Client, digest, inline


@pytest.mark.parametrize(("name", "plural"), [(each.name, each.plural) for each in RECORD_TYPES.values()])
async def test_record_is_created_changed_at_the_seen_version_and_erased(client: Client, name: str, plural: str) -> None:
    created = await client.write("POST", f"/{plural}", {"externalId": "x-1", "tags": ["a", "b"], "locale": "en"})
    record = created.mutation["record"]["id"]
    await client.outcome(created)
    seen = await client.call("GET", f"/{plural}/{record}")
    tag = seen.headers["etag"]
    assert (tag, seen.body["data"]["version"]) == ('"1"', 1)
    assert (await client.call("GET", f"/{plural}/{record}", If_None_Match=tag)).status == 304

    first = await client.write("PATCH", f"/{plural}/{record}", {"tags": ["c"], "locale": None}, If_Match=tag)
    assert (await client.outcome(first))["record"] == {"type": name, "id": record, "version": 2}
    refused = await client.call("PATCH", f"/{plural}/{record}", {"tags": ["d"]}, If_Match=tag)
    assert (refused.status, refused.body["errors"][0]["code"]) == (412, "version_conflict")
    fields = (await client.call("GET", f"/{plural}/{record}")).body["data"]
    assert (fields["tags"], fields["externalId"], "locale" in fields) == (["c"], "x-1", False)

    erased = await client.write("DELETE", f"/{plural}/{record}", {}, If_Match='"2"')
    assert (await client.outcome(erased))["status"] == "completed"
    assert (await client.call("GET", f"/{plural}/{record}")).status == 404


async def test_of_two_changes_that_saw_one_version_the_second_is_a_conflict(client: Client) -> None:
    created = await client.write("POST", "/companies", {"name": "Acme"})
    path = f"/companies/{created.mutation['record']['id']}"
    await client.outcome(created)

    # Both are accepted before the first one has ended, or the second one is refused at once.
    first = await client.write("PATCH", path, {"name": "First"}, If_Match='"1"')
    second = await client.call("PATCH", path, {"name": "Second", "callbackUrl": client.callback_url}, If_Match='"1"')
    if second.status == 202:
        assert (await client.outcome(second))["error"]["code"] == "version_conflict"
    else:
        assert second.status == 412
    assert (await client.outcome(first))["status"] == "completed"
    assert (await client.call("GET", path)).body["data"]["name"] == "First"


async def test_assigned_upload_belongs_to_every_record_that_is_named(client: Client) -> None:
    cv = curriculum_vitae()
    candidate, company = [
        (await client.write("POST", path, body)).mutation["record"]["id"]
        for path, body in (("/candidates", {"firstName": "Test"}), ("/companies", {"name": "Acme"}))
    ]
    form = aiohttp.FormData()
    form.add_field("files", cv, filename="cv.pdf", content_type="application/pdf")
    where = client.handle["http"] + "/attachments/temporary"
    async with client.session.post(where, data=form, headers={"x-api-key": client.key}) as answer:
        assert answer.status == 200, await answer.text()
        [upload] = await answer.json()

    files = [{"id": upload["attachmentId"], "type": "cv", "name": "of both.pdf"}]
    body = {"attachments": files, "candidateId": candidate, "companyId": company}
    assigned = await client.write("POST", "/attachments/temporary/assign", body)
    records = [{"type": "candidate", "id": candidate}, {"type": "company", "id": company}]
    assert (assigned.mutation["record"], assigned.mutation["records"]) == (records[0], records)
    outcome = await client.outcome(assigned)
    assert outcome["status"] == "completed", outcome
    assert [{"type": one["type"], "id": one["id"]} for one in outcome["records"]] == records
    for path in (f"/candidates/{candidate}", f"/companies/{company}"):
        [listed] = (await client.call("GET", f"{path}/attachments")).body["data"]
        assert (listed["id"], listed["filename"], listed["sha256"]) == (files[0]["id"], "of both.pdf", digest(cv))

    again = await client.write("POST", "/attachments/temporary/assign", body)
    outcome = await client.outcome(again)
    assert [one["error"]["code"] for one in outcome["attachments"]] == ["already_assigned"]


async def test_appended_file_and_update_of_one_record_keep_their_order(client: Client) -> None:
    created = await client.write("POST", "/vacancies", {"title": "Baker", "status": "draft"})
    path = f"/vacancies/{created.mutation['record']['id']}"
    advert = inline("advert.txt", b"We are looking for a baker.\n", "text/plain")
    appended = await client.write("POST", f"{path}/attachments", {"attachments": advert})
    opened = await client.write("PATCH", path, {"status": "open", "openings": 2})
    sequences = [(await client.outcome(each))["sequence"] for each in (created, appended, opened)]
    assert sequences == [1, 2, 3]
    vacancy = (await client.call("GET", path)).body["data"]
    assert (vacancy["title"], vacancy["status"], vacancy["openings"], vacancy["version"]) == ("Baker", "open", 2, 3)
