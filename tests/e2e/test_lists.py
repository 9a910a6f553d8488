"""What has been written is listed and found, by whatever it is asked for."""

import pytest

from tests.e2e.client import Client, inline, person
from tests.factories import new_id

pytestmark = pytest.mark.any_broker


async def test_written_record_and_its_file_are_listed_and_found(client: Client, stranger: Client) -> None:
    name = new_id()
    files = [inline("note.txt", b"a plain text, long enough\n", "text/plain")]
    sent = person(email=f"{name}@Example.test", phone="+1 (555) 010-0142", curriculumVitae=files)
    created = await client.outcome(await client.write("POST", "/candidates", sent))
    record, attachment = created["record"]["id"], created["attachments"][0]["id"]

    found = await client.call("GET", f"/candidates/find?email={name.upper()}@example.TEST&phone=1")
    assert [one["id"] for one in found.body["data"]] == [record]
    by_phone = await client.call("GET", "/candidates/find?phone=001.555.010.0142")
    assert record in [one["id"] for one in by_phone.body["data"]]
    listed = await client.call("GET", "/candidates?pageSize=1&fields=email")
    assert listed.body["data"] == [{"id": record, "version": 1, "email": f"{name}@example.test"}]
    files_of = await client.call("GET", f"/attachments?candidateId={record}&type=cv")
    assert [(one["id"], one["type"]) for one in files_of.body["data"]] == [(attachment, "CV")]
    assert files_of.body["meta"]["total"] == 1

    assert (await stranger.call("GET", f"/candidates/find?email={name}@example.test")).body["data"] == []
    assert (await stranger.call("GET", f"/attachments?candidateId={record}")).status == 404

    await client.outcome(await client.write("PATCH", f"/candidates/{record}", {"email": f"new-{name}@example.test"}))
    assert (await client.call("GET", f"/candidates/find?email={name}@example.test")).body["data"] == []
    renamed = await client.call("GET", f"/candidates/find?email=new-{name}@example.test")
    assert [one["id"] for one in renamed.body["data"]] == [record]

    await client.outcome(await client.write("DELETE", f"/candidates/{record}", {}))
    assert (await client.call("GET", f"/candidates/find?email=new-{name}@example.test")).body["data"] == []
    left = await client.call("GET", "/candidates?pageSize=100&fields=id")
    assert record not in [one["id"] for one in left.body["data"]]
    assert (await client.call("GET", f"/attachments?candidateId={record}")).status == 404
