"""Records of every type: create one or several, read, update, erase."""

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from services.ingest.api import answers, describe
from services.ingest.api.gateway import Gateway, gateway_of, path_id
from services.ingest.api.preconditions import etag, unchanged
from services.ingest.api.writes import accept
from services.ingest.auth import Caller
from services.ingest.problems import Problem, no_record
from services.ingest.record_types import RECORD_TYPES, RecordType


class RecordRoutes:
    """The routes of one type of record."""

    def __init__(self, record_type: RecordType) -> None:
        self._type = record_type

    def router(self) -> APIRouter:
        """Each path by itself, so that each is described by itself."""
        name, plural = self._type.name, self._type.plural
        router = APIRouter(tags=[plural])
        create = describe.write(f"Create{plural.title()}", f"Create one {name}, or up to ten")
        router.post(f"/{plural}", **create)(self.create)
        read = describe.record(f"Read a {name}")
        router.get(f"/{plural}/{{id}}", **read)(self.read)
        update = describe.write_on_record(self._type.update.__name__, f"Update a {name}")
        router.patch(f"/{plural}/{{id}}", **update)(self.update)
        erase = describe.write_on_record("ErasePayload", f"Erase a {name}", body_required=False)
        router.delete(f"/{plural}/{{id}}", **erase)(self.erase)
        return router

    async def create(self, request: Request) -> Response:
        """One record, an array of up to 10, or an object with the array; the 202 already carries the new ids."""
        return await accept(request, "create", self._type)

    async def read(self, request: Request) -> Response:
        """The record's fields, version and times."""
        caller = await gateway_of(request).caller(request)
        record = await record_of(request, caller, self._type)
        tag = {"ETag": etag(record["version"])}
        if unchanged(request, record["version"]):
            return Response(status_code=304, headers=answers.NO_STORE | tag)
        answer = answers.found(request, shown(record))
        answer.headers.update(tag)
        return answer

    async def update(self, request: Request) -> Response:
        """Arrays and objects replace, null clears; files have an endpoint of their own."""
        return await accept(request, "update", self._type)

    async def erase(self, request: Request) -> Response:
        """The record and every stored byte of it, for good; a body is not needed."""
        return await accept(request, "erase", self._type)


def shown(record: dict[str, Any]) -> dict[str, Any]:
    """A record as it is shown."""
    times = {name: record.get(name) for name in ("createdAt", "updatedAt")}
    return (record.get("fields") or {}) | {"id": record["_id"], "version": record["version"]} | times


async def record_of(request: Request, caller: Caller, record_type: RecordType) -> dict[str, Any]:
    """The record in the path. Raises Problem record_not_found, with a hint when its create is still open."""
    record_id = path_id(request)
    if record_id is None:
        raise no_record(record_type.name)
    return await record_with(gateway_of(request), caller, record_type, record_id)


async def record_with(gateway: Gateway, caller: Caller, record_type: RecordType, record_id: str) -> dict[str, Any]:
    """The record with this id. Raises Problem record_not_found, with a hint when its create is still open."""
    record = await gateway.reads.record(caller.environment, caller.tenant, record_type.name, record_id)
    if record is not None:
        return record
    if await gateway.ledger.record_known(caller.environment, caller.tenant, record_type.name, record_id):
        hint = "It is still on its way: GET /mutations/{idempotencyKey} with the key of its create tells its state."
        raise Problem("record_not_found", hint)
    raise no_record(record_type.name)


routers = [RecordRoutes(record_type).router() for record_type in RECORD_TYPES.values()]
