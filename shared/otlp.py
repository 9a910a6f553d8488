"""Spans by the OpenTelemetry SDK, sent as OTLP over HTTP by a thread of its own. Imported only where tracing is on.

Whoever makes spans never waits for the collector: what it does not take is dropped, counted and told of now and then.
"""

import asyncio
import logging
import os
import threading
import time
import uuid
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from contextvars import Token
from types import TracebackType
from typing import Final, Self

import requests
import structlog
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)
from opentelemetry.trace import Span as SdkSpan
from prometheus_client import Counter

from shared.observability import TRACEPARENT, redact
from shared.settings import EngineSettings
from shared.tracing import CURRENT, Attributes, Kind, Span

log = structlog.get_logger()
QUEUE_SPANS: Final = 4096  # that wait for the thread; beyond it the oldest are dropped
BATCH_SPANS: Final = 256  # of a request: encoding holds the interpreter, so little at a time
EVERY_SECONDS: Final = 1.0
EXPORT_SECONDS: Final = 3.0  # for one request, with its second try
AVOID_SECONDS: Final = 10.0  # after a failure nothing is sent
TOLD_EVERY_SECONDS: Final = 60.0
CLOSE_SECONDS: Final = 1.5  # for the last spans, when the process leaves
ATTRIBUTE_LENGTH: Final = 256
LINKS: Final = 512  # a batch links to each of its messages
KINDS: Final[dict[Kind, SpanKind]] = {
    "internal": SpanKind.INTERNAL,
    "server": SpanKind.SERVER,
    "client": SpanKind.CLIENT,
    "producer": SpanKind.PRODUCER,
    "consumer": SpanKind.CONSUMER,
}
SPANS = Counter("engine_trace_spans_total", "Spans by fate; what is neither sent nor lost was dropped unsent", ["fate"])
MADE, SENT, LOST = (SPANS.labels(fate) for fate in ("made", "sent", "lost"))


