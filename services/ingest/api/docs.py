"""/openapi.json and /docs: made once, from the routes and the models; nothing of them comes from another host."""

from html import escape
from typing import Any, Final

import orjson
from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from services.ingest import asyncapi
from services.ingest.api import describe, schemas_admin, schemas_out, schemas_oversight, schemas_pages, schemas_repairs
from services.ingest.operator_payloads import ReplayPayload, ResendPayload
from services.ingest.record_types import RECORD_TYPES, RecordType
from services.ingest.schemas import AssignPayload, ErasePayload, RemovePayload, TenantPayload
from shared import limits
from shared.errors import FIELD_CODES, OUTCOME_CODES, REQUEST_CODES, Code

router = APIRouter(include_in_schema=False)
STEERED: Final[tuple[type[BaseModel], ...]] = (
    *(each.update for each in RECORD_TYPES.values()), *(each.attachments for each in RECORD_TYPES.values()),
    RemovePayload, ErasePayload, AssignPayload,
)  # fmt: skip
PAYLOADS: Final = (*(each.create for each in RECORD_TYPES.values()), *STEERED)
ANSWERS: Final[tuple[type[BaseModel], ...]] = (
    schemas_out.AcceptedAnswer, schemas_out.ProblemAnswer, schemas_out.RecordAnswer, schemas_out.AttachmentAnswer,
    schemas_out.AttachmentsAnswer, schemas_out.LinkAnswer, schemas_out.MutationAnswer, schemas_out.MutationState,
    schemas_out.ResetAnswer, schemas_pages.RecordsPage, schemas_pages.RecordsAnswer, schemas_pages.AttachmentsPage,
    schemas_out.UploadedFiles,
)  # fmt: skip
ADMINISTRATION: Final[tuple[type[BaseModel], ...]] = (
    TenantPayload, ResendPayload, ReplayPayload,
    *schemas_admin.ANSWERS, *schemas_oversight.ANSWERS, *schemas_repairs.ANSWERS,
)  # fmt: skip
CONTROLS: Final = {"idempotencyKey": describe.KEY_SCHEMA, "callbackUrl": describe.URL_SCHEMA}
SERVERS: Final = [
    {"url": "/", "description": "Live, or with x-api-sandbox: true the sandbox"},
    {"url": "/sandbox", "description": "The sandbox: the same routes with records and files of its own"},
]
ASYNCAPI: Final = orjson.dumps(asyncapi.document())
POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"
STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "pre,code{background:#f3f3f3;font-size:.85rem}pre{padding:.7rem;overflow:auto;max-height:24rem}"
    "h2{margin-top:2.5rem}table{border-collapse:collapse}td{border:1px solid #ccc;padding:.2rem .6rem}"
)


@router.get("/openapi.json")
async def openapi(request: Request) -> Response:
    """The description of the API."""
    return Response(orjson.dumps(request.app.openapi()), media_type="application/json")


@router.get("/asyncapi")
async def topics(request: Request) -> Response:
    """The description of the tenants' topics (AsyncAPI 3)."""
    return Response(ASYNCAPI, media_type="application/json")


@router.get("/docs")
async def docs(request: Request) -> Response:
    """The same for readers, without a script and without another host."""
    return HTMLResponse(page(request.app.openapi()), headers={"Content-Security-Policy": POLICY})


def attach(app: FastAPI) -> None:
    """Replace the framework's description with the complete one."""

    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _described(app)
        return app.openapi_schema

    app.openapi = described  # type: ignore[method-assign]


