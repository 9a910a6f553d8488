"""Around every request, in plain ASGI: its id, its trace, the sandbox, metrics, and the last net for a bug."""

import re
import time
from datetime import UTC, datetime
from typing import Any, Final

import structlog
from prometheus_client import Counter, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uuid_utils import uuid7

from services.ingest.api.answers import problem
from services.ingest.api.framing import check_frame
from services.ingest.problems import Problem
from shared.metrics import BUDGET_USED
from shared.observability import next_traceparent
from shared.tracing import NOTHING, Span, span

REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,128}")
SANDBOX_PREFIX: Final = "/sandbox"
MEANT: Final = "Send true or false in x-api-sandbox, once; behind /sandbox only true, or leave it out."
FIXED: Final = "/sandbox/reset"  # a path of its own: no prefix
PROBES: Final = frozenset({"/healthz", "/readyz", "/metrics"})  # asked every few seconds: not worth a trace
REQUESTS = Counter("engine_http_requests_total", "Answers by method, route and status", ["method", "route", "status"])
SECONDS = Histogram(
    "engine_http_request_seconds", "From the request's headers to the end of the answer", ["method", "route"]
)
IN_PROGRESS: Final = BUDGET_USED.labels("http_requests")
METHODS: Final = frozenset({"GET", "POST", "PATCH", "PUT", "DELETE", "HEAD", "OPTIONS"})
log = structlog.get_logger()


class RequestContext:
    """Puts `request_id`, `traceparent`, `began`, `sandbox` and `instance` into the request's state; strips `/sandbox`.

    Header `fields` that are in the state when the answer begins go out with it; `waited` are seconds that the client
    asked to wait. HEAD is a GET whose answer loses its body, on every route.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One ASGI call; everything but HTTP passes untouched."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers: dict[bytes, bytes] = dict(reversed(scope["headers"]))  # of repeated ones the first counts
        request_id = _request_id(headers.get(b"x-request-id"))
        state: dict[str, Any] = scope.setdefault("state", {})
        state.update(began=datetime.now(UTC), head=scope["method"] == "HEAD")
        status, began, asked = 500, time.perf_counter(), scope["method"]
        sent = headers.get(b"traceparent", b"").decode("latin-1")
        step = NOTHING if scope["path"] in PROBES else span(asked, sent, "server")
        traceparent = step.traceparent or next_traceparent(sent)
        state.update(request_id=request_id, traceparent=traceparent, instance=scope["path"])
        IN_PROGRESS.inc()
        if asked == "HEAD":
            scope["method"] = "GET"

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", request_id.encode())]
                message["headers"] += state.get("fields", ())
            elif asked == "HEAD":
                message["body"] = b""
            await send(message)

        with step:
            try:
                await self._enter(scope, receive, send_with_id)
            except Exception:
                # The answer was given by the handler of Exception; nothing of the bug reaches the client.
                log.exception("request_failed", request_id=request_id, method=asked, path=state["instance"])
            finally:
                IN_PROGRESS.dec()
                route = getattr(scope.get("route"), "path", "unknown")
                method = asked if asked in METHODS else "other"
                REQUESTS.labels(method, route, status).inc()
                # How long a client wished to wait says nothing of how slow we are.
                SECONDS.labels(method, route).observe(time.perf_counter() - began - state.get("waited", 0.0))
                _tell(step, method, route, status)

    async def _enter(self, scope: Scope, receive: Receive, send: Send) -> None:
        state = scope["state"]
        path: str = scope["path"]
        prefixed = path == SANDBOX_PREFIX or path.startswith(SANDBOX_PREFIX + "/")
        said = {value.strip().lower() for name, value in scope["headers"] if name == b"x-api-sandbox"}
        state["sandbox"] = prefixed or b"true" in said
        try:
            check_frame(scope)
            if said - {b"true"} and (prefixed or said != {b"false"}):
                # A write that was meant for the sandbox must not go live for a typing error.
                raise Problem("malformed_request", MEANT, field="x-api-sandbox")
        except Problem as refusal:
            await problem(refusal, path, state["sandbox"])(scope, receive, send)
            return
        if prefixed and path != FIXED:
            scope["path"] = path[len(SANDBOX_PREFIX) :] or "/"
            if scope.get("raw_path"):
                scope["raw_path"] = scope["raw_path"][len(SANDBOX_PREFIX) :] or b"/"
        await self._app(scope, receive, send)


def _tell(step: Span, method: str, route: str, status: int) -> None:
    """Never the path, which holds ids, nor the query."""
    step.rename(f"{method} {route}")
    step.note({"http.request.method": method, "http.route": route, "http.response.status_code": status})
    if status >= 500:
        step.failed(str(status))


def _request_id(sent: bytes | None) -> str:
    text = sent.decode("latin-1") if sent else ""
    return text if REQUEST_ID.fullmatch(text) else str(uuid7())
