"""The whole road through real processes: what a client sends is what it gets back, and the callback says so."""

import secrets

from deploy.demo.samples import UNIQUE_BYTES, curriculum_vitae, padded_pdf, photograph
from shared.limits import URL_FILE_BYTES
from tests.e2e.client import Client, Json, digest, inline, person
from tests.retry import eventually


async def test_files_sent_by_url_and_base64_come_back_equal_until_removed(client: Client) -> None:
    cv, photo = curriculum_vitae(), photograph()
    client.site.origin.files["cv.pdf"] = cv
    created = await client.write(
        "POST",
        "/candidates",
        person(
            curriculumVitae=[{"filename": "cv.pdf", "url": client.site.file_url("cv.pdf")}],
            otherAttachments=[inline("photo.png", photo, "image/png")],
        ),
    )
    candidate = created.mutation["record"]["id"]
    ids = {entry["filename"]: entry["id"] for entry in created.mutation["attachments"]}

    outcome = await client.outcome(created)
    assert outcome["status"] == "completed"
    assert outcome["record"] == {"type": "candidate", "id": candidate, "version": 1}
    stored = {entry["id"]: (entry["status"], entry["contentType"], entry["sha256"]) for entry in outcome["attachments"]}
    assert stored == {
        ids["cv.pdf"]: ("stored", "application/pdf", digest(cv)),
        ids["photo.png"]: ("stored", "image/png", digest(photo)),
    }
    read = await client.call("GET", f"/candidates/{candidate}")
    assert read.body["data"]["email"] == "test.person@example.test"
    for name, content in {"cv.pdf": cv, "photo.png": photo}.items():
        downloaded, headers = await client.download(ids[name])
        assert downloaded == content
        assert headers["content-disposition"].startswith("attachment")

    removed = await client.write(
        "DELETE", f"/candidates/{candidate}/attachments", {"attachmentIds": [ids["photo.png"]]}
    )
    outcome = await client.outcome(removed)
    assert (outcome["status"], outcome["sequence"]) == ("completed", 2)
    assert outcome["removed"] == {"attachments": 1, "objects": 1, "bytes": len(photo)}
    assert (await client.call("GET", f"/attachments/{ids['photo.png']}")).status == 404
    left = await client.call("GET", f"/candidates/{candidate}/attachments")
    assert [entry["id"] for entry in left.body["data"]] == [ids["cv.pdf"]]


async def test_sandbox_and_live_do_not_see_each_other(client: Client) -> None:
    photo = photograph()
    body = person(otherAttachments=[inline("photo.png", photo, "image/png")])
    by_header = await client.write("POST", "/candidates", body, x_api_sandbox="true")
    by_prefix = await client.write("POST", "/sandbox/candidates", body)
    for created in (by_header, by_prefix):
        assert created.body["meta"] == {"sandboxEnabled": True}
        await client.outcome(created)
        (_, callback), *_ = client.callbacks()[created.mutation["mutationId"]]
        assert callback["meta"] == {"sandboxEnabled": True}
        path = f"/candidates/{created.mutation['record']['id']}"
        assert (await client.call("GET", path)).status == 404
        assert (await client.call("GET", path, x_api_sandbox="true")).status == 200
        attachment = created.mutation["attachments"][0]["id"]
        assert (await client.call("GET", f"/attachments/{attachment}")).status == 404
        assert (await client.download(attachment, "/sandbox"))[0] == photo


async def test_another_tenant_finds_nothing(client: Client, stranger: Client) -> None:
    created = await client.write("POST", "/candidates", person(otherAttachments=[inline("a.txt", b"a", "text/plain")]))
    await client.outcome(created)
    candidate, attachment = created.mutation["record"]["id"], created.mutation["attachments"][0]["id"]
    key = created.body["data"]["idempotencyKey"]
    for path in (f"/candidates/{candidate}", f"/attachments/{attachment}", f"/mutations/{key}"):
        assert (await client.call("GET", path)).status == 200
        assert (await stranger.call("GET", path)).status == 404
    for method, body in (
        ("DELETE", {"attachmentIds": [attachment]}),
        ("POST", {"otherAttachments": [inline("b.txt", b"b", "text/plain")]}),
    ):
        assert (await stranger.call(method, f"/candidates/{candidate}/attachments", body)).status == 404


async def test_same_key_and_payload_is_replayed_and_done_once(client: Client) -> None:
    body = person(
        idempotencyKey=f"replay-{secrets.token_hex(8)}", otherAttachments=[inline("a.txt", b"a", "text/plain")]
    )
    first = await client.write("POST", "/candidates", body)
    again = await client.write("POST", "/candidates", body)
    await client.outcome(first)
    late = await client.write("POST", "/candidates", body)
    assert first.headers.get("idempotency-replayed") is None
    for replayed in (again, late):
        assert replayed.headers["idempotency-replayed"] == "true"
        assert replayed.body == first.body

    other = await client.call("POST", "/candidates", body | {"callbackUrl": client.callback_url, "lastName": "Other"})
    assert (other.status, other.body["type"].rpartition(":")[2]) == (422, "idempotency_key_reused")
    listed = await client.call("GET", f"/candidates/{first.mutation['record']['id']}/attachments")
    assert len(listed.body["data"]) == 1


