"""The list of a tenant's attachments: all, those of records, those of a type."""

from typing import Any, Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from services.ingest.api import answers, describe, parameters
from services.ingest.api.attachments import described
from services.ingest.api.gateway import gateway_of
from services.ingest.api.record_lists import PAGE_SIZE
from services.ingest.api.records import record_with
from services.ingest.record_types import RECORD_TYPES
from shared import limits

router = APIRouter(tags=["attachments"])
# Any spelling is read; the description names one.
TYPE: Final[dict[str, Any]] = {"enum": [*limits.ATTACHMENT_TYPES]}
PARAMETERS: Final = [
    *(describe.parameter(f"{name}Id", f"Only what this {name} has.", format="uuid") for name in RECORD_TYPES),
    describe.parameter("type", "Only files of this type, read without regard to case.", **TYPE),
    describe.parameter("page", "From 1.", type="integer", minimum=1, maximum=limits.ATTACHMENTS_LISTED, default=1),
    describe.parameter("pageSize", "The most files a page may hold.", **PAGE_SIZE),
]


@router.get(
    "/attachments",
    **describe.query("AttachmentsPage", "List stored attachments", PARAMETERS, "record_not_found", "validation_failed"),
)
async def page(request: Request) -> Response:
    """Newest first; with several records those files that all of them have."""
    gateway = gateway_of(request)
    caller = await gateway.caller(request)
    size = parameters.number(request, "pageSize", limits.PAGE_SIZE_DEFAULT, limits.PAGE_SIZE)
    number = parameters.number(request, "page", 1, limits.ATTACHMENTS_LISTED)
    kind = parameters.attachment_type(request)
    skip = (number - 1) * size
    if skip >= limits.ATTACHMENTS_LISTED:
        raise parameters.refused("page", f"Pages end at file {limits.ATTACHMENTS_LISTED}: ask for a record, or a type.")
    asked = {name: parameters.identity(request, f"{name}Id") for name in RECORD_TYPES}
    owners = {name: record_id for name, record_id in asked.items() if record_id}
    for name, record_id in owners.items():
        await record_with(gateway, caller, RECORD_TYPES[name], record_id)
    places = [f"{caller.tenant}/{name}/{record_id}" for name, record_id in owners.items()]
    found, total = await gateway.lists.attachments(caller.environment, caller.tenant, places, kind, skip, size)
    return answers.found(request, [described(each) for each in found], page=number, pageSize=size, total=total)
