"""URLs that lead to this machine are refused by a stack that does not allow loopback, and nothing ever knocks there."""

from collections import Counter
from pathlib import Path

import pytest

from deploy.stack import EmbeddedStack
from tests.e2e.client import Answer, Client, open_client, person
from tests.hostile_urls import HOSTILE
from tests.listeners import open_listeners
from tests.retry import eventually
from tests.stacks import PATIENT


async def ended(client: Client, answers: list[Answer]) -> None:
    """Wait for what was accepted, so that a late connection is seen, too."""
    for answer in answers:
        if answer.status != 202:
            continue
        key = answer.body["data"]["idempotencyKey"]

        async def over(key: str = key) -> None:
            view = await client.call("GET", f"/mutations/{key}")
            assert view.body["data"]["status"] not in {"accepted", "applying"}

        await eventually(over, seconds=90)


@pytest.mark.timeout(600)
async def test_hostile_urls_are_refused_and_nothing_is_dialled(tmp_path: Path) -> None:
    answers: dict[tuple[str, str], Answer] = {}
    async with (
        EmbeddedStack(tmp_path, env=PATIENT, allow_loopback=False) as stack,
        open_client(stack.handle) as client,
        open_listeners() as listeners,
    ):
        assert {port for _, port in listeners.bound} & {8080, 8443}, "no port to listen on: the test shows nothing"
        for url, *_ in HOSTILE:
            source = {"filename": "cv.pdf", "url": url}
            answers["url", url] = await client.call("POST", "/candidates", person(curriculumVitae=[source]))
            answers["callbackUrl", url] = await client.call("POST", "/candidates", person(callbackUrl=url))
        await ended(client, list(answers.values()))
        assert listeners.accepts == Counter()
    told = {place: (one.status, [error["code"] for error in one.body["errors"]]) for place, one in answers.items()}
    assert told == {(member, each.url): (422, [each.code]) for each in HOSTILE for member in ("url", "callbackUrl")}
