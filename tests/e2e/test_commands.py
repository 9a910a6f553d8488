"""The command topic through real processes: a command has the fate of the same request over HTTP."""

import secrets
from collections.abc import AsyncIterator
from typing import Any

import pytest

from deploy.demo.samples import curriculum_vitae
from shared import topics
from shared.ledger import CONTROL_DATABASE, open_client, open_database
from shared.limits import BASE64_FILE_BYTES, COMMAND_BYTES
from shared.settings import EngineSettings
from shared.tenant_registry import TenantRegistry
from shared.tenant_topics import KafkaTopics
from tests.e2e.client import Client, digest, inline, person
from tests.e2e.upstream import Upstream, command, open_upstream
from tests.factories import new_id


@pytest.fixture
async def upstream(stack: dict[str, Any]) -> AsyncIterator[Upstream]:
    """An upstream system of the tenant `demo`."""
    async with open_upstream(stack) as opened:
        yield opened


async def test_command_has_its_outcome_on_the_topic_and_as_callback(client: Client, upstream: Upstream) -> None:
    cv = curriculum_vitae()
    client.site.origin.files["cv.pdf"] = cv
    file = {"filename": "cv.pdf", "url": client.site.file_url("cv.pdf")}
    sent = command(payload=person(curriculumVitae=[file]), callbackUrl=client.callback_url)
    await upstream.send(sent)
    outcome = await upstream.outcome(sent["idempotencyKey"])
    assert (outcome["status"], outcome["kind"], outcome["sequence"]) == ("completed", "create", 1)
    assert [entry["sha256"] for entry in outcome["attachments"]] == [digest(cv)]
    called_back = await client.outcomes([outcome["mutationId"]])
    assert called_back[outcome["mutationId"]] == outcome
    read = await client.call("GET", f"/candidates/{outcome['record']['id']}")
    assert read.body["data"]["email"] == "test.person@example.test"

    note = inline("note.txt", b"A note about a test person.", "text/plain")
    more = command("append", recordId=outcome["record"]["id"], payload={"otherAttachments": [note]})
    await upstream.send(more)
    assert (await upstream.outcome(more["idempotencyKey"]))["sequence"] == 2


async def test_largest_base64_file_fits_into_a_command(client: Client, upstream: Upstream) -> None:
    content = b"x" * BASE64_FILE_BYTES
    sent = command(payload={"otherAttachments": [inline("large.txt", content, "text/plain")]})
    await upstream.send(sent)
    outcome = await upstream.outcome(sent["idempotencyKey"])
    assert [entry["sha256"] for entry in outcome["attachments"]] == [digest(content)]


async def test_rejected_command_is_told_everywhere_and_kept(client: Client, upstream: Upstream) -> None:
    sent = command(payload=person(email="nobody"), callbackUrl=client.callback_url)
    raw = await upstream.send(sent, traceparent=f"00-{'a' * 32}-{'b' * 16}-01".encode())
    outcome = await upstream.outcome(sent["idempotencyKey"])
    assert (outcome["status"], outcome["error"]["code"]) == ("rejected", "validation_failed")
    assert [error["field"] for error in outcome["error"]["errors"]] == ["/payload/email"]
    assert await client.outcomes([outcome["mutationId"]]) == {outcome["mutationId"]: outcome}
    headers = await upstream.dead_letter(raw)
    assert headers["dlq_topic"] == topics.commands("demo").encode()
    assert headers["dlq_reason"].startswith(b"validation_failed")
    view = (await client.call("GET", f"/mutations/{outcome['mutationId']}")).body["data"]
    assert (view["status"], view["idempotencyKey"]) == ("rejected", sent["idempotencyKey"])
    assert view["error"] == outcome["error"]
    assert (await client.call("GET", f"/mutations/{sent['idempotencyKey']}")).status == 404

    # The key is still free: mended, the command is accepted under it.
    await upstream.send(sent | {"payload": person()})
    assert len(await upstream.outcomes_of(sent["idempotencyKey"], 2)) == 2
    view = (await client.call("GET", f"/mutations/{sent['idempotencyKey']}")).body["data"]
    assert view["status"] == "completed"


async def test_bytes_that_are_no_command_are_rejected_and_hold_nobody_up(client: Client, upstream: Upstream) -> None:
    raw = await upstream.send(secrets.token_hex(8).encode())
    sent = command(payload=person())
    await upstream.send(sent)
    assert (await upstream.outcome(sent["idempotencyKey"]))["status"] == "completed"
    assert (await upstream.dead_letter(raw))["dlq_reason"].startswith(b"malformed_json")
    assert "malformed_json" in {one["error"]["code"] for one in await upstream.outcomes_of(None)}


