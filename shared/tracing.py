"""Spans along a mutation's way, each continuing the `traceparent` that a request, an event or the ledger carries.

Like logs and metrics one thing a process. Off unless configured, and then nothing is imported and no span is made.
"""

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from types import TracebackType
from typing import Final, Literal, Protocol, Self
from urllib.parse import urlsplit

from shared import topics
from shared.settings import EngineSettings

Attributes = Mapping[str, str | int | bool]
Kind = Literal["internal", "server", "client", "producer", "consumer"]


class Span(Protocol):
    """A step on the way, from entering the block to its end. An exception that leaves it marks it as failed."""

    @property
    def traceparent(self) -> str:
        """What the next step continues; empty when tracing is off."""

    def note(self, attributes: Attributes) -> None:
        """Add attributes: ids, counts and codes, never payloads, keys, paths or queries."""

    def failed(self, error: str) -> None:
        """Mark it as failed; the error is a code or the name of a class, never a message."""

    def rename(self, name: str) -> None:
        """Give it another name."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...


class Tracer(Protocol):
    """What makes spans; see shared/otlp.py."""

    def span(self, name: str, parent: str, kind: Kind, attributes: Attributes, links: Iterable[str]) -> Span:
        """A span under a parent; without a valid one it begins a trace."""


class _Nothing:
    """What there is instead of a span while tracing is off."""

    traceparent: Final = ""

    def note(self, attributes: Attributes) -> None: ...

    def failed(self, error: str) -> None: ...

    def rename(self, name: str) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...


NOTHING: Final = _Nothing()
CURRENT: ContextVar[Span] = ContextVar("span", default=NOTHING)
_tracer: Tracer | None = None


def on() -> bool:
    """Whether spans are made."""
    return _tracer is not None


def span(
    name: str,
    parent: str = "",
    kind: Kind = "internal",
    attributes: Attributes | None = None,
    links: Iterable[str] = (),
) -> Span:
    """`with span("accept", traceparent) as step:`; `links` are the traceparents of what else it belongs to."""
    return NOTHING if _tracer is None else _tracer.span(name, parent, kind, attributes or {}, links)


def note(attributes: Attributes) -> None:
    """Add attributes to the span in hand, if there is one."""
    CURRENT.get().note(attributes)


def about(mutation: str, tenant: str, environment: str, kind: str | None = None) -> dict[str, str | int | bool]:
    """The attributes that say which mutation it is."""
    if _tracer is None:
        return {}
    return {
        "engine.mutation.id": mutation,
        "engine.tenant": tenant,
        "engine.environment": environment,
        "engine.mutation.kind": kind or "unknown",
    }


def requested(method: str, url: str) -> Attributes:
    """The attributes of a request to a stranger: of its URL scheme, host and port, for the rest may be a secret."""
    if _tracer is None:
        return {}
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        return {"http.request.method": method}
    address = {"url.scheme": parts.scheme, "server.address": parts.hostname or ""}
    return {"http.request.method": method, **address, "server.port": port}


def sending(topic: str, parent: str, size: int, what: Attributes) -> Span:
    """The span of one message that is published; size in bytes."""
    if _tracer is None:
        return NOTHING
    attributes = {**_messaging("send", topic), "messaging.message.body.size": size, **what}
    return span(f"send {topics.template(topic)}", parent, "producer", attributes)


def processing(topic: str, parent: str, what: Attributes) -> Span:
    """The span of one message that is worked off."""
    if _tracer is None:
        return NOTHING
    return span(f"process {topics.template(topic)}", parent, "consumer", {**_messaging("process", topic), **what})


def batch(topic: str, messages: Iterable[str]) -> Span:
    """The span of messages, by their traceparents, that are worked off together: a trace of its own, linked to each."""
    if _tracer is None:
        return NOTHING
    links = tuple(messages)
    attributes = _messaging("process", topic) | {"messaging.batch.message_count": len(links)}
    return span(f"process {topics.template(topic)}", "", "consumer", attributes, links)


def _messaging(operation: str, topic: str) -> dict[str, str | int | bool]:
    named: dict[str, str | int | bool] = {
        "messaging.system": "kafka",
        "messaging.destination.name": topic,
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
    }
    template = topics.template(topic)
    if template != topic:
        named["messaging.destination.template"] = template
    if operation == "process":
        named["messaging.consumer.group.name"] = topics.READERS.get(topic, topics.INGEST_GROUP)
    return named


@contextmanager
def recording(tracer: Tracer) -> Iterator[None]:
    """Make spans while the block runs."""
    global _tracer
    before, _tracer = _tracer, tracer
    try:
        yield
    finally:
        _tracer = before


@asynccontextmanager
async def exporting(settings: EngineSettings, service: str) -> AsyncIterator[None]:
    """Make spans and send them to the collector while the block runs, if one is configured."""
    if not settings.otlp_endpoint:
        yield
        return
    from shared.otlp import open_tracer  # what is off is not imported

    async with open_tracer(settings, service) as tracer:
        with recording(tracer):
            yield
