"""What the logs of a running stack must hold, and what must never be in them."""

import json
from pathlib import Path
from typing import Any

import pytest

from deploy.demo.samples import curriculum_vitae
from tests.e2e.client import Answer, Client, person
from tests.retry import eventually

SERVICES = ("ingest", "fetcher", "storage", "notifier")
SIGNED = "X-Amz-Signature=0123456789abcdef0123456789abcdef"


@pytest.fixture
def logs(stack: dict[str, Any]) -> Path:
    """Where each service has a file."""
    if not stack["logs"]:
        pytest.skip("the logs of this stack are not ours to read")
    return Path(stack["logs"])


def entries(logs: Path, service: str, mutation: str) -> list[dict[str, Any]]:
    """The JSON lines of a service that carry this mutation's id."""
    lines = (logs / f"{service}.log").read_text().splitlines()
    parsed = [json.loads(line) for line in lines if mutation in line]
    return [entry for entry in parsed if mutation in json.dumps(entry)]


def leaks(logs: Path, forbidden: list[str]) -> list[tuple[str, str]]:
    """(file, text) of everything forbidden that stands in a log."""
    texts = {log.name: log.read_text(errors="replace") for log in logs.glob("*.log")}
    return [(name, secret) for name, text in texts.items() for secret in forbidden if secret in text]


async def create_from_signed_urls(client: Client) -> Answer:
    """A candidate whose files come from signed URLs, one of which is absent; ended and downloaded."""
    client.site.origin.files["cv.pdf"] = curriculum_vitae()
    created = await client.write(
        "POST",
        "/candidates",
        person(
            curriculumVitae=[{"filename": "cv.pdf", "url": f"{client.site.file_url('cv.pdf')}?{SIGNED}"}],
            otherAttachments=[{"filename": "absent.pdf", "url": f"{client.site.file_url('absent.pdf')}?{SIGNED}"}],
        ),
    )
    outcome = await client.outcome(created)
    await client.download(next(entry["id"] for entry in outcome["attachments"] if entry["status"] == "stored"))
    return created


async def test_a_mutation_is_followed_by_its_id_through_all_services(client: Client, logs: Path) -> None:
    created = await create_from_signed_urls(client)

    async def followed() -> None:
        silent = {name for name in SERVICES if not entries(logs, name, created.mutation["mutationId"])}
        assert silent == set(), "logged nothing of the mutation"

    await eventually(followed)


async def test_no_key_secret_or_signed_url_is_logged(client: Client, logs: Path) -> None:
    created = await create_from_signed_urls(client)
    await client.call("POST", "/candidates", person(callbackUrl="http://[", curriculumVitae=[]))
    await client.call("GET", f"/candidates/{created.mutation['record']['id']}", x_api_key=client.key + "x")
    forbidden = [
        client.key,
        client.key.split("_", 2)[2],
        client.secret,
        client.handle["s3"]["secretKey"],
        "X-Amz-Signature",
        client.site.file_url("cv.pdf"),
        client.callback_url,
    ]
    assert leaks(logs, forbidden) == []
    assert leaks(logs, [created.mutation["mutationId"]]), "nothing was logged at all: the test shows nothing"
