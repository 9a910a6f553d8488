"""A command has the same fate as the same request over HTTP; what can't be valid is rejected, and says why."""

import asyncio
import base64
import json
from dataclasses import replace
from typing import Any

import bson
import orjson
import pytest
from structlog.testing import capture_logs

from services.ingest.command_handler import CommandHandler, Received
from services.ingest.rejections import Rejections, rejection_id
from shared import limits
from shared.addresses import EgressPolicy
from shared.errors import DependencyUnavailable
from shared.events import encode
from shared.ledger import MutationDocument
from shared.publisher import Publisher
from tests.factories import new_id
from tests.fakes_commands import CommandStand, command
from tests.fakes_ingest import IngestStand, InMemoryLedger
from tests.retry import eventually

HOOK = "https://hooks.example.com/in"


def file_of(size: int) -> dict[str, str]:
    return {"filename": "big.pdf", "data": "data:application/pdf;base64," + base64.b64encode(b"x" * size).decode()}


async def test_command_becomes_a_mutation_like_a_request() -> None:
    stand = CommandStand()
    await stand.send(command(callbackUrl=HOOK))
    [document] = stand.mutations()
    assert (document["tenant"], document["key"], document["kind"]) == ("acme", "k1", "create")
    assert (document["fields"], document["callbackUrl"]) == ({"firstName": "Test"}, HOOK)
    assert document["traceparent"].split("-")[1] == "1" * 32
    assert [offered["_id"] for _, offered in stand.relay.offered] == [document["_id"]]
    assert (stand.rejected(), stand.dead) == ([], [])


async def test_sandbox_command_goes_to_the_sandbox() -> None:
    stand = CommandStand()
    await stand.send(command(sandbox=True))
    assert (len(stand.mutations("sandbox")), stand.mutations()) == (1, [])


async def test_both_doors_give_the_same_request_the_same_fingerprint() -> None:
    by_topic, by_http = CommandStand(), IngestStand()
    payload = {"lastName": "Person", "firstName": "Test", "otherAttachments": [file_of(20_000)]}
    await by_topic.send(command(payload=payload, callbackUrl=HOOK))
    async with by_http.client() as client:
        body = payload | {"idempotencyKey": "k1", "callbackUrl": HOOK}
        assert (await client.post("/candidates", json=body)).status_code == 202
    assert by_topic.mutations()[0]["fingerprint"] == by_http.mutations()[0]["fingerprint"]


ID, OTHER = "01890000-0000-7000-8000-000000000001", "01890000-0000-7000-8000-000000000002"
ASSIGN = {"attachments": [{"id": OTHER, "type": "cv"}], "candidateId": ID, "companyId": OTHER}


@pytest.mark.parametrize(
    ("method", "path", "body", "asked"),
    [
        ("PATCH", f"/vacancies/{ID}", {"title": None}, {"operation": "update", "recordType": "vacancy"}),
        ("DELETE", f"/companies/{ID}", None, {"operation": "erase", "recordType": "company"}),
        ("DELETE", f"/candidates/{ID}/attachments", {"attachmentIds": [OTHER]},
         {"operation": "remove", "recordType": "candidate"}),
        ("POST", "/attachments/temporary/assign", ASSIGN, {"operation": "assign", "recordType": None}),
    ],
)  # fmt: skip
async def test_every_operation_is_the_same_by_both_doors(method: str, path: str, body: Any, asked: Any) -> None:
    by_topic, by_http = CommandStand(), IngestStand()
    record = None if asked["operation"] == "assign" else ID
    await by_topic.send(command(payload=body, recordId=record, **asked))
    for name, record_id in (("vacancy", ID), ("company", ID), ("candidate", ID), ("company", OTHER)):
        by_http.ledger.records.add(("live", "acme", name, record_id))
    async with by_http.client() as client:
        answer = await client.request(method, path, json=body, headers={"Idempotency-Key": "k1"})
    assert answer.status_code == 202
    own = ("_id", "askedAt", "createdAt", "deadline", "traceparent")
    [topic], [http] = [
        [{name: value for name, value in one.items() if name not in own} for one in stand.mutations()]
        for stand in (by_topic, by_http)
    ]
    assert topic == http


