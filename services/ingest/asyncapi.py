"""The AsyncAPI 3 document of the tenants' topics, made from the models that validate commands."""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from services.ingest import schemas_topics
from services.ingest.commands import KINDS, NAMES_RECORD, TYPE, Command
from services.ingest.fields import UUID
from services.ingest.record_types import RECORD_TYPES, RecordType
from services.ingest.schemas import AssignPayload, ErasePayload, RemovePayload
from services.ingest.schemas_topics import OutcomeMessage
from shared import limits, topics
from shared.events import EVENT_TYPES, Kind, MutationCompleted
from shared.topics import TopicSpec

COMPONENTS: Final = "#/components/schemas/"
ID: Final = "0193a1f0-0000-7000-8000-000000000001"
NOTE: Final = {"filename": "note.txt", "data": "data:text/plain;base64,QSBub3RlIGFib3V0IG5vYm9keS4="}
Json = dict[str, Any]


class Form(NamedTuple):
    """One form of a command: an operation on a type of record, or on none (assign)."""

    operation: Kind
    record_type: RecordType | None

    @property
    def name(self) -> str:
        """As messages and schemas are called."""
        return self.operation.title() + (self.record_type.name.title() if self.record_type else "")

    @property
    def payload(self) -> type[BaseModel]:
        """The model of its payload; of a create, that of one record."""
        kind = self.record_type or next(iter(RECORD_TYPES.values()))
        models: dict[Kind, type[BaseModel]] = {
            "create": kind.create, "update": kind.update, "append": kind.attachments,
            "remove": RemovePayload, "erase": ErasePayload, "assign": AssignPayload,
        }  # fmt: skip
        return models[self.operation]


def forms() -> Iterator[Form]:
    """Every form that a command can have."""
    for operation in KINDS:
        for record_type in RECORD_TYPES.values() if operation != "assign" else [None]:
            yield Form(operation, record_type)


def document() -> Json:
    """The whole description."""
    every = list(forms())
    models: set[type[BaseModel]] = {Command, OutcomeMessage, *(form.payload for form in every)}
    ordered = sorted(models, key=lambda model: model.__name__)
    _, schemas = models_json_schema([(each, "validation") for each in ordered], ref_template=COMPONENTS + "{model}")
    definitions: Json = schemas["$defs"]
    envelope = definitions.pop(Command.__name__)
    definitions |= {f"{form.name}Command": _schema(form, envelope) for form in every}
    messages = {form.name: _command(form) for form in every} | {"Outcome": _outcome()}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Mutation Engine: topics", "version": "1.0",
            "description": "Commands are what the HTTP API takes as requests; every one has exactly one outcome.",
        },
        "defaultContentType": "application/json",
        "channels": {
            "commands": _channel("commands", topics.commands, [form.name for form in every]),
            "outcomes": _channel("outcomes", topics.outcomes, ["Outcome"]),
        },
        "operations": {
            "receiveCommand": _operation("receive", "commands", "Upstream systems produce, the engine consumes."),
            "sendOutcome": _operation("send", "outcomes", "The engine produces the outcome of every mutation."),
        },
        "components": {"messages": messages, "schemas": definitions},
    }  # fmt: skip


def example(form: Form) -> Json:
    """A valid command of this form."""
    envelope: Json = {"operation": form.operation, "idempotencyKey": f"{form.name.lower()}-42"}
    if form.record_type:
        envelope["recordType"] = form.record_type.name
    if form.operation in NAMES_RECORD:
        envelope["recordId"] = ID
    return envelope | {"callbackUrl": "https://hooks.example.com/mutations", "payload": _example_payload(form)}


def _example_payload(form: Form) -> Json:
    files = {name: [NOTE] for name in (form.record_type.files if form.record_type else ())}
    payloads: dict[Kind, Json] = {
        "create": {"externalId": "crm-42", "tags": ["example"]} | files,
        "update": {"externalId": "crm-43", "tags": ["example", "updated"], "locale": None},
        "append": files,
        "remove": {"attachmentIds": [ID]},
        "erase": {},
        "assign": {"attachments": [{"id": ID, "type": "CV", "name": "cv.pdf"}], "candidateId": ID, "vacancyId": ID},
    }
    return payloads[form.operation]


def _schema(form: Form, envelope: Json) -> Json:
    """The envelope as this operation needs it."""
    properties = dict(envelope["properties"]) | {"operation": {"const": form.operation}}
    required = ["operation", "idempotencyKey", *(["payload"] if form.operation != "erase" else [])]
    for name, value, needed in (
        ("recordType", {"const": form.record_type.name if form.record_type else None}, form.record_type is not None),
        ("recordId", {"type": "string", "pattern": f"^{UUID.pattern}$"}, form.operation in NAMES_RECORD),
    ):
        if needed:
            properties[name] = value
            required.append(name)
        else:
            del properties[name]
    properties["payload"] = _payload(form)
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _payload(form: Form) -> Json:
    one = {"$ref": COMPONENTS + form.payload.__name__}
    if form.operation == "erase":
        return {"anyOf": [one, {"type": "null"}]}
    if form.operation != "create" or form.record_type is None:
        return one
    many = {"type": "array", "minItems": 1, "maxItems": limits.RECORDS_PER_REQUEST, "items": one}
    plural = form.record_type.plural
    wrapped = {"type": "object", "properties": {plural: many}, "required": [plural], "additionalProperties": False}
    return {"anyOf": [one, many, wrapped]}


def _command(form: Form) -> Json:
    return {
        "name": TYPE,
        "title": f"{form.operation.title()} {form.record_type.name if form.record_type else 'temporary attachments'}",
        "contentType": "application/json",
        "headers": _headers(TYPE),
        "payload": {"$ref": f"{COMPONENTS}{form.name}Command"},
        "bindings": {
            "kafka": {"key": {"type": "string", "description": "The record's id, so that its order is kept."}}
        },
        "examples": [{"name": form.name, "payload": example(form)}],
    }


def _outcome() -> Json:
    name = EVENT_TYPES[MutationCompleted]
    return {
        "name": name,
        "title": "How a mutation ended",
        "contentType": "application/json",
        "headers": _headers(name),
        "payload": {"$ref": COMPONENTS + OutcomeMessage.__name__},
        "bindings": {"kafka": {"key": {"type": "string", "description": "environment/tenant/type/id of the record"}}},
        "examples": [{"name": "completed", "payload": schemas_topics.example()}],
    }


def _headers(kind: str) -> Json:
    trace = {"type": "string", "description": "W3C Trace Context; the trace goes on."}
    return {"type": "object", "properties": {"ce_type": {"const": kind}, "traceparent": trace}}


def _channel(name: str, address: Any, messages: list[str]) -> Json:
    spec = _spec(address("tenant"))
    configuration = {"retention.ms": topics.RETENTION_MS, "max.message.bytes": spec.max_message_bytes}
    return {
        "address": address("{tenant}"),
        "parameters": {"tenant": {"description": "The tenant's name: it is never a member of a message."}},
        "messages": {each: {"$ref": f"#/components/messages/{each}"} for each in messages},
        "bindings": {"kafka": {"partitions": spec.partitions, "topicConfiguration": configuration}},
        "description": f"The tenant's {name}; guarded by the broker's access rules.",
    }


def _spec(topic: str) -> TopicSpec:
    return next(spec for spec in topics.tenant_topics("tenant") if spec.name == topic)


def _operation(action: str, channel: str, summary: str) -> Json:
    return {"action": action, "channel": {"$ref": f"#/channels/{channel}"}, "summary": summary}
