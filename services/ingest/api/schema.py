"""GET /schema: what validates a payload, as JSON Schema."""

from typing import Any, Final

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from services.ingest.api import describe, parameters
from services.ingest.api.answers import NO_STORE
from services.ingest.api.gateway import gateway_of
from services.ingest.payload_schema import DIALECT, OPERATIONS, payload_schema
from services.ingest.record_types import CANDIDATE, RECORD_TYPES

router = APIRouter(tags=["schema"])
MEDIA_TYPE: Final = "application/schema+json"
OPERATION: Final[dict[str, Any]] = {"enum": [*OPERATIONS]}
RECORD_TYPE: Final[dict[str, Any]] = {"enum": [*RECORD_TYPES], "default": CANDIDATE.name}


def _described() -> dict[str, Any]:
    asked = [
        describe.parameter("operation", "Of a new record, or of changes to one.", **OPERATION) | {"required": True},
        describe.parameter("recordType", "Of which records.", **RECORD_TYPE),
    ]
    described = describe.query("", "Read the JSON Schema of a payload", asked)
    answer = {"type": "object", "required": ["$schema"], "properties": {"$schema": {"const": DIALECT}}}
    described["responses"][200] = {"description": "Found", "content": {MEDIA_TYPE: {"schema": answer}}}
    return described


@router.get("/schema", **_described())
async def schema(request: Request) -> Response:
    """JSON Schema 2020-12, made from the models that validate."""
    await gateway_of(request).caller(request)
    operation = parameters.word(request, "operation", OPERATIONS)
    if operation is None:
        raise parameters.refused("operation", f"Send one of these as operation: {', '.join(OPERATIONS)}.")
    record_type = parameters.word(request, "recordType", RECORD_TYPES) or CANDIDATE.name
    return Response(orjson.dumps(payload_schema(record_type, operation)), headers=NO_STORE, media_type=MEDIA_TYPE)
