"""Assign temporary uploads to records."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from services.ingest.api import describe
from services.ingest.api.writes import accept

router = APIRouter(tags=["attachments"])


@router.post(
    "/attachments/temporary/assign",
    **describe.write("AssignPayload", "Assign temporary uploads to records", "record_not_found"),
)
async def assign(request: Request) -> Response:
    """With several records each file belongs to all of them; a file that is gone or taken is an outcome of its own."""
    return await accept(request, "assign")
