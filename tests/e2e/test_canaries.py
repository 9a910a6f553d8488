"""No secret and nothing of a person is in logs, metrics or refusals, and no key or secret in the database."""

import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.e2e.canaries import (
    Canaries,
    dumped,
    logged,
    measured,
    plant_in_commands,
    plant_in_writes,
    raw_refusals,
    refusals,
    told,
)  # fmt: skip
from tests.e2e.client import Client
from tests.e2e.upstream import Upstream, open_upstream

PERSONAL_ON_PURPOSE = "engine_live.records"


@pytest.fixture
async def upstream(stack: dict[str, Any]) -> AsyncIterator[Upstream]:
    async with open_upstream(stack) as opened:
        yield opened


@pytest.fixture
def canaries(stack: dict[str, Any]) -> Canaries:
    if not stack["logs"]:
        pytest.skip("the logs of this stack are not ours to read")
    return Canaries()


def credentials(handle: dict[str, Any]) -> list[str]:
    """All keys and secrets of the stack: whole, and the part that is secret."""
    keys = [tenant["apiKey"] for tenant in handle["tenants"].values()] + [handle["admin"]["apiKey"]]
    signing = [tenant["webhookSecret"].removeprefix("whsec_") for tenant in handle["tenants"].values()]
    raw = [repr(base64.b64decode(secret))[2:-1] for secret in signing]
    return [key.split("_", 2)[2] for key in keys] + signing + raw + [handle["s3"]["secretKey"]]


async def test_no_canary_comes_back_whatever_fails(client: Client, upstream: Upstream, canaries: Canaries) -> None:
    refused = await refusals(client, canaries)
    texts = {str(number): repr(answer.body) + repr(answer.headers) for number, answer in enumerate(refused)}
    raw = await raw_refusals(client.handle, canaries)
    texts |= {f"raw {number}": answer.decode("latin-1") for number, answer in enumerate(raw)}
    # A refusal names the path that was asked for, and nothing else of the request.
    paths = {place: text.replace(f"/candidates/{canaries.first}", "") for place, text in texts.items()}
    assert told(paths, canaries.words()) == []

    answers = await plant_in_writes(client, canaries)
    await plant_in_commands(upstream, canaries)
    forbidden = canaries.words() + credentials(client.handle)
    logs, metrics = logged(client.handle), await measured(client)
    assert told(logs, forbidden) == []
    assert told(metrics, forbidden) == []
    mutation = answers[0].mutation["mutationId"]
    assert told(logs, [mutation]), "nothing was logged at all: the test shows nothing"
    assert all("engine_" in text or "python_info" in text for text in metrics.values())


async def test_the_database_holds_no_key_and_no_secret_after_all_this(client: Client, canaries: Canaries) -> None:
    await plant_in_writes(client, canaries)
    await refusals(client, canaries)
    dump = await dumped(client.handle)
    assert told({PERSONAL_ON_PURPOSE: dump[PERSONAL_ON_PURPOSE]}, [canaries.mail]), "the dump shows nothing"
    assert told(dump, credentials(client.handle)) == []
    uses = [each["apiKey"].split("_", 2)[1] for each in client.handle["tenants"].values()]
    assert told(dump, uses), "public ids are there: this is where keys would be"