async def test_array_of_ten_is_ten_mutations_under_one_key(client: Client) -> None:
    key = f"array-{secrets.token_hex(8)}"
    candidates = [person(otherAttachments=[inline(f"{n}.txt", b"%d" % n, "text/plain")]) for n in range(1, 11)]
    accepted = await client.write("POST", "/candidates", {"candidates": candidates, "idempotencyKey": key})
    assert [entry["idempotencyKey"] for entry in accepted.mutations] == [f"{key}#{n}" for n in range(1, 11)]

    outcomes = await client.outcomes(entry["mutationId"] for entry in accepted.mutations)
    assert {outcome["status"] for outcome in outcomes.values()} == {"completed"}
    for n, entry in enumerate(accepted.mutations, start=1):
        assert (await client.download(entry["attachments"][0]["id"]))[0] == b"%d" % n
    head = await client.call("GET", f"/mutations/{key}")
    assert [member["status"] for member in head.body["data"]["members"]] == ["completed"] * 10
    assert (await client.call("GET", f"/mutations/{key}%2310")).body["data"]["status"] == "completed"


async def test_append_to_a_candidate_on_its_way_waits_for_its_turn(client: Client) -> None:
    cv, note = curriculum_vitae(), b"A note about a test person."
    client.site.origin.files["cv.pdf"] = cv
    client.site.origin.gate.clear()
    created = await client.write(
        "POST", "/candidates", person(curriculumVitae=[{"filename": "cv.pdf", "url": client.site.file_url("cv.pdf")}])
    )
    candidate = created.mutation["record"]["id"]
    appended = await client.write(
        "POST", f"/candidates/{candidate}/attachments", {"otherAttachments": [inline("note.txt", note, "text/plain")]}
    )

    async def asked_for() -> None:
        assert client.site.origin.requests["cv.pdf"] > 0

    await eventually(asked_for)
    waiting = await client.call("GET", f"/mutations/{appended.body['data']['idempotencyKey']}")
    assert waiting.body["data"]["status"] == "accepted"

    client.site.origin.gate.set()
    first, second = await client.outcome(created), await client.outcome(appended)
    assert [(one["status"], one["sequence"]) for one in (first, second)] == [("completed", 1), ("completed", 2)]
    listed = await client.call("GET", f"/candidates/{candidate}/attachments")
    assert {entry["sha256"] for entry in listed.body["data"]} == {digest(cv), digest(note)}


async def test_each_bad_file_has_its_own_reason_and_the_good_one_is_stored(client: Client) -> None:
    head, tail = padded_pdf(URL_FILE_BYTES + 1)
    client.site.origin.files |= {
        "good.pdf": curriculum_vitae(),
        "picture.pdf": photograph(),
        "large.pdf": head + b"-" * UNIQUE_BYTES + tail,
    }
    names = ("good.pdf", "picture.pdf", "large.pdf", "absent.pdf")
    files = [{"filename": name, "url": client.site.file_url(name)} for name in names]
    created = await client.write("POST", "/candidates", person(otherAttachments=files))
    outcome = await client.outcome(created)
    assert outcome["status"] == "partially_completed"
    assert _states(outcome) == {
        "good.pdf": ("stored", None),
        "picture.pdf": ("failed", "content_type_mismatch"),
        "large.pdf": ("failed", "too_large"),
        "absent.pdf": ("failed", "source_not_found"),
    }

    candidate = created.mutation["record"]["id"]
    appended = await client.write("POST", f"/candidates/{candidate}/attachments", {"otherAttachments": files[1:]})
    outcome = await client.outcome(appended)
    assert (outcome["status"], outcome["error"]["code"]) == ("failed", "no_file_stored")
    listed = await client.call("GET", f"/candidates/{candidate}/attachments")
    assert [entry["filename"] for entry in listed.body["data"]] == ["good.pdf"]


async def test_file_of_exactly_the_limit_is_stored(client: Client) -> None:
    head, tail = padded_pdf(URL_FILE_BYTES)
    content = client.site.origin.files["largest.pdf"] = head + b"-" * UNIQUE_BYTES + tail
    created = await client.write(
        "POST",
        "/candidates",
        person(curriculumVitae=[{"filename": "largest.pdf", "url": client.site.file_url("largest.pdf")}]),
    )
    outcome = await client.outcome(created)
    assert [entry["sha256"] for entry in outcome["attachments"]] == [digest(content)]


def _states(outcome: Json) -> dict[str, tuple[str, str | None]]:
    return {
        entry["filename"]: (entry["status"], entry["error"]["code"] if entry["error"] else None)
        for entry in outcome["attachments"]
    }
