"""One trace from the request to the callback: each step continues the one before it, and none tells a secret."""

import asyncio
import subprocess
import sys
from collections.abc import Sequence
from random import Random
from typing import Any

import pytest
from opentelemetry.trace import StatusCode

from services.fetcher.consumer import FetchConsumer
from services.fetcher.handler import FetchHandler
from services.fetcher.window import Window
from services.notifier.courier import Courier, RetryPolicy
from services.notifier.dispatch import Answer
from services.storage.work import Work, of_event, steps
from shared import events
from shared.consume import BatchConsumer, Delivery, decode
from shared.dead_letters import DeadLetters
from shared.events import FileError, MutationAccepted, MutationFetched, Place, UrlSource
from shared.process import Lifecycle
from shared.publisher import Publisher
from shared.settings import EngineSettings
from shared.tracing import NOTHING, batch, exporting, note, span
from tests.factories import fetched, mutation
from tests.fakes_commands import TRACE as COMMANDED
from tests.fakes_commands import CommandStand, command
from tests.fakes_fetcher import (
    FakeKafkaConsumer,
    FakeRecord,
    FlakyBlobs,
    ListedLedger,
    RecordingPublisher,
    ScriptedDownloader,
)
from tests.fakes_ingest import IngestStand
from tests.fakes_notifier import NOW, SECRET, FixedSecrets, ScriptedSender, completed, pending
from tests.spans import Made, above, attributes, spans, traceparent

TRACE = f"00-{'a' * 32}-{'b' * 16}-01"
UNWANTED = f"00-{'a' * 32}-{'b' * 16}-00"
SECRET_PATH = "/in/canary-path?token=canary-query"
IMPORTS = "import sys; {imports}; print([name for name in sys.modules if name in {unwanted!r}])"


class PromptProducer:
    """Acknowledges at once, and keeps the headers."""

    def __init__(self) -> None:
        self.headers: list[dict[str, bytes]] = []

    async def send(self, *_: Any, headers: Sequence[tuple[str, bytes]], **__: Any) -> asyncio.Future[None]:
        self.headers.append(dict(headers))
        acknowledged = asyncio.get_running_loop().create_future()
        acknowledged.set_result(None)
        return acknowledged


async def post(headers: dict[str, str], body: Any = None) -> tuple[IngestStand, int]:
    stand = IngestStand()
    async with stand.client("key-of-acme") as client:
        answer = await client.post(
            "/candidates?idempotencyKey=canary-key", json=body or {"firstName": "canary-name"}, headers=headers
        )
    return stand, answer.status_code


def test_what_is_off_is_not_even_imported() -> None:
    imports = "; ".join(f"import services.{name}.main" for name in ("fetcher", "storage", "notifier", "ingest"))
    program = IMPORTS.format(imports=imports, unwanted=("shared.otlp", "opentelemetry.sdk", "requests"))
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


async def test_nothing_is_made_when_no_collector_is_configured() -> None:
    async with exporting(EngineSettings(), "test"):
        assert span("accept", TRACE) is NOTHING
        assert batch("mutations.fetched", [TRACE]) is NOTHING


async def test_request_and_claim_continue_the_clients_trace_and_the_ledger_keeps_it() -> None:
    with spans() as made:
        stand, status = await post({"traceparent": TRACE})
    assert status == 202
    request, accept = made.one("POST /candidates"), made.one("accept")
    [document] = stand.mutations()
    assert above(request) == TRACE
    assert above(accept) == traceparent(request) == document["traceparent"]
    assert attributes(request) == {
        "http.request.method": "POST",
        "http.route": "/candidates",
        "http.response.status_code": 202,
    }
    assert attributes(accept) == {
        "engine.mutation.id": document["_id"],
        "engine.tenant": "acme",
        "engine.environment": "live",
        "engine.mutation.kind": "create",
    }
    assert "canary" not in made.text()


@pytest.mark.parametrize("sent", [{}, {"traceparent": "garbage"}])
async def test_request_without_a_trace_begins_one(sent: dict[str, str]) -> None:
    with spans() as made:
        await post(sent)
    assert above(made.one("POST /candidates")) == ""