async def test_redelivered_command_is_one_mutation() -> None:
    stand = CommandStand()
    await stand.send(command(), command())
    await stand.send(command())
    assert len(stand.mutations()) == 1
    assert stand.rejected() == []


async def test_key_with_another_payload_is_rejected_once_however_often_it_comes() -> None:
    stand = CommandStand()
    other = command(payload={"firstName": "Other"}, callbackUrl=HOOK)
    await stand.send(command())
    for _ in range(2):
        await stand.send(other)
    [document] = stand.rejected()
    assert document["_id"] == rejection_id("acme", orjson.dumps(other))
    assert (document["claimedKey"], document["key"], document["callbackUrl"]) == ("k1", "!" + document["_id"], HOOK)
    assert (document["status"], document["owed"], document["lane"]) == ("rejected", True, "owed")
    assert "places" not in document
    assert len(stand.mutations()) == 1


async def test_rejection_is_announced_with_every_error_and_the_record_is_kept() -> None:
    stand = CommandStand()
    raw = orjson.dumps(command("update", recordId=new_id(), payload={"firstName": 7, "odd": 1}))
    await stand.send(raw)
    [event] = stand.publisher.announced
    outcome = event.outcome
    assert (outcome["status"], outcome["kind"], outcome["idempotencyKey"]) == ("rejected", "update", "k1")
    assert outcome["error"]["code"] == "validation_failed"
    found = {(error["field"], error["code"]) for error in outcome["error"]["errors"]}
    assert found == {("/payload/firstName", "invalid_type"), ("/payload/odd", "unknown_field")}
    assert outcome["record"]["type"] == "candidate"
    assert event.message_key.startswith(b"live/acme/")
    assert json.loads(encode(event))["places"] == []
    [(kept, reason)] = stand.dead
    assert kept == raw
    assert reason.startswith("validation_failed")


async def test_what_is_wrong_with_a_command_is_logged_by_its_codes_and_is_no_error_of_ours() -> None:
    stand = CommandStand()
    with capture_logs() as logged:
        await stand.send(command(payload={"firstName": 7, "private": 1}))
    [line] = logged
    assert (line["event"], line["log_level"]) == ("command.rejected", "info")
    assert line["errors"] == ["invalid_type", "unknown_field"]
    assert "private" not in str(line)


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"", "malformed_json"),
        (b"{", "malformed_json"),
        (b"\xff\xfe", "malformed_json"),
        (b'{"a": 1, "a": 2}', "malformed_json"),
        (b"[]", "validation_failed"),
        (b"null", "validation_failed"),
        (b"{}", "validation_failed"),
        (b" " * (limits.COMMAND_BYTES + 1), "payload_too_large"),
        (orjson.dumps({f"m{n}": n for n in range(200)}), "validation_failed"),
    ],
)
async def test_what_is_no_command_is_rejected_without_key_and_kind(raw: bytes, code: str) -> None:
    stand = CommandStand()
    await stand.send(raw)
    [document] = stand.rejected()
    assert document["outcome"] is not None
    assert (document["outcome"]["error"]["code"], document["outcome"]["kind"]) == (code, None)
    assert "claimedKey" not in document
    assert len(stand.dead) == 1


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"operation": "drop"}, "/operation"),
        ({"operation": ["create"]}, "/operation"),
        ({"recordType": "invoice"}, "/recordType"),
        ({"recordType": None}, "/recordType"),
        ({"recordId": "7b8ee3b0-0000-7000-8000-000000000000"}, "/recordId"),
        ({"operation": "append", "recordId": "../x"}, "/recordId"),
        ({"operation": "append"}, "/recordId"),
        ({"idempotencyKey": ""}, "/idempotencyKey"),
        ({"idempotencyKey": "!rej-1"}, "/idempotencyKey"),
        ({"idempotencyKey": None}, "/idempotencyKey"),
        ({"idempotencyKey": 1}, "/idempotencyKey"),
        ({"callbackUrl": "http://10.0.0.1/"}, "/callbackUrl"),
        ({"callbackUrl": 5}, "/callbackUrl"),
        ({"sandbox": "true"}, "/sandbox"),
        ({"payload": None}, "/payload"),
        ({"payload": "x" * 20_000}, "/payload"),
        ({"payload": {"firstName": "Test", "idempotencyKey": "k2"}}, "/payload/idempotencyKey"),
        ({"tenant": "other"}, "/tenant"),
    ],
)
async def test_bad_member_is_named_and_the_others_are_relied_on(members: dict[str, Any], field: str) -> None:
    stand = CommandStand()
    await stand.send(command(**{"callbackUrl": HOOK} | members))
    [document] = stand.rejected()
    assert document["outcome"] is not None
    assert [error["field"] for error in document["outcome"]["error"]["errors"]] == [field]
    assert document.get("claimedKey") == (None if "idempotencyKey" in members else "k1")
    assert document.get("callbackUrl") == (None if "callbackUrl" in members else HOOK)


