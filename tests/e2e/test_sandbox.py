"""The sandbox through real processes: rehearsed outcomes, and a reset that takes nothing of anybody else."""

import secrets

from deploy.demo.samples import photograph
from shared.blobs import open_blobs
from tests.e2e.client import Client, inline, person
from tests.e2e.stores import settings_of
from tests.retry import eventually


async def reset(client: Client) -> None:
    """Ask for a reset and wait for its end."""
    asked = await client.call("POST", "/sandbox/reset")
    assert (asked.status, asked.body["meta"]) == (202, {"sandboxEnabled": True})

    async def done() -> None:
        latest = await client.call("GET", "/sandbox/reset")
        assert latest.body["data"]["requestedAt"] == asked.body["data"]["requestedAt"]
        assert latest.body["data"]["completedAt"] is not None

    await eventually(done, 30.0)


async def objects(client: Client, prefix: str) -> list[str]:
    async with open_blobs(settings_of(client.handle)) as blobs:
        return [key async for key, _size, _modified in blobs.list(prefix)]


async def test_magic_names_rehearse_outcomes_without_anybody_being_asked(client: Client) -> None:
    files = [
        {"filename": "outcome-source_not_found.pdf", "url": client.site.file_url("outcome-source_not_found.pdf")},
        inline("outcome-unsafe_content.pdf", b"no PDF at all", "application/pdf"),
    ]
    created = await client.write(
        "POST", "/sandbox/candidates", person(otherAttachments=[*files, inline("note.txt", b"a note", "text/plain")])
    )
    outcome = await client.outcome(created)
    assert outcome["status"] == "partially_completed"
    assert {each["filename"]: each["error"] and each["error"]["code"] for each in outcome["attachments"]} == {
        "outcome-source_not_found.pdf": "source_not_found",
        "outcome-unsafe_content.pdf": "unsafe_content",
        "note.txt": None,
    }
    [(_, callback)] = client.callbacks()[created.mutation["mutationId"]]
    assert callback["meta"] == {"sandboxEnabled": True}

    candidate = created.mutation["record"]["id"]
    appended = await client.write("POST", f"/sandbox/candidates/{candidate}/attachments", {"otherAttachments": files})
    outcome = await client.outcome(appended)
    assert (outcome["status"], outcome["error"]["code"]) == ("failed", "no_file_stored")
    assert client.site.origin.requests["outcome-source_not_found.pdf"] == 0


async def test_a_reset_empties_the_callers_sandbox_and_nothing_else(client: Client, stranger: Client) -> None:
    photo, key = photograph(), f"reset-{secrets.token_hex(8)}"
    body = person(otherAttachments=[inline("photo.png", photo, "image/png")])
    mine = await client.write("POST", "/sandbox/candidates", body | {"idempotencyKey": key})
    live = await client.write("POST", "/candidates", body | {"idempotencyKey": key})
    theirs = await stranger.write("POST", "/sandbox/candidates", body | {"idempotencyKey": key})
    for who, answer in ((client, mine), (client, live), (stranger, theirs)):
        assert (await who.outcome(answer))["status"] == "completed"
    attachment = mine.mutation["attachments"][0]["id"]
    client.site.origin.gate.clear()  # its download ends after the reset
    stuck = await client.write(
        "POST", "/sandbox/candidates", person(otherAttachments=[{"filename": "a", "url": client.site.file_url("a")}])
    )

    await reset(client)

    client.site.origin.gate.set()
    outcome = await client.outcome(stuck)
    assert (outcome["status"], outcome["error"]["code"]) == ("failed", "sandbox_reset")
    candidate = mine.mutation["record"]["id"]
    for path in (f"/candidates/{candidate}", f"/attachments/{attachment}", f"/mutations/{key}"):
        assert (await client.call("GET", f"/sandbox{path}")).status == 404
    assert not await objects(client, f"records/sandbox/demo/{attachment}/")
    assert (await client.call("GET", f"/mutations/{key}")).status == 200
    assert (await client.download(live.mutation["attachments"][0]["id"]))[0] == photo
    assert (await stranger.download(theirs.mutation["attachments"][0]["id"], "/sandbox"))[0] == photo

    again = await client.write("POST", "/sandbox/candidates", person(lastName="Other", idempotencyKey=key))
    assert again.mutation["record"]["id"] != candidate
    assert (await client.outcome(again))["status"] == "completed"
