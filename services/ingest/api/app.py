"""The HTTP application: routes, problems, description, and what surrounds every request."""

from fastapi import FastAPI
from starlette.types import ASGIApp

from services.ingest.api import attachments, candidates, docs, failures, health, mutations
from services.ingest.api.context import RequestContext
from services.ingest.api.gateway import Gateway

DESCRIPTION = (
    "Every write is a mutation: it is validated, answered with 202 and an idempotency key, and worked off behind it. "
    "Its outcome comes as a signed callback and under /mutations/{idempotencyKey}."
)


def build(gateway: Gateway) -> ASGIApp:
    """The application over these ports."""
    app = FastAPI(
        title="Mutation Engine", version="1.0", description=DESCRIPTION,
        docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False,
    )  # fmt: skip
    app.state.gateway = gateway
    for part in (candidates, attachments, mutations, health, docs):
        app.include_router(part.router)
    failures.attach(app)
    docs.attach(app)
    return RequestContext(app)
