"""How routes describe themselves: they read bodies on their own, so the description is made from the models by hand."""

from typing import Any, Final

from starlette.responses import Response

from shared.errors import REQUEST_CODES
from shared.limits import (
    ATTACHMENT_TYPES,
    FILES_PER_UPLOAD,
    IDEMPOTENCY_KEY_PATTERN,
    SECRET_OVERLAP_MOST_SECONDS,
    SECRET_OVERLAP_SECONDS,
)

COMPONENTS: Final = "#/components/schemas/"
ALWAYS: Final = (
    "malformed_request", "parameter_invalid", "unauthorized", "forbidden", "rate_limited", "unavailable",
    "internal_error",
)  # fmt: skip
BODY: Final = (
    "malformed_json", "body_too_slow", "payload_too_large", "unsupported_media_type", "validation_failed",
    "over_capacity",
)  # fmt: skip
WRITES: Final = (
    *BODY, "idempotency_key_conflict", "idempotency_key_invalid", "callback_url_conflict", "idempotency_key_reused",
)  # fmt: skip
KEY_SCHEMA: Final = {"type": "string", "pattern": IDEMPOTENCY_KEY_PATTERN}
URL_SCHEMA: Final = {"type": "string", "format": "uri"}
SANDBOX: Final = {
    "name": "x-api-sandbox", "in": "header", "schema": {"type": "boolean", "default": False},
    "description": "The sandbox's own records; the path prefix /sandbox does the same, and excludes false.",
}  # fmt: skip
STEERING: Final = [
    {"name": "Idempotency-Key", "in": "header", "schema": KEY_SCHEMA, "description": "Made up when not sent."},
    {"name": "idempotencyKey", "in": "query", "schema": KEY_SCHEMA, "description": "The same, as a query parameter."},
    {"name": "callbackUrl", "in": "query", "schema": URL_SCHEMA, "description": "Where the outcome is sent."},
]
TAG_SCHEMA: Final = {"type": "string", "examples": ['"3"']}
IF_MATCH: Final = {
    "name": "If-Match", "in": "header",
    "schema": TAG_SCHEMA | {"pattern": r'^(\*|(W/)?"[!#-~]*"(, *(W/)?"[!#-~]*")*)$'},
    "description": "The ETags, quoted, of the versions that the record must have now and in its turn; * for any.",
}  # fmt: skip
IF_NONE_MATCH: Final = {
    "name": "If-None-Match", "in": "header", "schema": TAG_SCHEMA, "description": "ETags of versions already known.",
}  # fmt: skip
ID: Final = {"name": "id", "in": "path", "required": True, "schema": {"type": "string", "format": "uuid"}}
TENANT: Final = {"name": "tenant", "in": "path", "required": True, "schema": {"type": "string"}}
PUBLIC_ID: Final = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
OVERLAP: Final = {
    "name": "overlapSeconds", "in": "query",
    "schema": {"type": "integer", "minimum": 0, "maximum": SECRET_OVERLAP_MOST_SECONDS,
               "default": SECRET_OVERLAP_SECONDS},
}  # fmt: skip
KEY: Final = {
    "name": "idempotencyKey", "in": "path", "required": True, "schema": {"type": "string"},
    "description": "The # of a member's key is sent as %23.",
}  # fmt: skip


def write(schema: str, summary: str, *codes: str) -> dict[str, Any]:
    """A route that answers 202; `schema` names the model of its body, `codes` are problems beyond the usual ones."""
    body = {"required": True, "content": {"application/json": {"schema": {"$ref": COMPONENTS + schema}}}}
    replayed = {"description": "true when this key was used before", "schema": {"type": "string"}}
    answer = _json("AcceptedAnswer", "Accepted") | {"headers": {"Idempotency-Replayed": replayed}}
    return {
        "summary": summary,
        "status_code": 202,
        "response_class": Response,
        "responses": {202: answer} | _problems(*ALWAYS, *WRITES, *codes),
        "openapi_extra": {"requestBody": body, "parameters": [*STEERING, SANDBOX]},
    }


def write_on_record(schema: str, summary: str, body_required: bool = True) -> dict[str, Any]:
    """A write whose path names a record."""
    described = write(schema, summary, "record_not_found", "version_conflict")
    described["openapi_extra"]["requestBody"]["required"] = body_required
    described["openapi_extra"]["parameters"][:0] = [ID, IF_MATCH]
    return described


def record(summary: str) -> dict[str, Any]:
    """The route that reads one record."""
    described = read("RecordAnswer", summary, "record_not_found")
    tag = {"ETag": {"description": "The record's version, for If-Match", "schema": TAG_SCHEMA}}
    described["responses"][200]["headers"] = tag
    described["responses"][304] = {"description": "The record still has this version", "headers": tag}
    described["openapi_extra"]["parameters"].append(IF_NONE_MATCH)
    return described


