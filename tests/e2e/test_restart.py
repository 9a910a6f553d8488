"""The whole stack goes away with work in hand, by order or by SIGKILL, and comes back on the same state."""

import os
import signal
from pathlib import Path

import pytest

from deploy.demo.samples import curriculum_vitae
from deploy.stack import EmbeddedStack
from tests.e2e.client import Answer, Client, inline, open_client, person
from tests.retry import eventually
from tests.stacks import PATIENT

CANDIDATES = 20


async def open_mutations(client: Client) -> list[Answer]:
    """Creates whose download does not end, and appends that wait behind them."""
    client.site.origin.files["cv.pdf"] = curriculum_vitae()
    client.site.origin.gate.clear()
    source = {"filename": "cv.pdf", "url": client.site.file_url("cv.pdf")}
    creates = [await client.write("POST", "/candidates", person(curriculumVitae=[source])) for _ in range(CANDIDATES)]
    appends = [
        await client.write(
            "POST",
            f"/candidates/{create.mutation['record']['id']}/attachments",
            {"otherAttachments": [inline("note.txt", b"A note.", "text/plain")]},
        )
        for create in creates
    ]

    async def downloading() -> None:
        assert client.site.origin.requests["cv.pdf"] > 0

    await eventually(downloading)
    return creates + appends


@pytest.mark.timeout(600)
@pytest.mark.parametrize("way", ["stopped", "killed"])
async def test_open_mutations_survive_a_restart_of_everything(tmp_path: Path, way: str) -> None:
    first = EmbeddedStack(tmp_path, env=PATIENT)
    first.start()
    try:
        async with open_client(first.handle) as client:
            waiting = await open_mutations(client)
            if way == "killed":
                os.kill(first.pid, signal.SIGKILL)
            first.stop()
            assert not client.callbacks()
            client.site.origin.gate.set()

            with EmbeddedStack(tmp_path, env=PATIENT) as second:
                client.handle = second.handle
                outcomes = await client.outcomes((one.mutation["mutationId"] for one in waiting), seconds=120)
                assert {outcome["status"] for outcome in outcomes.values()} == {"completed"}
                for create in waiting[:CANDIDATES]:
                    path = f"/candidates/{create.mutation['record']['id']}/attachments"
                    names = {entry["filename"] for entry in (await client.call("GET", path)).body["data"]}
                    assert names == {"cv.pdf", "note.txt"}
    finally:
        first.stop()
