"""Records of every type: create one or several, read one, and what an update may not do."""

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from services.ingest.api import answers, describe
from services.ingest.api.gateway import Gateway, gateway_of, path_id
from services.ingest.api.writes import accept
from services.ingest.auth import Caller
from services.ingest.problems import FieldError, Problem, invalid, no_record
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
        read = describe.read("RecordAnswer", f"Read a {name}", "record_not_found")
        router.get(f"/{plural}/{{id}}", **read)(self.read)
        router.patch(f"/{plural}/{{id}}", **describe.refused_update(self._type))(self.update)
        return router

    async def create(self, request: Request) -> Response:
        """One record, an array of up to 10, or an object with the array; the 202 already carries the new ids."""
        return await accept(request, "create", self._type)

    async def read(self, request: Request) -> Response:
        """The record's fields, version and times."""
        caller = await gateway_of(request).caller(request)
        record = await record_of(request, caller, self._type)
        return answers.found(request, shown(record))

    async def update(self, request: Request) -> Response:
        """Files have an endpoint of their own; other members can't be updated yet."""
        gateway = gateway_of(request)
        await gateway.caller(request)
        async with gateway.bodies.read(request) as body:
            members = body.value if isinstance(body.value, dict) else {}
            message = f"Files are not updated here: use POST /{self._type.plural}/{{id}}/attachments to add some."
            errors = [FieldError(f"/{name}", "wrong_endpoint", message) for name in self._type.files if name in members]
        if errors:
            raise invalid(errors)
        raise Problem("method_not_allowed", "Updates are not offered yet.", headers={"Allow": "GET"})


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