def read(schema: str, summary: str, *codes: str) -> dict[str, Any]:
    """A route that answers 200 at once."""
    path = KEY if "mutation_not_found" in codes else ID
    return {
        "summary": summary,
        "response_class": Response,
        "responses": {200: _json(schema, "Found")} | _problems(*ALWAYS, *codes),
        "openapi_extra": {"parameters": [path, SANDBOX]},
    }


def query(schema: str, summary: str, parameters: list[dict[str, Any]], *codes: str) -> dict[str, Any]:
    """A route that answers 200 to query parameters, made by `parameter`."""
    return {
        "summary": summary,
        "response_class": Response,
        "responses": {200: _json(schema, "Found")} | _problems(*ALWAYS, *codes),
        "openapi_extra": {"parameters": [*parameters, SANDBOX]},
    }


def parameter(name: str, description: str, **schema: Any) -> dict[str, Any]:
    """A query parameter."""
    return {"name": name, "in": "query", "description": description, "schema": {"type": "string"} | schema}


def download() -> dict[str, Any]:
    """The route that redirects to the object store."""
    described = read("LinkAnswer", "Download an attachment", "attachment_not_found", "attachment_not_stored_yet")
    location = {"Location": {"schema": URL_SCHEMA}}
    described["responses"][307] = {"description": "The file, at a URL that works for 60 s", "headers": location}
    choice = {"type": "string", "enum": ["link"]}
    described["openapi_extra"]["parameters"].append({"name": "as", "in": "query", "schema": choice})
    return described


def reset(summary: str, status: int) -> dict[str, Any]:
    """A route about the reset of the sandbox."""
    return {
        "summary": summary,
        "status_code": status,
        "response_class": Response,
        "responses": {status: _json("ResetAnswer", "The latest reset")} | _problems(*ALWAYS),
    }


def upload() -> dict[str, Any]:
    """The route that takes temporary files."""
    file = {"type": "string", "format": "binary"}
    files = {"type": "array", "items": file, "minItems": 1, "maxItems": FILES_PER_UPLOAD}
    form = {"type": "object", "properties": {"files": files}, "required": ["files"], "additionalProperties": False}
    kind = {
        "name": "type", "in": "query", "schema": {"type": "string", "enum": ATTACHMENT_TYPES, "default": "unassigned"},
        "description": "What the files are for; read without regard to case.",
    }  # fmt: skip
    codes = (
        "body_too_slow", "payload_too_large", "unsupported_media_type", "validation_failed", "quota_exceeded",
        "over_capacity",
    )  # fmt: skip
    return {
        "summary": "Upload files for a later assign",
        "response_class": Response,
        "responses": {200: _json("UploadedFiles", "Kept until expiresAt")} | _problems(*ALWAYS, *codes),
        "openapi_extra": {
            "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": form}}},
            "parameters": [kind, SANDBOX],
        },
    }


def administer(
    schema: str | None, summary: str, status: int = 200, *parameters: dict[str, Any], body: str | None = None
) -> dict[str, Any]:
    """A route for admin keys; without a schema it answers without content, with a body also 200: it was there."""
    described = _json(schema, "Done") if schema else {"description": "Done"}
    codes = [*ALWAYS, "not_found", *(BODY if body else ())]
    extra: dict[str, Any] = {"security": [{"adminKey": []}], "parameters": list(parameters)}
    if body:
        extra["requestBody"] = {
            "required": True, "content": {"application/json": {"schema": {"$ref": COMPONENTS + body}}},
        }  # fmt: skip
    return {
        "summary": summary,
        "status_code": status,
        "response_class": Response,
        "responses": ({200: described} if body else {}) | {status: described} | _problems(*codes),
        "openapi_extra": extra,
    }


def watched(summary: str) -> dict[str, Any]:
    """A route for admin keys that answers with a stream of events."""
    described = administer(None, summary)
    stream = {"text/event-stream": {"schema": {"type": "string"}}}
    described["responses"][200] = {"description": "Events, until either side ends it", "content": stream}
    described["responses"] |= _problems("unavailable", "over_capacity")
    return described


def plain(summary: str, *statuses: int) -> dict[str, Any]:
    """A route that answers with text and needs no key."""
    text = {"description": summary, "content": {"text/plain": {"schema": {"type": "string"}}}}
    responses = dict.fromkeys([200, *statuses], text)
    return {"summary": summary, "response_class": Response, "responses": responses, "openapi_extra": {"security": []}}


def _json(schema: str, description: str) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": {"$ref": COMPONENTS + schema}}}}


def _problems(*codes: str) -> dict[int | str, dict[str, Any]]:
    """One answer for each status, naming the codes that it comes with."""
    by_status: dict[int | str, list[str]] = {}
    for code in codes:
        by_status.setdefault(REQUEST_CODES[code].status, []).append(code)
    content = {"application/problem+json": {"schema": {"$ref": COMPONENTS + "ProblemAnswer"}}}
    return {
        status: {"description": ", ".join(dict.fromkeys(names)), "content": content}
        for status, names in sorted(by_status.items(), key=str)
    }
