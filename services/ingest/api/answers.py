"""How answers look on the wire: the envelope, the 202 of a write, and problems."""

from typing import Any, Final

import orjson
from prometheus_client import Counter
from starlette.requests import Request
from starlette.responses import Response

from services.ingest.intake import Accepted
from services.ingest.problems import Problem
from shared.ledger import MutationDocument

ACCEPTED_MESSAGE: Final = "The mutation request has been accepted for processing."
PROBLEM_TYPE: Final = "application/problem+json"
JSON_OPTIONS: Final = orjson.OPT_UTC_Z | orjson.OPT_NAIVE_UTC
PROBLEMS = Counter("engine_http_problems_total", "Refusals by their code, as in docs/errors.md", ["code"])
PROBLEMS.labels("internal_error")  # the first one must be seen to be a rise
NO_STORE: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


def json_response(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Any JSON; answers hold personal data, so nobody may cache them."""
    content = orjson.dumps(body, option=JSON_OPTIONS)
    return Response(content, status, NO_STORE | (headers or {}), "application/json")


def found(request: Request, data: Any, **meta: Any) -> Response:
    """200 in the envelope; `meta` holds what a page says about itself."""
    return _enveloped(request, 200, "OK", data, meta)


def created(request: Request, data: Any) -> Response:
    """201 in the envelope."""
    return _enveloped(request, 201, "Created", data, {})


def gone() -> Response:
    """204: it is not there any more."""
    return Response(status_code=204, headers=NO_STORE)


def accepted(request: Request, key: str, result: Accepted) -> Response:
    """202: an acknowledgement, not a result."""
    data = {
        "status": "accepted",
        "idempotencyKey": key,
        "mutationId": result.held["_id"],
        "message": ACCEPTED_MESSAGE,
        "mutations": [_mutation(document) for document in result.mutations],
    }
    meta = {"sandboxEnabled": request.state.sandbox}
    body = {"statusCode": 202, "message": ACCEPTED_MESSAGE, "data": data, "meta": meta}
    return json_response(body, 202, {"Idempotency-Replayed": "true"} if result.replayed else None)


def acknowledged(request: Request, message: str, data: Any) -> Response:
    """202 of what is no mutation: it has no key and no callback."""
    meta = {"sandboxEnabled": request.state.sandbox}
    return json_response({"statusCode": 202, "message": message, "data": data, "meta": meta}, 202)


def problem(refusal: Problem, instance: str, sandbox: bool) -> Response:
    """Any refusal."""
    PROBLEMS.labels(refusal.code).inc()
    content = orjson.dumps(refusal.document(instance, sandbox))
    return Response(content, refusal.status, NO_STORE | refusal.headers, PROBLEM_TYPE)


def _enveloped(request: Request, status: int, message: str, data: Any, more: dict[str, Any]) -> Response:
    meta = {"sandboxEnabled": request.state.sandbox} | more
    return json_response({"statusCode": status, "message": message, "data": data, "meta": meta}, status)


def _mutation(document: MutationDocument) -> dict[str, Any]:
    files = document.get("files", {})
    listed = ((file_id, files.get(file_id, {})) for file_id in document.get("fileIds", ()))
    return {
        "mutationId": document["_id"],
        "idempotencyKey": document["key"],
        "record": document["record"],
        "records": document.get("records") or [document["record"]],
        "attachments": [
            {"id": file_id, "field": file.get("field"), "filename": file.get("filename")} for file_id, file in listed
        ],
    }
