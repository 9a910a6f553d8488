"""Temporary attachments: files that come before the records they belong to."""

from typing import Any, Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from services.ingest.api import answers, describe, parameters
from services.ingest.api.gateway import gateway_of
from services.ingest.api.multipart import Mark, Multipart, Part
from services.ingest.api.pieces import Pace, check_length, pieces
from services.ingest.problems import FieldError, invalid
from services.ingest.upload_batch import Batch
from services.ingest.validation import token
from shared import limits
from shared.uploads import UploadDocument

router = APIRouter(tags=["attachments"])
FIELD: Final = "files"
LARGEST: Final = limits.FILES_PER_UPLOAD * limits.TEMPORARY_FILE_BYTES + limits.UPLOAD_OVERHEAD_BYTES
SLICE_BYTES: Final = 64 * limits.KIB  # fed at once, so that the loop is never held for long


@router.post("/attachments/temporary", **describe.upload())
async def upload(request: Request) -> Response:
    """Up to 10 files in the field `files`, judged by their bytes alone; all are kept, or none.

    They wait for their assign until `expiresAt`.
    """
    gateway = gateway_of(request)
    caller = await gateway.caller(request)
    kind = parameters.attachment_type(request) or "unassigned"
    stream = Multipart(request.headers.get("content-type", ""))
    check_length(request, LARGEST, "send fewer or smaller files")
    async with gateway.uploads.batch(caller, kind) as batch:
        async for piece in pieces(request, Pace(limits.UPLOAD_SECONDS, gateway.bodies.rate, gateway.bodies.grace)):
            for start in range(0, len(piece), SLICE_BYTES):
                await _take(batch, stream, piece[start : start + SLICE_BYTES])
        stream.finish()
        documents = await batch.commit()
    return answers.json_response([_shown(document) for document in documents])


async def _take(batch: Batch, stream: Multipart, piece: bytes) -> None:
    for event in stream.feed(piece):
        if isinstance(event, bytes):
            await batch.write(event)
        elif event is Mark.END:
            await batch.end()
        elif isinstance(event, Part):
            if event.name != FIELD:
                raise invalid([FieldError(token(event.name), "unknown_field", "Send files in the field files.")])
            await batch.begin(event.filename, event.declared)


def _shown(document: UploadDocument) -> dict[str, Any]:
    return {
        "attachmentId": document["_id"],
        "attachmentName": document["filename"],
        "type": document["type"],
        "createdAt": document["createdAt"],
        "extension": document["extension"],
        "size": document["size"],
        "expiresAt": document["expiresAt"],
    }