def _described(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    _, schemas = models_json_schema(
        [(model, "validation") for model in (*PAYLOADS, *ANSWERS, *ADMINISTRATION)],
        ref_template=describe.COMPONENTS + "{model}",
    )
    definitions: dict[str, Any] = schemas["$defs"]
    for record_type in RECORD_TYPES.values():
        definitions |= _create(record_type, definitions[record_type.create.__name__])
    for model in STEERED:
        definitions[model.__name__] = _steered(definitions[model.__name__])
    key = {"type": "apiKey", "in": "header", "name": "x-api-key", "description": "A tenant's key"}
    admin = key | {"description": "An admin key, which has no tenant"}
    document["components"] = {"schemas": definitions, "securitySchemes": {"apiKey": key, "adminKey": admin}}
    return document | {"servers": SERVERS, "security": [{"apiKey": []}]}


def _steered(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a payload as a body, which takes the controls, too."""
    return schema | {"properties": schema.get("properties", {}) | CONTROLS}


def _create(record_type: RecordType, schema: dict[str, Any]) -> dict[str, Any]:
    """One record, an array of up to 10, or an object with the array: schemas by name. Members take no controls."""
    plural, member = record_type.plural, {"$ref": describe.COMPONENTS + record_type.create.__name__}
    request, one = f"Create{plural.title()}", f"Create{record_type.name.title()}"
    many = {"type": "array", "minItems": 1, "maxItems": limits.RECORDS_PER_REQUEST, "items": member}
    wrapped = _steered({"type": "object", "properties": {plural: many}, "required": [plural]})
    choices = [{"$ref": describe.COMPONENTS + one}, many, wrapped | {"additionalProperties": False}]
    return {one: _steered(schema), request: {"anyOf": choices}}


def page(document: dict[str, Any]) -> str:
    """The description as one HTML page."""
    operations = (
        _operation(method, path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    )
    schemas = (
        f'<h3 id="{escape(name)}">{escape(name)}</h3>{_pre(schema)}'
        for name, schema in document["components"]["schemas"].items()
    )
    title = escape(document["info"]["title"])
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
        f"<h1>{title}</h1><p>{escape(document['info'].get('description', ''))}</p>"
        f'<p>For programs: <a href="openapi.json">openapi.json</a>; for topics: <a href="asyncapi">asyncapi</a></p>'
        f"{''.join(operations)}"
        f"<h2>Codes of refusals</h2>{_codes(REQUEST_CODES)}<h2>Codes of single errors</h2>{_codes(FIELD_CODES)}"
        f"<h2>Codes of outcomes</h2>{_codes(OUTCOME_CODES)}<h2>Schemas</h2>{''.join(schemas)}</html>"
    )


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    parameters = "".join(
        f"<li><code>{escape(one['name'])}</code> ({one['in']}) {escape(one.get('description', ''))}</li>"
        for one in operation.get("parameters", ())
    )
    content = operation.get("requestBody", {}).get("content", {}).values()
    body = "".join(f"<p>Body: {_link(one['schema'])}</p>" for one in content)
    answers = "".join(
        f"<tr><td>{status}</td><td>{escape(answer['description'])}</td><td>"
        + " ".join(_link(one["schema"]) for one in answer.get("content", {}).values())
        + "</td></tr>"
        for status, answer in operation["responses"].items()
    )
    return (
        f"<h2><code>{method.upper()} {escape(path)}</code></h2><p>{escape(operation.get('summary', ''))}. "
        f"{escape(operation.get('description', ''))}</p><ul>{parameters}</ul>{body}<table>{answers}</table>"
    )


def _link(schema: dict[str, Any]) -> str:
    name = escape(schema.get("$ref", "").rpartition("/")[2])
    return f'<a href="#{name}">{name}</a>' if name else ""


def _pre(schema: dict[str, Any]) -> str:
    return f"<pre>{escape(orjson.dumps(schema, option=orjson.OPT_INDENT_2).decode())}</pre>"


def _codes(codes: dict[str, Code]) -> str:
    rows = "".join(
        f"<tr><td><code>{name}</code></td><td>{code.status or ''}</td><td>{escape(code.title)}</td>"
        f"<td>{escape(code.advice)}</td></tr>"
        for name, code in codes.items()
    )
    return f"<table>{rows}</table>"
