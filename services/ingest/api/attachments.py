"""Attachments by their ids: describe, download."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from services.ingest.api import answers, describe, parameters
from services.ingest.api.gateway import gateway_of, path_id
from services.ingest.problems import Problem

router = APIRouter(tags=["attachments"])
LINK_SECONDS: Final = 60
DESCRIBED: Final = (
    "field", "type", "filename", "contentType", "declaredType", "size", "sha256", "createdAt", "expiresAt",
)  # fmt: skip


@router.get(
    "/attachments/{id}",
    **describe.read("AttachmentAnswer", "Describe an attachment", "attachment_not_found", "attachment_not_stored_yet"),
)
async def read(request: Request) -> Response:
    """Name, judged type, size in bytes, SHA-256, owners."""
    return answers.found(request, described(await _stored(request)))


@router.get("/attachments/{id}/content", **describe.download())
async def content(request: Request) -> Response:
    """307 to a URL of 60 s; with `?as=link` the URL as JSON, for clients that would send their key along."""
    document = await _stored(request)
    asked = parameters.word(request, "as", ["link"])
    expires = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=LINK_SECONDS)
    name, content_type = document.get("filename") or "file", document.get("contentType") or "application/octet-stream"
    url = await gateway_of(request).downloads.presign_get(document["key"], LINK_SECONDS, name, content_type)
    if asked == "link":
        return answers.json_response({"url": url, "expiresAt": expires})
    return Response(status_code=307, headers=answers.NO_STORE | {"Location": url, "Referrer-Policy": "no-referrer"})


async def _stored(request: Request) -> dict[str, Any]:
    gateway = gateway_of(request)
    caller = await gateway.caller(request)
    if attachment := path_id(request):
        if document := await gateway.reads.attachment(caller.environment, caller.tenant, attachment):
            return document
        if upload := await gateway.uploads.find(caller, attachment):
            return upload
        if key := await gateway.reads.pending_key(caller.environment, caller.tenant, attachment):
            where = f"GET /mutations/{key.replace('#', '%23')}"
            raise Problem("attachment_not_stored_yet", f"The file is on its way; {where} tells its state.")
        # Its mutation may have ended between the look-ups.
        if document := await gateway.reads.attachment(caller.environment, caller.tenant, attachment):
            return document
    raise Problem("attachment_not_found", "There is no attachment with this id.")


def described(document: dict[str, Any]) -> dict[str, Any]:
    """An attachment as it is shown: never its key, nor an owner that has lost it."""
    owners = [owner for owner in document.get("owners", ()) if owner.get("removedAt") is None]
    shown = {"id": document["_id"]} | {name: document.get(name) for name in DESCRIBED}
    return shown | {"owners": [{"type": owner["type"], "id": owner["id"]} for owner in owners]}
