"""One idempotency key from many clients at once: one mutation, one object, one answer; anything else is refused."""

import asyncio
import secrets

import pytest

from tests.e2e.client import Client, digest, inline, person
from tests.e2e.stores import documents_of, objects_of

pytestmark = pytest.mark.any_broker

CLIENTS = 50
REPEATS = 200
OTHER_EVERY = 10  # repeats between two requests with another body under the key


@pytest.mark.timeout(300)
async def test_repetitions_of_a_key_are_one_mutation_and_another_body_is_always_refused(client: Client) -> None:
    key, content = secrets.token_hex(8), secrets.token_bytes(500).hex().encode()
    body = person(
        idempotencyKey=key, callbackUrl=client.callback_url, otherAttachments=[inline("a.txt", content, "text/plain")]
    )
    answers: list[str] = []
    refusals: set[tuple[int, str]] = set()

    async def repeat(number: int) -> None:
        for n in range(REPEATS):
            answer = await client.patient("POST", "/candidates", body)
            assert answer.status == 202, answer.body
            answers.append(str(answer.body))
            if n % OTHER_EVERY == 0:
                other = await client.patient("POST", "/candidates", body | {"lastName": f"{number}-{n}"})
                refusals.add((other.status, other.body["errors"][0]["code"]))

    await asyncio.gather(*(repeat(number) for number in range(CLIENTS)))
    assert (len(answers), len(set(answers))) == (CLIENTS * REPEATS, 1)
    assert refusals == {(422, "idempotency_key_reused")}

    again = await client.patient("POST", "/candidates", body)
    outcome = await client.outcome(again)
    assert outcome["status"] == "completed"
    expected = {again.mutation["attachments"][0]["id"]: [digest(content)]}
    assert await objects_of(client.handle, client.tenant, expected) == expected
    assert await documents_of(client.handle, client.tenant, [again.mutation["record"]["id"]]) == expected
    assert len(client.callbacks()) == 1