async def test_a_refusal_is_no_failure_of_ours_but_an_absence_is() -> None:
    with spans() as made:
        _, refused = await post({}, {"email": "at home"})
        stand = IngestStand()
        stand.ledger.away = True
        async with stand.client("key-of-acme") as client:
            unavailable = await client.get("/mutations/k1")
    assert (refused, unavailable.status_code) == (422, 503)
    found = {(each.status.status_code, attributes(each).get("error.type")) for each in made.all}
    assert found == {(StatusCode.UNSET, None), (StatusCode.ERROR, "503")}


async def test_probes_are_not_traced() -> None:
    with spans() as made:
        async with IngestStand().client("key-of-acme") as client:
            await client.get("/readyz")
    assert made.all == ()


@pytest.mark.parametrize("ratio", [1.0, 0.0])
async def test_what_nobody_wants_recorded_goes_on_unrecorded(ratio: float) -> None:
    with spans(ratio) as made:
        stand, _ = await post({"traceparent": UNWANTED if ratio else TRACE})
    assert made.all == ()
    [document] = stand.mutations()
    assert document["traceparent"][:36] == TRACE[:36]
    assert document["traceparent"].endswith("-00")


async def test_command_continues_its_producers_trace_and_is_accepted_under_it() -> None:
    stand = CommandStand()
    with spans() as made:
        await stand.send(command(payload={"firstName": "canary"}), command(operation="canary", idempotencyKey="k2"))
    done, refused = (each for each in made.all if each.name == "process mutations.commands.{tenant}")
    [document], [rejected] = stand.mutations(), stand.rejected()
    assert {above(done), above(refused)} == {COMMANDED}
    assert above(made.one("accept")) == document["traceparent"]
    assert {document["traceparent"], rejected["traceparent"]} == {traceparent(done), traceparent(refused)}
    assert "canary" not in made.text()


@pytest.mark.parametrize("recorded", [True, False])
async def test_each_published_event_is_a_step_of_its_own(recorded: bool) -> None:
    producer = PromptProducer()
    publisher = Publisher(lambda: producer, lambda: None)
    event = completed().event
    if not recorded:
        await publisher.publish("mutations.outcomes.acme", event, TRACE, b"body")
        [headers] = producer.headers
        assert headers["traceparent"].decode()[:36] == TRACE[:36]
        assert headers["traceparent"].decode() != TRACE
        return
    with spans() as made:
        await publisher.publish("mutations.outcomes.acme", event, TRACE, b"body")
    sent = made.one("send mutations.outcomes.{tenant}")
    [headers] = producer.headers
    assert (headers["traceparent"].decode(), above(sent)) == (traceparent(sent), TRACE)
    told = {name: value for name, value in attributes(sent).items() if name.startswith("messaging.")}
    assert told == {
        "messaging.system": "kafka",
        "messaging.destination.name": "mutations.outcomes.acme",
        "messaging.destination.template": "mutations.outcomes.{tenant}",
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.message.body.size": 4,
    }


def accepted() -> MutationAccepted:
    sources = {f"f{n}": UrlSource(url=f"https://files.test:8443{SECRET_PATH}{n}") for n in (1, 2)}
    return MutationAccepted(
        mutation_id="m1", tenant="acme", environment="live", kind="append",
        places=(Place(record="acme/candidate/c1", sequence=3),), sources=sources, deadline=NOW,
    )  # fmt: skip


async def test_each_download_is_a_step_under_its_mutation() -> None:
    event, publisher = accepted(), RecordingPublisher()
    dead = FileError(code="source_unreachable", message="canary")
    downloader = ScriptedDownloader(**{event.sources["f2"].url: dead})
    handler = FetchHandler(downloader, FlakyBlobs(), ListedLedger(), publisher)
    consumer = FetchConsumer(handler, DeadLetters(publisher), Window(8, 8), Lifecycle(), 8)
    record = FakeRecord(events.encode(event), 0, headers=(("traceparent", TRACE.encode()),))
    with spans() as made:
        await consumer.on_batch([record], FakeKafkaConsumer())
        await consumer.stop(5)
    took = made.one("process mutations.accepted")
    [(_, _, carried)] = publisher.published
    assert (above(took), carried) == (TRACE, traceparent(took))
    assert attributes(took)["messaging.consumer.group.name"] == "mutation-engine.fetcher"
    first, second = sorted(
        (each for each in made.all if each.name == "GET"), key=lambda each: each.status.status_code.value
    )
    assert above(first) == above(second) == traceparent(took)
    where = {"url.scheme": "https", "server.address": "files.test", "server.port": 8443}
    assert attributes(first) == {
        "http.request.method": "GET",
        **where,
        "engine.file.id": "f1",
        "http.response.body.size": 5,
    }
    assert attributes(second)["error.type"] == "source_unreachable"
    assert "canary" not in made.text()


