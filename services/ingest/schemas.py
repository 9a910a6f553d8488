"""The payloads as models: what validates them is also what their JSON Schema and the API's description are made of."""

from collections.abc import Iterator
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator, WithJsonSchema
from pydantic.alias_generators import to_camel

from services.ingest import fields
from services.ingest.inline_files import InlineFile, inline_file
from shared import limits

CANDIDATE_FILES: Final = ("curriculumVitae", "otherAttachments")
DATA_SCHEMA: Final = {
    "type": "string",
    "pattern": "^data:[^,]*;base64,",
    "description": "data:<type>;base64,<data>; at most 5 MiB decoded, canonical base64",
    "examples": ["data:text/plain;base64,aGVsbG8="],
}


class Payload(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, alias_generator=to_camel)


class FilePayload(Payload):
    """A file by URL or as base64; exactly one of `url` and `data`."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": ["url"]}, {"required": ["data"]}]})

    filename: fields.Filename
    url: fields.Url | None = None
    data: Annotated[InlineFile | None, PlainValidator(lambda value: None if value is None else inline_file(value)),
                    WithJsonSchema(DATA_SCHEMA)] = None  # fmt: skip


def _files(value: object) -> object:
    """One file may stand without brackets; what is beyond the limit is an error of its own, so it is not read."""
    if isinstance(value, dict):
        return [value]
    return value[: limits.FILES_PER_FIELD] if isinstance(value, list) else value


def _one_or_many(schema: dict[str, Any]) -> None:
    """Describe what `_files` takes: one file, or an array of them."""
    many = schema | {"maxItems": limits.FILES_PER_FIELD}
    schema.clear()
    schema["anyOf"] = [many["items"], many]


Files = Annotated[list[FilePayload], BeforeValidator(_files), Field(json_schema_extra=_one_or_many)]


class AttachmentsPayload(Payload):
    """Files for a candidate, at least one; a field takes at most five in one request."""

    curriculum_vitae: Files | None = None
    other_attachments: Files | None = None

    def files(self) -> Iterator[tuple[str, FilePayload]]:
        """(field, file) in the order of the payload's fields."""
        for name, of_field in zip(CANDIDATE_FILES, (self.curriculum_vitae, self.other_attachments), strict=True):
            yield from ((name, file) for file in of_field or ())


class CandidatePayload(AttachmentsPayload):
    """A new candidate: every member is optional, but one is needed; null is the same as leaving out."""

    first_name: fields.Name | None = None
    last_name: fields.Name | None = None
    email: fields.Email | None = None
    phone: fields.Phone | None = None
    locale: fields.Locale | None = None
    external_id: fields.ExternalId | None = None
    tags: Annotated[list[fields.Tag], Field(max_length=50)] | None = None
    custom_fields: fields.CustomFields | None = None

    def record_fields(self) -> dict[str, Any]:
        """What the record will hold, in camelCase, without files and absent members."""
        return self.model_dump(by_alias=True, exclude_none=True, exclude={"curriculum_vitae", "other_attachments"})


class RemovePayload(Payload):
    """The attachments to remove for good."""

    attachment_ids: Annotated[
        list[fields.AttachmentId], Field(min_length=1, max_length=limits.ATTACHMENT_IDS_PER_REQUEST)
    ]
