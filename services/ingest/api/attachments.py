"""Attachments of candidates: append, remove, list, describe, download."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from services.ingest.api import answers, describe
from services.ingest.api.candidates import CONTROLS, not_found
from services.ingest.api.gateway import checked, controls, gateway_of, path_id
from services.ingest.drafts import CANDIDATE
from services.ingest.problems import FieldError, Problem, invalid
from services.ingest.schemas import AttachmentsPayload, RemovePayload
from services.ingest.validation import validated

router = APIRouter(tags=["attachments"])
LINK_SECONDS: Final = 60
DESCRIBED: Final = ("field", "filename", "contentType", "declaredType", "size", "sha256", "createdAt")


@router.post(
    "/candidates/{id}/attachments",
    **describe.write("AttachmentsPayload", "Append files to a candidate", "record_not_found"),
)
async def append(request: Request) -> Response:
    """Files for a candidate that is there, or whose create is on its way."""
    gateway = gateway_of(request)
    caller = await gateway.caller(request)
    candidate = _candidate(request)
    async with gateway.bodies.read(request) as body:
        errors: list[FieldError] = []
        steering = controls(request, body.value, gateway.policy, errors)
        payload = await checked(
            body.size, validated, AttachmentsPayload, body.value, gateway.policy, errors, "", CONTROLS
        )
        if payload is None or errors:
            raise invalid(errors)
        write = steering.write(request, caller, "append", f"{CANDIDATE}/{candidate}", body.value)
        result = await gateway.intake.append(write, candidate, payload)
    return answers.accepted(request, write.key, result)


@router.delete(
    "/candidates/{id}/attachments",
    **describe.write("RemovePayload", "Remove attachments of a candidate for good", "record_not_found"),
)
async def remove(request: Request) -> Response:
    """Which of the ids were attachments of the candidate, the outcome tells."""
    gateway = gateway_of(request)
    caller = await gateway.caller(request)
    candidate = _candidate(request)
    async with gateway.bodies.read(request) as body:
        errors: list[FieldError] = []
        steering = controls(request, body.value, gateway.policy, errors)
        payload = validated(RemovePayload, body.value, gateway.policy, errors, ignored=CONTROLS)
        if payload is None or errors:
            raise invalid(errors)
        write = steering.write(request, caller, "remove", f"{CANDIDATE}/{candidate}", body.value)
        result = await gateway.intake.remove(write, candidate, payload.attachment_ids)
    return answers.accepted(request, write.key, result)


@router.get(
    "/candidates/{id}/attachments",
    **describe.read("AttachmentsAnswer", "List the stored attachments of a candidate", "record_not_found"),
)
async def of_candidate(request: Request) -> Response:
    """Stored files only, oldest first."""
    gateway = gateway_of(request)
    caller = await gateway.caller(request)
    candidate = path_id(request)
    record = await gateway.reads.candidate(caller.environment, caller.tenant, candidate) if candidate else None
    if record is None:
        raise await not_found(request, candidate)
    place = f"{caller.tenant}/{CANDIDATE}/{candidate}"
    documents = await gateway.reads.attachments(caller.environment, place)
    return answers.found(request, [_described(document) for document in documents])


@router.get(
    "/attachments/{id}",
    **describe.read("AttachmentAnswer", "Describe an attachment", "attachment_not_found", "attachment_not_stored_yet"),
)
async def read(request: Request) -> Response:
    """Name, judged type, size in bytes, SHA-256, owners."""
    return answers.found(request, _described(await _stored(request)))


@router.get("/attachments/{id}/content", **describe.download())
async def content(request: Request) -> Response:
    """307 to a URL of 60 s; with `?as=link` the URL as JSON, for clients that would send their key along."""
    asked = request.query_params.get("as")
    if asked not in (None, "link"):
        raise Problem("malformed_request", "The parameter as takes link, or is left out.")
    document = await _stored(request)
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
        if key := await gateway.reads.pending_key(caller.environment, caller.tenant, attachment):
            where = f"GET /mutations/{key.replace('#', '%23')}"
            raise Problem("attachment_not_stored_yet", f"The file is on its way; {where} tells its state.")
        # Its mutation may have ended between the two look-ups.
        if document := await gateway.reads.attachment(caller.environment, caller.tenant, attachment):
            return document
    raise Problem("attachment_not_found", "There is no attachment with this id.")


def _candidate(request: Request) -> str:
    candidate = path_id(request)
    if candidate is None:
        raise Problem("record_not_found", "There is no candidate with this id.")
    return candidate


def _described(document: dict[str, Any]) -> dict[str, Any]:
    owners = [owner for owner in document.get("owners", ()) if owner.get("removedAt") is None]
    shown = {"id": document["_id"]} | {name: document.get(name) for name in DESCRIBED}
    return shown | {"owners": [{"type": owner["type"], "id": owner["id"]} for owner in owners]}
