"""Lists of records: page by page, and by e-mail address or telephone number where a type has them."""

from typing import Any, Final

from fastapi import APIRouter
from pydantic import TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from services.ingest import fields
from services.ingest.api import answers, describe, parameters
from services.ingest.api.gateway import gateway_of
from services.ingest.api.records import shown
from services.ingest.cursors import PATTERN, cursor_behind, last_id_of
from services.ingest.record_types import RECORD_TYPES, RecordType
from shared import limits
from shared.search import email_key, phone_key

EMAIL: Final[TypeAdapter[str]] = TypeAdapter(fields.Email)
PHONE: Final[TypeAdapter[str]] = TypeAdapter(fields.Phone)
ALWAYS: Final = ("id", "version")
TIMES: Final = ("createdAt", "updatedAt")
FOUND_BY: Final = [
    describe.parameter("email", "Read without regard to case; wins over phone.", minLength=1, maxLength=254),
    describe.parameter("phone", "Only its digits count; + and 00 are the same.", minLength=1, maxLength=50),
]
PAGE_SIZE: Final[dict[str, Any]] = {
    "type": "integer",
    "minimum": 1,
    "maximum": limits.PAGE_SIZE,
    "default": limits.PAGE_SIZE_DEFAULT,
}


class RecordListRoutes:
    """The lists of one type of record."""

    def __init__(self, record_type: RecordType) -> None:
        self._type = record_type
        self._names = (*ALWAYS, *record_type.fields, *TIMES)

    def router(self) -> APIRouter:
        """Each path by itself, so that each is described by itself."""
        choice: dict[str, Any] = {"type": "array", "minItems": 1, "items": {"type": "string", "enum": [*self._names]}}
        names = describe.parameter("fields", "Names separated by commas; id and version come always.", **choice)
        asked = [
            describe.parameter("cursor", "meta.nextCursor of the page before.", pattern=PATTERN),
            describe.parameter("pageSize", "The most records a page may hold.", **PAGE_SIZE),
            names | {"style": "form", "explode": False},
        ]
        router = APIRouter(tags=[self._type.plural])
        described = describe.query("RecordsPage", f"List {self._type.plural}", asked)
        router.get(f"/{self._type.plural}", **described)(self.page)
        if "email" in self._type.fields and "phone" in self._type.fields:
            summary = f"Find {self._type.plural} by e-mail address or telephone number"
            router.get(f"/{self._type.plural}/find", **describe.query("RecordsAnswer", summary, FOUND_BY))(self.find)
        return router

    async def page(self, request: Request) -> Response:
        """Newest first; a page stays what it was while records are added."""
        gateway = gateway_of(request)
        caller = await gateway.caller(request)
        listed = f"{caller.environment}/{caller.tenant}/{self._type.name}"
        size = parameters.number(request, "pageSize", limits.PAGE_SIZE_DEFAULT, limits.PAGE_SIZE)
        names, before = parameters.names(request, "fields", self._names), _before(request, listed)
        wanted = None if names is None else [name for name in self._type.fields if name in names]
        found = await gateway.lists.records(
            caller.environment, caller.tenant, self._type.name, before, size + 1, wanted
        )
        data = [_chosen(shown(record), names) for record in found[:size]]
        more = cursor_behind(listed, data[-1]["id"]) if len(found) > size else None
        return answers.found(request, data, nextCursor=more)

    async def find(self, request: Request) -> Response:
        """At most ten, newest first; the e-mail address counts when both are sent."""
        gateway = gateway_of(request)
        caller = await gateway.caller(request)
        found = await gateway.lists.records_by_key(
            caller.environment, caller.tenant, self._type.name, _key(request), limits.RECORDS_FOUND
        )
        return answers.found(request, [shown(record) for record in found])


def _before(request: Request, listed: str) -> str | None:
    cursor = parameters.text(request, "cursor")
    if cursor is None:
        return None
    before = last_id_of(listed, cursor)
    if before is None:
        raise parameters.refused("cursor", "Send meta.nextCursor of this list as it came, or begin without a cursor.")
    return before


def _chosen(record: dict[str, Any], names: list[str] | None) -> dict[str, Any]:
    kept = record if names is None else {*ALWAYS, *names}
    return {name: value for name, value in record.items() if name in kept}


def _key(request: Request) -> str:
    email, phone = parameters.text(request, "email"), parameters.text(request, "phone")
    if email is not None:
        key = email_key(email) if _fits(EMAIL, email) else None
        if key is None:
            raise parameters.refused("email", "Send an e-mail address like name@example.org; its + is sent as %2B.")
    elif phone is not None:
        key = phone_key(phone) if _fits(PHONE, phone) else None
        if key is None:
            raise parameters.refused("phone", "Send a number like +1 (555) 010-0199; its + is sent as %2B.")
    else:
        raise parameters.refused("email", "Send email or phone.")
    return key


def _fits(form: TypeAdapter[str], text: str) -> bool:
    """Whether a record could hold it; nothing else can be found."""
    try:
        form.validate_python(text)
    except ValidationError:
        return False
    return True


routers = [RecordListRoutes(record_type).router() for record_type in RECORD_TYPES.values()]