@pytest.mark.parametrize(
    "wrong",
    [
        {"operation": "drop"},
        {"idempotencyKey": "x" * 20_000},
        {"idempotencyKey": {"a": 2**63}},
        {"callbackUrl": 5},
        {"callbackUrl": "http://10.0.0.1/"},
        {"recordType": ["candidate"]},
        {"recordType": "candidate", "recordId": {}},
        {"sandbox": {}},
    ],
)
async def test_nothing_of_a_refused_command_is_kept_unchecked_though_its_check_ended_early(wrong: Any) -> None:
    stand = CommandStand()
    wide = {f"m{n}": n for n in range(101)}
    await stand.send(command(**{"callbackUrl": HOOK, "payload": wide} | wrong))
    [document], [announced] = stand.rejected(), stand.publisher.announced
    bson.encode(dict(document))
    assert announced.outcome["error"]["errors"][0]["field"] == "/payload"
    assert document.get("claimedKey") == (None if "idempotencyKey" in wrong else "k1")
    assert document.get("callbackUrl") == (None if "callbackUrl" in wrong else HOOK)
    assert document.get("kind") == (None if "operation" in wrong else "create")
    assert "record" not in document


async def test_missing_key_is_named() -> None:
    stand = CommandStand()
    given = command()
    del given["idempotencyKey"]
    await stand.send(given)
    assert [error.outcome["error"]["errors"] for error in stand.publisher.announced] == [
        [{"field": "/idempotencyKey", "code": "missing", "message": "Add this member."}]
    ]


async def test_command_of_another_type_is_not_taken_for_one_we_know() -> None:
    stand = CommandStand()
    await stand.handler.handle([stand.received(orjson.dumps(command()), kind="mutation.command.v2")])
    assert (stand.mutations(), len(stand.rejected())) == ([], 1)


async def test_unknown_record_is_accepted_and_decided_later() -> None:
    stand = CommandStand()
    record = new_id()
    await stand.send(command("append", recordId=record, payload={"otherAttachments": [file_of(10)]}))
    [document] = stand.mutations()
    assert document["places"] == [{"record": f"acme/candidate/{record}", "sequence": 1}]


async def test_commands_of_one_record_keep_their_order_and_hold_nobody_else_up() -> None:
    stand = CommandStand()
    slow, quick = new_id(), new_id()
    large = {"otherAttachments": [file_of(limits.INLINE_FILE_BYTES + 1)]}
    small = {"otherAttachments": [file_of(10)]}
    stand.blobs.gate.clear()
    names = [(slow, "a", large), (slow, "b", small), (quick, "c", small), (slow, "d", small)]
    sending = asyncio.create_task(
        stand.send(*(command("append", recordId=r, idempotencyKey=k, payload=p) for r, k, p in names))
    )

    async def the_quick_one_is_through() -> None:
        assert [document["key"] for document in stand.mutations()] == ["c"]

    await eventually(the_quick_one_is_through)
    stand.blobs.gate.set()
    await sending
    assert [document["key"] for document in stand.mutations()] == ["c", "a", "b", "d"]


