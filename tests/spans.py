"""Spans kept in memory, and how they hang together."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext

from shared.otlp import SdkTracer
from shared.tracing import recording


@dataclass
class Made:
    """What was made so far; a span is there when it has ended."""

    exporter: InMemorySpanExporter

    @property
    def all(self) -> tuple[ReadableSpan, ...]:
        return self.exporter.get_finished_spans()

    def one(self, name: str) -> ReadableSpan:
        """The only span of this name."""
        [found] = [span for span in self.all if span.name == name]
        return found

    def text(self) -> str:
        """Everything that would leave the process."""
        return "\n".join(str(span.to_json()) for span in self.all)


@contextmanager
def spans(ratio: float = 1.0) -> Iterator[Made]:
    """Record every span of the block."""
    exporter = InMemorySpanExporter()
    with recording(SdkTracer(SimpleSpanProcessor(exporter), "test", ratio)):
        yield Made(exporter)


def traceparent(span: ReadableSpan) -> str:
    """What the next step would continue."""
    return _traceparent(span.context)


def above(span: ReadableSpan) -> str:
    """The traceparent that it continues; empty for the first of its trace."""
    return _traceparent(span.parent) if span.parent else ""


def _traceparent(context: SpanContext) -> str:
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


def attributes(span: ReadableSpan) -> dict[str, Any]:
    """Its attributes."""
    return dict(span.attributes or {})
