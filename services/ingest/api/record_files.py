"""Attachments of a record, of every type: append, remove, list."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from services.ingest.api import answers, describe
from services.ingest.api.attachments import described
from services.ingest.api.gateway import gateway_of
from services.ingest.api.records import record_of
from services.ingest.api.writes import accept
from services.ingest.record_types import RECORD_TYPES, RecordType


class RecordFileRoutes:
    """The attachment routes of one type of record."""

    def __init__(self, record_type: RecordType) -> None:
        self._type = record_type

    def router(self) -> APIRouter:
        """Each path by itself, so that each is described by itself."""
        name, path = self._type.name, f"/{self._type.plural}/{{id}}/attachments"
        router = APIRouter(tags=[self._type.plural])
        append = describe.write_on_record(self._type.attachments.__name__, f"Append files to a {name}")
        router.post(path, **append)(self.append)
        remove = describe.write_on_record("RemovePayload", f"Remove attachments of a {name} for good")
        router.delete(path, **remove)(self.remove)
        listed = describe.read("AttachmentsAnswer", f"List the stored attachments of a {name}", "record_not_found")
        router.get(path, **listed)(self.of_record)
        return router

    async def append(self, request: Request) -> Response:
        """Files for a record that is there, or whose create is on its way."""
        return await accept(request, "append", self._type)

    async def remove(self, request: Request) -> Response:
        """Which of the ids were attachments of the record, the outcome tells."""
        return await accept(request, "remove", self._type)

    async def of_record(self, request: Request) -> Response:
        """Stored files only, oldest first."""
        gateway = gateway_of(request)
        caller = await gateway.caller(request)
        record = await record_of(request, caller, self._type)
        place = f"{caller.tenant}/{self._type.name}/{record['_id']}"
        documents = await gateway.reads.attachments(caller.environment, place)
        return answers.found(request, [described(document) for document in documents])


routers = [RecordFileRoutes(record_type).router() for record_type in RECORD_TYPES.values()]