class RecordedSpan:
    """A span of the SDK, of which exceptions tell no more than their class."""

    __slots__ = ("_span", "_token", "traceparent")

    def __init__(self, span: SdkSpan) -> None:
        self._span = span
        self._token: Token[Span] | None = None
        context = span.get_span_context()
        self.traceparent = f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"

    def note(self, attributes: Attributes) -> None:
        """Add attributes."""
        self._span.set_attributes(_fit(attributes))

    def failed(self, error: str) -> None:
        """Mark it as failed."""
        self._span.set_attribute("error.type", error)
        self._span.set_status(StatusCode.ERROR)

    def rename(self, name: str) -> None:
        """Give it another name."""
        self._span.update_name(name)

    def __enter__(self) -> Self:
        self._token = CURRENT.set(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        if self._token:
            with suppress(ValueError):  # a coroutine that was dropped is closed wherever it is found
                CURRENT.reset(self._token)
        if kind:
            self.failed(kind.__name__)
        if self._span.is_recording():
            MADE.inc()
        self._span.end()


class SdkTracer:
    """Makes spans; which traces are recorded is decided by their ids, alike in every service."""

    def __init__(self, processor: SpanProcessor, service: str, ratio: float = 1.0) -> None:
        resource = {
            "service.name": service,
            "service.namespace": "mutation-engine",
            "service.instance.id": str(uuid.uuid4()),
        }
        # A trace that its sender did not want recorded is not; of the others, and of our own, so many.
        so_many = TraceIdRatioBased(ratio)
        self._provider = TracerProvider(
            sampler=ParentBased(so_many, remote_parent_sampled=so_many),
            resource=Resource(resource),
            shutdown_on_exit=False,
            span_limits=SpanLimits(max_links=LINKS, max_span_attribute_length=ATTRIBUTE_LENGTH),
        )
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("mutation-engine")

    def span(self, name: str, parent: str, kind: Kind, attributes: Attributes, links: Iterable[str]) -> Span:
        """A span under a parent; without a valid one it begins a trace."""
        above = _context(parent)
        surroundings = set_span_in_context(NonRecordingSpan(above), Context()) if above else Context()
        found = [Link(linked) for link in links if (linked := _context(link))]
        return RecordedSpan(
            self._tracer.start_span(name, surroundings, KINDS[kind], _fit(attributes), found, record_exception=False)
        )

    def shutdown(self) -> None:
        """Send what is left. Blocks."""
        self._provider.shutdown()


class CalmExporter(SpanExporter):
    """After a failure it lets the collector alone for a while, and says so once a minute at most."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._avoid_until = self._tell_from = float("-inf")
        self._lost = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send a batch, or drop it. Runs in the processor's thread."""
        now = time.monotonic()
        if now >= self._avoid_until and self._exporter.export(spans) is SpanExportResult.SUCCESS:
            SENT.inc(len(spans))
            return SpanExportResult.SUCCESS
        LOST.inc(len(spans))
        self._lost += len(spans)
        if now >= self._avoid_until:
            self._avoid_until = time.monotonic() + AVOID_SECONDS
        if now >= self._tell_from:
            self._tell_from = now + TOLD_EVERY_SECONDS
            log.warning("traces.lost", spans=self._lost)
            self._lost = 0
        return SpanExportResult.FAILURE

    def shutdown(self) -> None:
        """End a wait for the next try."""
        self._exporter.shutdown()


@asynccontextmanager
async def open_tracer(settings: EngineSettings, service: str) -> AsyncIterator[SdkTracer]:
    """A tracer whose spans go to the collector; the last ones within a second and a half after the block."""
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # it tells of every failure; CalmExporter does not
    processor = BatchSpanProcessor(
        CalmExporter(_exporter(settings)),
        max_queue_size=QUEUE_SPANS,
        schedule_delay_millis=EVERY_SECONDS * 1000,
        max_export_batch_size=BATCH_SPANS,
        export_timeout_millis=EXPORT_SECONDS * 1000,
    )
    tracer = SdkTracer(processor, service, settings.otlp_sample_ratio)
    try:
        yield tracer
    finally:
        await _shut_down(tracer)


def _exporter(settings: EngineSettings) -> OTLPSpanExporter:
    session = requests.Session()
    session.trust_env = False  # no proxy and no password file: what is not in our settings is not used
    for name in [each for each in os.environ if each.startswith("OTEL_EXPORTER_OTLP_")]:
        # The exporter would add their headers, which may be the key of another collector, and trust their authority.
        del os.environ[name]
    return OTLPSpanExporter(
        endpoint=settings.otlp_endpoint.rstrip("/") + "/v1/traces",
        certificate_file=str(settings.otlp_ca_file) if settings.otlp_ca_file else None,
        headers=settings.otlp_header_fields,
        timeout=EXPORT_SECONDS,
        compression=Compression.NoCompression,
        session=session,
    )


async def _shut_down(tracer: SdkTracer) -> None:
    """Wait a little; a thread that hangs at a collector which does not answer dies with the process."""
    loop, done = asyncio.get_running_loop(), asyncio.Event()

    def shut_down() -> None:
        tracer.shutdown()
        with suppress(RuntimeError):  # the loop did not wait
            loop.call_soon_threadsafe(done.set)

    threading.Thread(target=shut_down, name="traces-shutdown", daemon=True).start()
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await done.wait()
    except TimeoutError:
        log.warning("stop.left_behind", what="traces")


def _context(traceparent: str) -> SpanContext | None:
    if not TRACEPARENT.fullmatch(traceparent):
        return None
    _, trace, parent, flags = traceparent.split("-")
    return SpanContext(int(trace, 16), int(parent, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)))


def _fit(attributes: Attributes) -> Attributes:
    """The net below: what looks like a key or a full URL does not leave, wherever it came from."""
    return redact(None, "", dict(attributes))
