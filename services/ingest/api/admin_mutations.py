"""For operators: a mutation by any id, its time line, why a file failed, what its callbacks were answered."""

from datetime import UTC, datetime
from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from services.ingest import operator_views as views
from services.ingest import timeline
from services.ingest.api import answers, parameters
from services.ingest.api.describe import administer, parameter
from services.ingest.api.gateway import admitted
from services.ingest.problems import Problem
from shared.ledger import DATABASES, PARKED

router = APIRouter(prefix="/admin", tags=["administration"])
LONGEST: Final = 300
SOUGHT: Final = parameter("q", "A mutation, record, file, upload or webhook id, or an idempotency key.") | {
    "required": True
}
ENVIRONMENT: Final = {
    "name": "environment", "in": "path", "required": True, "schema": {"type": "string", "enum": [*DATABASES]},
}  # fmt: skip
MUTATION: Final = {"name": "mutationId", "in": "path", "required": True, "schema": {"type": "string"}}


@router.get("/search", **administer("SearchAnswer", "Find mutations by any id", 200, SOUGHT))
async def search(request: Request) -> Response:
    """In both environments and of all tenants, newest first, at most 50; of an array its members."""
    gateway = await admitted(request)
    sought = (parameters.text(request, "q") or "").strip()
    if not sought or len(sought) > LONGEST or not sought.isprintable():
        raise parameters.refused("q", f"Send an id or a key of 1 to {LONGEST} characters as q.")
    found = await gateway.oversight.trail.search(sought)
    return answers.found(request, {"mutations": [views.row(name, document) for name, document in found]})


@router.get(
    "/mutations/{environment}/{mutationId}",
    **administer("TimelineAnswer", "See all that is known of a mutation", 200, ENVIRONMENT, MUTATION),
)
async def read(request: Request) -> Response:
    """Its steps with their times, its files with what to do about them, its callbacks with every attempt."""
    gateway = await admitted(request)
    environment, name = request.path_params["environment"], request.path_params["mutationId"]
    trail = gateway.oversight.trail
    document = await trail.mutation(environment, name.lower()) if environment in DATABASES else None
    if document is None:
        raise Problem("not_found", "There is no mutation with this id here; search finds it by any other id.")
    waits = document.get("lane") == PARKED
    behind = await trail.behind(environment, document) if waits else None
    delivery = await trail.delivery(environment, document["_id"])
    now = datetime.now(UTC)
    return answers.found(
        request,
        {
            "mutation": views.whole(environment, document, behind),
            "steps": timeline.steps(document, delivery, now),
            "files": views.files(document),
            "deliveries": [views.delivery(delivery, now)] if delivery else [],
        },
    )
