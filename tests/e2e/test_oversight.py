"""What went wrong is found by any id, is told in plain words, and can be mended by whoever has an admin key."""

import secrets
from datetime import datetime
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from services.ingest.api import schemas_oversight, schemas_repairs
from shared import topics
from tests.e2e.client import Client, Json, inline, person
from tests.e2e.upstream import command, open_upstream
from tests.retry import eventually

pytestmark = pytest.mark.any_broker
LETTERS = topics.dead_letter(topics.ACCEPTED)


async def asked(client: Client, method: str, path: str, model: Any, body: Json | None = None) -> Json:
    """`data` of an administrator's answer, which is as described."""
    answer = await client.call(method, f"/admin{path}", body, x_api_key=client.handle["admin"]["apiKey"])
    assert answer.status == 200, answer.body
    model.model_validate(answer.body)
    data: Json = answer.body["data"]
    return data


async def whole(client: Client, mutation: str) -> Json:
    """An ended mutation whose callback was attempted twice, so that the next attempt is minutes away."""

    async def told() -> Json:
        found = await asked(client, "GET", f"/mutations/live/{mutation}", schemas_oversight.TimelineAnswer)
        assert found["mutation"]["endedAt"] is not None
        attempts = [attempt for delivery in found["deliveries"] for attempt in delivery["attempts"]]
        assert len(attempts) > 1
        return found

    return await eventually(told, 60)


async def unlucky(client: Client, key: str) -> Json:
    """A mutation with a file that is not there, one that is, and a callback that nobody takes."""
    nobody = f"http://127.0.0.1:9/{secrets.token_hex(4)}?token=secret"
    files = [{"filename": "gone.pdf", "url": f"{client.site.url}/none.pdf?token=secret"}]
    files.append(inline("note.txt", b"here it is", "text/plain"))
    body = person(otherAttachments=files, callbackUrl=nobody)
    answer = await client.call("POST", "/candidates", body, idempotency_key=key)
    assert answer.status == 202, answer.body
    return answer.mutation


async def test_a_failed_file_is_found_by_every_id_and_told_step_by_step(client: Client) -> None:
    key = f"oversight-{secrets.token_hex(6)}"
    mutation = await unlucky(client, key)
    found = await whole(client, mutation["mutationId"])
    ids = [one["id"] for one in (mutation["record"], *mutation["attachments"])]
    for sought in (mutation["mutationId"], key, *ids, found["deliveries"][0]["webhookId"]):
        rows = (await asked(client, "GET", f"/search?q={sought}", schemas_oversight.SearchAnswer))["mutations"]
        assert [(row["mutationId"], row["environment"]) for row in rows] == [(mutation["mutationId"], "live")], sought

    way = found["steps"]
    names = [step["name"] for step in way]
    assert names[:6] == ["request", "accepted", "published", "fetched", "decided", "ended"]
    assert set(names[6:]) == {"callback"}
    assert all(step["state"] == "done" for step in way[:8]), way
    times = [(datetime.fromisoformat(step["from"]), datetime.fromisoformat(step["to"])) for step in way[:6]]
    assert all(began <= ended for began, ended in times), way
    assert [began for began, _ in times[1:]] == [ended for _, ended in times[:-1]]
    assert (way[-1]["state"], way[-1]["to"]) == ("now", None)  # the next attempt is due

    gone, note = found["files"]
    assert (gone["state"], gone["code"], gone["source"]) == ("failed", "source_not_found", client.site.url)
    assert gone["reason"]
    assert gone["advice"]
    assert (note["state"], note["source"], note["bytes"]) == ("stored", "inline", 10)
    assert "secret" not in str(found)


async def test_a_callback_that_failed_is_listed_and_sent_again(client: Client) -> None:
    mutation = (await unlucky(client, f"oversight-{secrets.token_hex(6)}"))["mutationId"]
    [delivery] = (await whole(client, mutation))["deliveries"]
    assert (delivery["state"], delivery["receiver"]) == ("open", "127.0.0.1:9")
    assert delivery["attempts"][0]["error"] == "unreachable"
    path = "/deliveries?state=open&tenant=demo&limit=100"
    listed = (await asked(client, "GET", path, schemas_repairs.DeliveriesAnswer))["deliveries"]
    assert mutation in [one["mutationId"] for one in listed]
    again = {"environment": "live", "webhookIds": [delivery["webhookId"]]}
    for dry_run in (True, False):
        sent = again | {"dryRun": dry_run}
        done = await asked(client, "POST", "/deliveries/resend", schemas_repairs.CountAnswer, sent)
        assert done == {"count": 1, "dryRun": dry_run}

    async def tried_once_more() -> None:
        found = await whole(client, mutation)
        assert len(found["deliveries"][0]["attempts"]) == len(delivery["attempts"]) + 1

    await eventually(tried_once_more, 30)