async def test_largest_record_is_kept_as_dead_letter(upstream: Upstream) -> None:
    raw = await upstream.send(b'"' + secrets.token_hex(8).encode().ljust(COMMAND_BYTES - 200, b"x") + b'"')
    assert (await upstream.dead_letter(raw))["dlq_reason"].startswith(b"validation_failed")


async def test_redelivered_bytes_change_nothing(client: Client, upstream: Upstream) -> None:
    good, bad = command(payload=person()), command(payload={})
    for _ in range(3):
        await upstream.send(good)
        await upstream.send(bad)
    last = command(payload=person())
    await upstream.send(last)
    for sent, status in ((good, "completed"), (bad, "rejected"), (last, "completed")):
        outcomes = await upstream.outcomes_of(sent["idempotencyKey"])
        assert {outcome["status"] for outcome in outcomes} == {status}
        assert len({outcome["mutationId"] for outcome in outcomes}) == 1


async def test_one_key_is_one_request_through_both_doors(client: Client, upstream: Upstream) -> None:
    key, body = f"both-{secrets.token_hex(8)}", person()
    created = await client.call("POST", "/candidates", body | {"idempotencyKey": key})
    same = command(payload=body, idempotencyKey=key)
    await upstream.send(same)
    other = await upstream.send(same | {"payload": person(lastName="Other")})
    await upstream.dead_letter(other)
    outcomes = await upstream.outcomes_of(key, 2)
    assert {(one["status"], (one["error"] or {}).get("code")) for one in outcomes} == {
        ("completed", None),
        ("rejected", "idempotency_key_reused"),
    }
    done = next(one for one in outcomes if one["status"] == "completed")
    assert done["mutationId"] == created.body["data"]["mutationId"]


async def test_records_that_are_not_there_are_an_outcome(stranger: Client, upstream: Upstream) -> None:
    foreign = await stranger.write("POST", "/candidates", person())
    await stranger.outcome(foreign)
    photo = inline("a.txt", b"a", "text/plain")
    for record in (new_id(), foreign.mutation["record"]["id"]):
        sent = command("append", recordId=record, payload={"otherAttachments": [photo]})
        await upstream.send(sent)
        outcome = await upstream.outcome(sent["idempotencyKey"])
        assert (outcome["status"], outcome["error"]["code"], outcome["sequence"]) == ("failed", "record_not_found", 1)


async def test_sandbox_commands_stay_in_the_sandbox(client: Client, upstream: Upstream) -> None:
    sent = command(payload=person(), sandbox=True)
    await upstream.send(sent)
    outcome = await upstream.outcome(sent["idempotencyKey"])
    path = f"/candidates/{outcome['record']['id']}"
    assert (await client.call("GET", path)).status == 404
    assert (await client.call("GET", f"/sandbox{path}")).status == 200


async def test_topic_of_a_new_tenant_is_consumed_without_a_restart(stack: dict[str, Any]) -> None:
    tenant = f"new-{secrets.token_hex(6)}"
    async with open_client(stack["mongodb"]) as mongo:
        await TenantRegistry(open_database(mongo, CONTROL_DATABASE)).create_tenant(tenant)
    await KafkaTopics(EngineSettings(kafka_bootstrap=stack["kafka"]), 30.0).ensure(topics.tenant_topics(tenant))
    async with open_upstream(stack, tenant) as upstream:
        sent = command(payload=person())
        await upstream.send(sent)
        assert (await upstream.outcome(sent["idempotencyKey"], 30))["status"] == "completed"


async def test_commands_of_one_record_end_in_the_order_in_which_they_were_produced(
    client: Client, upstream: Upstream
) -> None:
    created = await client.write("POST", "/candidates", person())
    record = created.mutation["record"]["id"]
    files = [{"otherAttachments": [inline(f"{n}.txt", b"%d" % n, "text/plain")]} for n in range(20)]
    sent = [command("append", recordId=record, payload=payload) for payload in files]
    for one in sent:
        await upstream.send(one)

    ended = [await upstream.outcome(one["idempotencyKey"]) for one in sent]
    assert [outcome["sequence"] for outcome in ended] == list(range(2, 22))
