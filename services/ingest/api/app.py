"""The HTTP application: routes, problems, description, and what surrounds every request."""

from typing import Final

from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig
from starlette.types import ASGIApp

from services.ingest.api import (
    admin,
    admin_dead_letters,
    admin_deliveries,
    admin_mutations,
    admin_state,
    assign,
    attachment_list,
    attachments,
    console,
    docs,
    events,
    failures,
    health,
    mutations,
    record_files,
    record_lists,
    records,
    sandbox,
    schema,
    temporary,
)
from services.ingest.api.context import RequestContext
from services.ingest.api.gateway import Gateway

DESCRIPTION = (
    "Every write is a mutation: it is validated, answered with 202 and an idempotency key, and worked off behind it. "
    "Its outcome comes as a signed callback and under /mutations/{idempotencyKey}."
)
# FastAPI's own spans would look at the process environment several times a request.
NO_TELEMETRY: Final[TelemetryConfig] = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}

OVERSIGHT: Final = (admin_mutations, admin_deliveries, admin_dead_letters, admin_state)


def build(gateway: Gateway) -> ASGIApp:
    """The application over these ports."""
    app = FastAPI(
        title="Mutation Engine", version="1.0", description=DESCRIPTION,
        docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False, telemetry=NO_TELEMETRY,
    )  # fmt: skip
    app.state.gateway = gateway
    lists = (*record_lists.routers, attachment_list.router)  # first: /candidates/find is no id
    for router in (*lists, *records.routers, *record_files.routers):
        app.include_router(router)
    parts = (
        temporary,
        assign,
        attachments,
        mutations,
        events,
        sandbox,
        schema,
        admin,
        *OVERSIGHT,
        health,
        docs,
        console,
    )
    for part in parts:
        app.include_router(part.router)
    failures.attach(app)
    docs.attach(app)
    console.attach(app)
    return RequestContext(app)