async def test_a_poison_record_is_a_dead_letter_and_is_replayed_as_it_came(client: Client) -> None:
    poison = secrets.token_hex(12).encode()
    producer = AIOKafkaProducer(bootstrap_servers=client.handle["kafka"], acks="all")
    await producer.start()
    try:
        await producer.send_and_wait(topics.ACCEPTED, poison, b"some/key", headers=[("own", b"kept")])
    finally:
        await producer.stop()

    async def letters() -> list[Json]:
        found = await asked(client, "GET", f"/dead-letters/{LETTERS}?limit=100", schemas_repairs.LettersAnswer)
        return [one for one in found["letters"] if one["excerpt"] == poison.decode()]

    async def listed(count: int) -> list[Json]:
        found = await letters()
        assert len(found) == count
        return found

    [letter] = await eventually(lambda: listed(1), 60)
    assert (letter["sourceTopic"], letter["key"], letter["bytes"]) == (topics.ACCEPTED, "some/key", len(poison))
    found = await asked(client, "GET", "/dead-letters", schemas_repairs.LetterTopicsAnswer)
    [topic] = [one for one in found["topics"] if one["topic"] == LETTERS]
    assert letter["reason"] in [group["reason"] for group in topic["groups"]]

    here = {"offsets": [[letter["partition"], letter["offset"]]]}
    replayed = {"count": 1, "target": topics.ACCEPTED, "complete": True, "next": []}
    for dry_run, count in ((True, 1), (False, 2)):
        path, sent = f"/dead-letters/{LETTERS}/replay", here | {"dryRun": dry_run}
        done = await asked(client, "POST", path, schemas_repairs.ReplayAnswer, sent)
        assert done == replayed | {"dryRun": dry_run}
        again = await eventually(lambda count=count: listed(count), 60)  # type: ignore[misc]
    assert {one["key"] for one in again} == {"some/key"}


@pytest.mark.parametrize(
    "topic",
    ["nix", "mutations.completed", "mutations.commands.acme", "x%20y", "none.dlq", "mutations.commands.nobody.dlq"],
)
async def test_a_mistyped_dead_letter_topic_is_not_found(client: Client, topic: str) -> None:
    key = client.handle["admin"]["apiKey"]
    for method, path, body in (("GET", topic, None), ("POST", f"{topic}/replay", {"dryRun": True})):
        answer = await client.call(method, f"/admin/dead-letters/{path}", body, x_api_key=key)
        problem = answer.body["type"].rpartition(":")[2]
        assert (answer.status, problem) == (404, "not_found"), answer.body
        assert answer.headers["x-request-id"]


async def test_the_oldest_mutation_under_way_is_named(client: Client) -> None:
    client.site.origin.gate.clear()
    try:
        files = [{"filename": "late.pdf", "url": client.site.file_url("late.pdf")}]
        sent = await client.write("POST", "/candidates", person(otherAttachments=files))

        async def named() -> None:
            state = await asked(client, "GET", "/state", schemas_oversight.StateAnswer)
            assert (sent.mutation["mutationId"], "working") in [
                (one["mutationId"], one["lane"]) for one in state["oldest"]
            ]

        await eventually(named, 30)
    finally:
        client.site.origin.gate.set()


async def test_a_rejected_command_is_found_by_its_id_and_its_letter_says_why(client: Client) -> None:
    async with open_upstream(client.handle) as upstream:
        sent = command(payload={"firstName": 1})
        await upstream.send(sent)
        rejected = (await upstream.outcome(sent["idempotencyKey"]))["mutationId"]
    [row] = (await asked(client, "GET", f"/search?q={rejected}", schemas_oversight.SearchAnswer))["mutations"]
    assert (row["status"], row["idempotencyKey"]) == ("rejected", sent["idempotencyKey"])
    found = await asked(client, "GET", f"/mutations/live/{rejected}", schemas_oversight.TimelineAnswer)
    assert found["mutation"]["error"]["code"] == "validation_failed"
    topic = topics.dead_letter(topics.commands("demo"))

    async def lies_there() -> None:
        listed = await asked(client, "GET", f"/dead-letters/{topic}?limit=100", schemas_repairs.LettersAnswer)
        assert any(sent["idempotencyKey"] in one["excerpt"] for one in listed["letters"])

    await eventually(lies_there, 30)


async def test_the_state_names_every_group_of_the_pipeline(client: Client) -> None:
    async def known() -> Json:
        found = await asked(client, "GET", "/state", schemas_oversight.StateAnswer)
        assert found["away"] == []
        assert {one["topic"] for one in found["lag"]} >= set(topics.READERS)
        return found

    found = await eventually(known, 30)
    assert all(one["lag"] == max(one["end"] - one["committed"], 0) for one in found["lag"])
    async with client.session.get(
        f"{client.handle['http']}/admin/state/events", headers={"x-api-key": client.handle["admin"]["apiKey"]}
    ) as stream:
        assert stream.content_type == "text/event-stream"
        told = [await stream.content.readuntil(b"\n\n") for _ in range(3)]
    assert [one.partition(b"\n")[0] for one in told] == [b"retry: 1000", b"event: state", b"event: state"]
