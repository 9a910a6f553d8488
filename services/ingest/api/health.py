"""For those who run the service: alive, ready, metrics."""

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from services.ingest.api import describe
from services.ingest.api.gateway import gateway_of

router = APIRouter(tags=["operation"])


@router.get("/healthz", **describe.plain("Alive, and what is wrong", 503))
async def healthz(request: Request) -> Response:
    """503 when something is stuck that only a restart helps; an absent server of ours is told of with 200."""
    alive, text = gateway_of(request).health()
    return PlainTextResponse(text, 200 if alive else 503)


@router.get("/readyz", **describe.plain("Ready for requests", 503))
async def readyz(request: Request) -> Response:
    """503 while starting or draining; an absent MongoDB does not count: it answers every write with 503 itself."""
    ready = gateway_of(request).ready()
    return PlainTextResponse("ready\n") if ready else PlainTextResponse("not ready\n", 503, {"Retry-After": "2"})


@router.get("/metrics", **describe.plain("Metrics in Prometheus' text format"))
async def metrics(request: Request) -> Response:
    """Counters and histograms of this process."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
