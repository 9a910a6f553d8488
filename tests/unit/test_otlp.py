"""Spans leave by a thread of their own: a collector that is away or hangs costs the spans, and nothing else."""

import asyncio
from collections.abc import Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from prometheus_client import REGISTRY
from pydantic import ValidationError
from structlog.testing import capture_logs

from shared.otlp import CalmExporter
from shared.settings import EngineSettings
from shared.tracing import exporting, span
from tests.spans import spans


class Absent(SpanExporter):
    """Takes nothing, and counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.asked += 1
        return SpanExportResult.FAILURE


def test_a_collector_that_is_away_is_left_alone_and_told_of_once() -> None:
    with spans() as made:
        for _ in range(3):
            with span("accept"):
                pass
    absent = Absent()
    calm = CalmExporter(absent)
    with capture_logs() as logged:
        assert {calm.export(made.all) for _ in range(20)} == {SpanExportResult.FAILURE}
    assert absent.asked == 1
    assert [(entry["event"], entry["spans"]) for entry in logged] == [("traces.lost", 3)]


@pytest.mark.parametrize("listens", [True, False])
async def test_leaving_does_not_wait_for_a_collector_that_never_answers(listens: bool) -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    if not listens:
        server.close()
        await server.wait_closed()
    async with asyncio.timeout(10):
        async with exporting(EngineSettings(otlp_endpoint=f"http://127.0.0.1:{port}"), "test"):
            for _ in range(10_000):
                with span("accept"):
                    pass
    server.close()


async def test_the_collector_gets_our_headers_and_none_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"):
        monkeypatch.setenv(name, "x-of-another=its-key,x-key=its-key")
    heads = asyncio.Queue[bytes]()

    async def collect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.put_nowait(await reader.readuntil(b"\r\n\r\n"))
        writer.close()

    async with asyncio.timeout(10), await asyncio.start_server(collect, "127.0.0.1", 0) as server:
        endpoint = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        settings = EngineSettings.model_validate({"otlp_endpoint": endpoint, "otlp_headers": "x-key=ours"})
        async with exporting(settings, "test"):
            with span("accept"):
                pass
        head = await heads.get()
    assert b"x-key: ours" in head
    assert b"its-key" not in head


@pytest.mark.parametrize(
    "given",
    [
        {"otlp_endpoint": "127.0.0.1:4318"},
        {"otlp_endpoint": "http://someone:secret@127.0.0.1:4318"},
        {"otlp_endpoint": "http://127.0.0.1:4318", "otlp_ca_file": "/ca.pem"},
        {"otlp_sample_ratio": 1.5},
    ],
)
def test_settings_that_would_not_do_what_they_say_stop_the_start(given: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        EngineSettings.model_validate(given)


def test_headers_for_the_collector_are_pairs() -> None:
    settings = EngineSettings.model_validate({"otlp_headers": "x-team = engine, x-key=abc=="})
    assert settings.otlp_header_fields == {"x-team": "engine", "x-key": "abc=="}
    assert "abc" not in repr(settings)


def test_what_nobody_wants_recorded_does_not_look_like_dropped() -> None:
    before = REGISTRY.get_sample_value("engine_trace_spans_total", {"fate": "made"})
    with spans(ratio=0.0), span("accept"):
        pass
    assert REGISTRY.get_sample_value("engine_trace_spans_total", {"fate": "made"}) == before
