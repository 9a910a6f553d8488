"""Labelled files on the whole road: by base64, by URL and as uploads each ends as its label says, byte for byte."""

from collections.abc import Sequence

from shared.content.media_types import claims
from shared.filenames import content_disposition, safe_name
from shared.limits import ACCEPTED_TYPES, FILES_PER_UPLOAD, KIB, RECORDS_PER_REQUEST, TEMPORARY_TYPES
from tests.corpus_fakes import FAKES
from tests.corpus_samples import SAMPLES, UPLOADS, Sample
from tests.corpus_variants import UPLOAD_VARIANTS, VARIANTS
from tests.e2e.client import Client, Json, digest, inline, person
from tests.forms import FORM_TYPE, form

A_FIELD = 5
UNKNOWN = "application/octet-stream"
HOSTILE_NAMES = [
    "../../etc/passwd.txt", "C:\\Windows\\cv.txt", "cv\u202etxt.exe.txt", "nul.txt", "\u200b\u2066cv\u2069.txt",
    'a"b;c=d\r\nX-Evil: 1.txt', "\uff0e\uff0e\uff0fcv.txt", "Müller 履歴書 😀.txt", "x" * 300 + "😀.txt", "50%.txt",
]  # fmt: skip


def representative(samples: Sequence[Sample]) -> list[Sample]:
    """The first of each name, declared type and label; no large ones, and none without a byte."""
    chosen = {(one.name, one.declared, one.label): one for one in reversed(samples) if 0 < len(one.content) <= 32 * KIB}
    return list(chosen.values())


def outcomes_of(samples: Sequence[Sample]) -> list[tuple[str, str, str | None]]:
    """(name, type or code, SHA-256 where it is stored)."""
    labels = [(one, *one.label.partition(" ")[::2]) for one in samples]
    return [(one.name, label, digest(one.content) if match else None) for one, label, match in labels]


async def written(client: Client, files: Sequence[Json]) -> list[tuple[str, str, str | None]]:
    """What became of the files, in their order."""
    pieces = [files[at : at + 2 * A_FIELD] for at in range(0, len(files), 2 * A_FIELD)]
    people = [person(curriculumVitae=piece[:A_FIELD], otherAttachments=piece[A_FIELD:]) for piece in pieces]
    found = []
    for at in range(0, len(people), RECORDS_PER_REQUEST):
        sent = [
            {name: value for name, value in one.items() if value != []} for one in people[at : at + RECORDS_PER_REQUEST]
        ]
        accepted = await client.write("POST", "/candidates", {"candidates": sent})
        outcomes = await client.outcomes(entry["mutationId"] for entry in accepted.mutations)
        for entry in accepted.mutations:
            by_id = {file["id"]: file for file in outcomes[entry["mutationId"]]["attachments"]}
            found += [by_id[file["id"]] for file in entry["attachments"]]
    for file in found[:: len(found) // 10]:
        if file["status"] == "stored":
            content, headers = await client.download(file["id"])
            assert (digest(content), headers["content-type"]) == (file["sha256"], file["contentType"])
            assert headers["content-disposition"].startswith("attachment")
    return [
        (file["filename"], file["error"]["code"] if file["error"] else file["contentType"], file["sha256"])
        for file in found
    ]


async def refusal(client: Client, one: Sample) -> str:
    """The code with which a temporary upload is refused."""
    url, headers = (
        f"{client.handle['http']}/attachments/temporary",
        {"x-api-key": client.key, "content-type": FORM_TYPE},
    )
    async with client.session.post(url, data=form((one.name, one.content)), headers=headers) as answer:
        assert answer.status == 422
        return str((await answer.json())["errors"][0]["code"])


async def test_files_sent_as_base64_end_as_labelled(client: Client) -> None:
    samples = [one for one in representative([*FAKES, *SAMPLES, *VARIANTS]) if one.declared in ACCEPTED_TYPES]
    assert len(samples) >= 75
    files = [inline(one.name, one.content, str(one.declared)) for one in samples]
    assert await written(client, files) == outcomes_of(samples)


async def test_files_behind_urls_end_as_labelled(client: Client) -> None:
    # Their origin declares no type, so those are left out of which the label hangs on one.
    samples = [
        one
        for one in representative([*FAKES, *SAMPLES, *VARIANTS])
        if set(claims(*one[:2])) == set(claims(one.name, None))
    ]
    assert len(samples) >= 75
    files = []
    for number, one in enumerate(samples):
        client.site.origin.files[str(number)] = one.content
        files.append({"filename": one.name, "url": client.site.file_url(str(number))})
    assert await written(client, files) == outcomes_of(samples)


async def test_uploads_end_as_labelled(client: Client) -> None:
    samples = representative([*UPLOADS, *UPLOAD_VARIANTS])
    taken = [one for one in samples if one.label in TEMPORARY_TYPES]
    assert len(taken) >= 12
    for at in range(0, len(taken), FILES_PER_UPLOAD):
        piece = taken[at : at + FILES_PER_UPLOAD]
        uploaded = await client.upload(*((one.name, one.content, UNKNOWN) for one in piece))
        for one, document in zip(piece, uploaded, strict=True):
            content, headers = await client.download(document["attachmentId"])
            assert (digest(content), headers["content-type"]) == (digest(one.content), one.label)
    for one in samples:
        if one not in taken:
            assert await refusal(client, one) == one.label, one.name


async def test_hostile_names_become_harmless_and_lead_downloads_nowhere(client: Client) -> None:
    files = [inline(name, b"%d" % number, "text/plain") for number, name in enumerate(HOSTILE_NAMES)]
    created = await client.write("POST", "/candidates", person(curriculumVitae=files[:5], otherAttachments=files[5:]))
    outcome = await client.outcome(created)
    assert [file["filename"] for file in outcome["attachments"]] == [safe_name(name) for name in HOSTILE_NAMES]
    for file in outcome["attachments"]:
        _, headers = await client.download(file["id"])
        assert headers["content-disposition"] == content_disposition(file["filename"])