async def test_absent_dependency_holds_and_rejects_nothing() -> None:
    stand = CommandStand()
    stand.ledger.away = True
    for raw in (command("append", recordId=new_id(), payload={"otherAttachments": [file_of(10)]}), b"{"):
        with pytest.raises(DependencyUnavailable):
            await stand.send(raw)
    stand.ledger.away, stand.blobs.fails_from = False, 0
    with pytest.raises(DependencyUnavailable):
        await stand.send(command(payload={"otherAttachments": [file_of(limits.INLINE_FILE_BYTES + 1)]}))
    assert (stand.mutations(), stand.rejected(), stand.dead) == ([], [], [])


async def test_rejection_stands_though_it_could_not_be_announced() -> None:
    stand = CommandStand()
    stand.publisher.away = True
    await stand.send(b"{")
    assert [document["owed"] for document in stand.rejected()] == [True]


async def test_bug_of_ours_rejects_the_command_that_meets_it() -> None:
    stand = CommandStand()
    await stand.handler.give_up(stand.received(orjson.dumps(command())))
    [document] = stand.rejected()
    assert document["outcome"] is not None
    assert (document["outcome"]["error"]["code"], document["claimedKey"]) == ("internal_error", "k1")
    assert len(stand.dead) == 1


class LedgerWithoutKeys(InMemoryLedger):
    """Meets a bug in every rejection that names its key."""

    async def keep_rejection(self, environment: str, document: MutationDocument) -> None:
        if "claimedKey" in document:
            raise ValueError("a bug of ours")
        await super().keep_rejection(environment, document)


async def test_a_bug_in_what_was_understood_of_a_command_does_not_bring_it_back_for_ever() -> None:
    stand = CommandStand()
    rejections = Rejections(LedgerWithoutKeys(), stand.publisher)
    handler = CommandHandler(stand.intake, rejections, EgressPolicy())
    await handler.give_up(stand.received(orjson.dumps(command())))
    assert [event.outcome["error"]["code"] for event in stand.publisher.announced] == ["internal_error"]
    assert len(stand.dead) == 1


async def test_a_bug_around_the_dead_letter_makes_no_second_outcome_of_a_command() -> None:
    async def dead_letter(_: str) -> None:
        raise ValueError("a bug of ours")

    stand = CommandStand()
    received = replace(stand.received(orjson.dumps(command(callbackUrl=HOOK))), dead_letter=dead_letter)
    with pytest.raises(ValueError, match="a bug of ours"):
        await stand.handler.give_up(received)
    assert [event.callback for event in stand.publisher.announced] == [True]


class PromptProducer:
    """Acknowledges in the loop's next turn."""

    def __init__(self) -> None:
        self.sent = 0

    async def send(self, *_: Any, **__: Any) -> asyncio.Future[None]:
        self.sent += 1
        loop = asyncio.get_running_loop()
        acknowledged = loop.create_future()
        loop.call_soon(acknowledged.set_result, None)
        return acknowledged


async def test_dead_letters_of_one_batch_never_fill_the_producer() -> None:
    stand, producer = CommandStand(), PromptProducer()
    publisher = Publisher(lambda: producer, lambda: None)

    def received(value: bytes) -> Received:
        async def dead_letter(_: str) -> None:
            await publisher.send("mutations.commands.acme.dlq", None, value, [])

        return replace(stand.received(value), dead_letter=dead_letter)

    await stand.handler.handle([received(bytes([n]) * (limits.COMMAND_BYTES - 100)) for n in range(4)])
    assert (producer.sent, len(stand.rejected())) == (4, 4)


async def test_array_is_several_mutations_under_one_key() -> None:
    stand = CommandStand()
    await stand.send(command(payload={"candidates": [{"firstName": "A"}, {"firstName": "B"}]}))
    assert sorted(document["key"] for document in stand.mutations()) == ["k1#1", "k1#2"]
