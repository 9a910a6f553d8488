"""One mutation is one trace through all four services, and no span tells what it holds."""

from pathlib import Path

from deploy.stack import EmbeddedStack
from deploy.stack.services import SERVICES
from tests.collector import Collector, Taken, open_collector
from tests.conftest import STACK
from tests.e2e.canaries import Canaries
from tests.e2e.client import open_client
from tests.retry import eventually

TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = "b7ad6b7169203331"
WAY = [
    ("ingest", "POST /candidates", CALLER),
    ("ingest", "accept", "POST /candidates"),
    ("ingest", "send mutations.accepted", "POST /candidates"),
    ("fetcher", "process mutations.accepted", "send mutations.accepted"),
    ("fetcher", "GET", "process mutations.accepted"),
    ("fetcher", "send mutations.fetched", "process mutations.accepted"),
    ("storage", "decide", "send mutations.fetched"),
    ("storage", "end", "send mutations.fetched"),
    ("storage", "send mutations.completed", "end"),
    ("notifier", "send mutations.outcomes.{tenant}", "send mutations.completed"),
    ("notifier", "POST", "POST /candidates"),
]


async def test_one_mutation_is_one_trace_from_the_request_to_the_callback(tmp_path: Path) -> None:
    canaries, broker = Canaries(), "kafka" if STACK == "kafka" else "tansu"
    async with open_collector() as collector:
        given = {"ENGINE_OTLP_ENDPOINT": collector.url, "ENGINE_OTLP_HEADERS": "x-team=engine"}
        env = dict.fromkeys(SERVICES, given)
        async with EmbeddedStack(tmp_path, broker=broker, env=env) as stack, open_client(stack.handle) as client:  # type: ignore[arg-type]
            client.site.origin.files["cv.txt"] = canaries.content.encode()
            file = canaries.file(filename="cv.txt", url=canaries.signed(client.site.file_url("cv.txt")))
            body = canaries.person(curriculumVitae=[file], otherAttachments=[canaries.inline()])
            body["callbackUrl"] = canaries.signed(client.callback_url)
            trace = f"00-{TRACE}-{CALLER}-01"
            answer = await client.call("POST", "/candidates", body, traceparent=trace, idempotency_key=canaries.mail)
            outcome = await client.outcome(answer)
            way = await eventually(lambda: walked(collector))
    assert outcome["status"] == "completed"
    assert way == sorted(WAY)
    mine = {span.name: span for span in collector.spans if span.trace == TRACE}
    ids = {span.attributes.get("engine.mutation.id") for span in mine.values()} - {None}
    assert ids == {answer.mutation["mutationId"]}
    batches = {span.service for span in collector.spans if span.trace != TRACE and TRACE in span.links}
    assert batches == {"storage", "notifier"}
    assert all(headers["x-team"] == "engine" for headers in collector.headers)
    exported = b"".join(collector.bodies).decode("latin-1")
    forbidden = [*canaries.words(), client.hook, client.key, client.secret]
    assert [word for word in forbidden if word in exported] == []


async def walked(collector: Collector) -> list[tuple[str, str, str]]:
    """Service, span and what it continues, of each step of the trace."""
    mine = [span for span in collector.spans if span.trace == TRACE]
    names = {span.id: span.name for span in mine}
    assert len(mine) >= len(WAY), sorted(names.values())
    return sorted((span.service, span.name, _above(span, names)) for span in mine)


def _above(span: Taken, names: dict[str, str]) -> str:
    return names.get(span.parent, span.parent)
