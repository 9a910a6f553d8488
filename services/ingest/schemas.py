"""The payloads as models: what validates them is also what their JSON Schema and the API's description are made of."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Annotated, Any, ClassVar, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator, WithJsonSchema
from pydantic.alias_generators import to_camel, to_snake
from pydantic.config import JsonDict

from services.ingest import fields
from services.ingest.inline_files import InlineFile, inline_file
from shared import limits

DATA_SCHEMA: Final = {
    "type": ["string", "null"],
    "pattern": "^[Dd][Aa][Tt][Aa]:[^,]*;[Bb][Aa][Ss][Ee]64,",
    "description": "data:<type>;base64,<data>; at most 5 MiB decoded, canonical base64",
    "examples": ["data:text/plain;base64,aGVsbG8="],
}


ONE_SOURCE: Final[JsonDict] = {
    "oneOf": [{"required": [name], "properties": {name: {"type": "string"}}} for name in ("url", "data")]
}


class Payload(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, alias_generator=to_camel)


class FilePayload(Payload):
    """A file by URL or as base64; exactly one of `url` and `data`."""

    model_config = ConfigDict(json_schema_extra=ONE_SOURCE)

    filename: fields.Filename
    url: fields.Url | None = None
    data: Annotated[InlineFile | None, PlainValidator(lambda value: None if value is None else inline_file(value)),
                    WithJsonSchema(DATA_SCHEMA)] = None  # fmt: skip


def _files(value: object) -> object:
    """One file may stand without brackets; what is beyond the limit is an error of its own, so it is not read."""
    if isinstance(value, dict):
        return [value]
    if not isinstance(value, list):
        raise fields.refuse("invalid_type", "Send a file object, or an array of them.")
    return value[: limits.FILES_PER_FIELD]


def _one_or_many(schema: dict[str, Any]) -> None:
    """Describe what `_files` takes: one file, or an array of them."""
    many = schema | {"maxItems": limits.FILES_PER_FIELD}
    schema.clear()
    schema["anyOf"] = [many["items"], many]


Files = Annotated[list[FilePayload], BeforeValidator(_files), Field(json_schema_extra=_one_or_many)]
_member = cache(to_snake)


def _one_of_them(schema: dict[str, Any]) -> None:
    """Describe that one member is needed."""
    schema["anyOf"] = [{"required": [name]} for name in schema["properties"]]


def _one_that_holds_something(schema: dict[str, Any]) -> None:
    """Describe that one member is needed that is not empty."""
    filled: dict[str, Any] = {"not": {"enum": [None, [], {}]}}
    schema["anyOf"] = [{"required": [name], "properties": {name: filled}} for name in schema["properties"]]


class FilesPayload(Payload):
    """Files for a record, at least one; a field takes at most five in one request."""

    model_config = ConfigDict(json_schema_extra=_one_that_holds_something)

    file_types: ClassVar[Mapping[str, str | None]]  # by attachment field, as it is sent: the type its files get

    def files(self) -> Iterator[tuple[str, FilePayload]]:
        """(field, file) in the order of the fields."""
        for name in self.file_types:
            yield from ((name, file) for file in getattr(self, _member(name)) or ())


class RecordPayload(FilesPayload):
    """A new record: every member is optional, but one is needed; null is the same as leaving out."""

    def record_fields(self) -> dict[str, Any]:
        """What the record will hold, in camelCase, without files and absent members."""
        return self.model_dump(by_alias=True, exclude_none=True, exclude={_member(name) for name in self.file_types})


class UpdatePayload(Payload):
    """New values of a record's members, at least one; arrays and objects replace, null clears."""

    model_config = ConfigDict(json_schema_extra=_one_of_them)

    elsewhere: ClassVar[Mapping[str, str]]  # members that are no business of an update: the endpoint to use

    def changes(self) -> dict[str, Any]:
        """{set: {name: value}, clear: [name]}, names in camelCase."""
        given = self.model_dump(by_alias=True, exclude_none=True, exclude_unset=True)
        sent = (to_camel(name) for name in sorted(self.model_fields_set))
        return {"set": given, "clear": [name for name in sent if name not in given]}


class RemovePayload(Payload):
    """The attachments to remove for good."""

    attachment_ids: Annotated[
        list[fields.AttachmentId], Field(min_length=1, max_length=limits.ATTACHMENT_IDS_PER_REQUEST)
    ]


class ErasePayload(Payload):
    """Nothing: what is erased stands in the path."""


class AssignedFile(Payload):
    """A temporary upload that becomes an attachment; without a name it keeps its own."""

    id: fields.AttachmentId
    type: fields.AttachmentType
    name: fields.Filename | None = None


class AssignPayload(Payload):
    """Temporary uploads, each once, for at least one record; with several records each file belongs to all of them."""

    attachments: Annotated[list[AssignedFile], Field(min_length=1, max_length=limits.ASSIGNED_PER_REQUEST)]
    candidate_id: fields.RecordId | None = None
    company_id: fields.RecordId | None = None
    vacancy_id: fields.RecordId | None = None

    def records(self) -> list[dict[str, str]]:
        """{type, id} of each record, in a fixed order."""
        named = {"candidate": self.candidate_id, "company": self.company_id, "vacancy": self.vacancy_id}
        return [{"type": name, "id": record_id} for name, record_id in named.items() if record_id is not None]


class TenantPayload(Payload):
    """A new tenant; its name becomes part of its topics' names."""

    name: fields.TenantName