async def worked_off_together(documents: list[dict[str, Any]]) -> tuple[Made, list[Work]]:
    works: list[Work] = []

    async def handle(deliveries: Sequence[Delivery[MutationFetched]]) -> None:
        of = {each["_id"]: each for each in documents}
        works.extend(of_event(of[each.event.mutation_id], each.event, each.traceparent) for each in deliveries)
        with steps("decide", "live", works):
            await asyncio.sleep(0)

    letters = DeadLetters(RecordingPublisher())
    batches = BatchConsumer(lambda record: decode(MutationFetched, record), handle, letters, _no_bug, lambda: None)
    records = tuple(
        FakeRecord(events.encode(fetched(each)), n, topic="mutations.fetched", headers=(("traceparent", _came(n)),))
        for n, each in enumerate(documents)
    )
    with spans() as made:
        await batches.on_batch(records, FakeKafkaConsumer())
    return made, works


async def _no_bug(delivery: Delivery[MutationFetched], error: Exception) -> None:
    raise error


def _came(n: int) -> bytes:
    return f"00-{n + 1:032x}-{n + 1:016x}-01".encode()


async def test_mutations_of_a_batch_keep_their_traces_and_are_linked_to_the_batch() -> None:
    made, works = await worked_off_together([mutation(), mutation(), mutation()])
    together = made.one("process mutations.fetched")
    assert above(together) == ""
    assert attributes(together)["messaging.batch.message_count"] == 3
    assert [link.context.span_id for link in together.links] == [1, 2, 3]
    decided = [each for each in made.all if each.name == "decide"]
    assert sorted(above(each) for each in decided) == [_came(n).decode() for n in range(3)]
    for each in decided:
        assert [link.context.span_id for link in each.links] == [together.context.span_id]
    assert {attributes(each)["engine.mutation.id"] for each in decided} == {work.id for work in works}


def test_what_nobody_brought_continues_the_ledgers_trace() -> None:
    document = mutation(traceparent=TRACE)
    with spans() as made, steps("end", "live", [Work(document)]) as traces:
        pass
    assert above(made.one("end")) == TRACE
    assert traces == {document["_id"]: traceparent(made.one("end"))}


async def test_an_attempt_continues_the_ledgers_trace_and_the_receiver_continues_the_attempt() -> None:
    sender = ScriptedSender(Answer(503, 5, "canary"))
    courier = Courier(FixedSecrets(SECRET), sender, RetryPolicy(), Random(1))
    with spans() as made:
        await courier.attempt(pending(made=2, url=f"https://hooks.example.com{SECRET_PATH}", traceparent=TRACE))
    attempt = made.one("POST")
    [(_, headers, _)] = sender.sent
    assert (above(attempt), headers["traceparent"]) == (TRACE, traceparent(attempt))
    assert attributes(attempt) == {
        "http.request.method": "POST",
        "url.scheme": "https",
        "server.address": "hooks.example.com",
        "server.port": 443,
        "engine.mutation.id": "m1",
        "engine.tenant": "acme",
        "engine.environment": "live",
        "engine.mutation.kind": "unknown",
        "http.request.resend_count": 2,
        "http.response.status_code": 503,
        "error.type": "server_error",
    }
    assert "canary" not in made.text()


def test_no_span_tells_the_words_of_an_exception_a_key_or_a_url() -> None:
    told = f"https://someone:canary@files.test{SECRET_PATH} me_abc_canary"

    def fail() -> None:
        with span("accept", TRACE, attributes={"said": told}):
            note({"more": told})
            raise ValueError(told)

    with spans() as made, pytest.raises(ValueError, match="canary"):
        fail()
    failed = made.one("accept")
    assert attributes(failed)["error.type"] == "ValueError"
    assert failed.events == ()
    assert "canary" not in made.text()
