"""The description of the tenants' topics agrees with what takes commands and with what outcomes look like."""

import json
from typing import Any

import jsonschema_rs
import pytest
from faststream.specification.asyncapi.v3_0_0.schema import ApplicationSchema

from services.ingest import asyncapi
from services.ingest.asyncapi import Form, forms
from services.ingest.commands import read
from services.ingest.operations import PREPARERS
from services.ingest.schemas_topics import OutcomeMessage
from shared import topics
from shared.addresses import EgressPolicy
from tests.fakes_commands import CommandStand
from tests.fakes_ingest import IngestStand
from tests.unit.test_ingest_description import references

DOCUMENT = asyncapi.document()
FORMS = pytest.mark.parametrize("form", list(forms()), ids=lambda form: form.name)


def schema_of(message: str) -> jsonschema_rs.Validator:
    """The schema of a message's payload, references included."""
    payload = DOCUMENT["components"]["messages"][message]["payload"]
    return jsonschema_rs.validator_for({"components": DOCUMENT["components"]} | payload)


async def taken(command: dict[str, Any]) -> bool:
    stand = CommandStand()
    await stand.send(command)
    assert len(stand.mutations()) + len(stand.rejected()) == 1
    return not stand.rejected()


def test_document_has_the_form_of_asyncapi_3_and_every_reference_leads_somewhere() -> None:
    ApplicationSchema.model_validate(DOCUMENT)
    for reference in references(DOCUMENT):
        part: Any = DOCUMENT
        for step in reference.removeprefix("#/").split("/"):
            part = part[step]


async def test_ingest_serves_it() -> None:
    async with IngestStand().client(None) as client:
        assert (await client.get("/asyncapi")).json() == DOCUMENT


def test_every_operation_has_its_messages_on_the_commands_channel() -> None:
    channel = DOCUMENT["channels"]["commands"]
    assert topics.COMMANDS_PATTERN.fullmatch(channel["address"].format(tenant="demo"))
    assert {form.operation for form in forms()} == set(PREPARERS)
    assert list(channel["messages"]) == [form.name for form in forms()]


@FORMS
async def test_example_of_a_command_is_valid_for_schema_and_engine(form: Form) -> None:
    [example] = DOCUMENT["components"]["messages"][form.name]["examples"]
    schema_of(form.name).validate(example["payload"])
    assert await taken(example["payload"])


@FORMS
async def test_schema_and_engine_refuse_the_same(form: Form) -> None:
    schema, example = schema_of(form.name), asyncapi.example(form)
    required = DOCUMENT["components"]["schemas"][f"{form.name}Command"]["required"]
    wrong = [{name: value for name, value in example.items() if name != left_out} for left_out in required]
    wrong += [example | {"odd": 1}, example | {"sandbox": "yes"}, example | {"idempotencyKey": "no spaces"}]
    wrong += [example | {"payload": "text"}, example | {"recordType": "invoice"}, example | {"recordId": "1"}]
    wrong += [example | {"payload": dict(example["payload"]) | {"odd": 1}}]
    for command in wrong:
        assert not schema.is_valid(command), command
        assert not await taken(command), command


async def test_array_of_records_is_valid_for_schema_and_engine() -> None:
    for form in (form for form in forms() if form.operation == "create" and form.record_type):
        one = asyncapi.example(form)["payload"]
        for payload in ([one, one], {form.record_type.plural if form.record_type else "": [one]}):
            command = asyncapi.example(form) | {"payload": payload}
            schema_of(form.name).validate(command)
            read_command = await read(json.dumps(command).encode(), EgressPolicy())
            assert read_command.refusal is None


async def test_outcomes_have_the_form_that_is_described() -> None:
    [example] = DOCUMENT["components"]["messages"]["Outcome"]["examples"]
    schema_of("Outcome").validate(example["payload"])
    OutcomeMessage.model_validate_json(json.dumps(example["payload"]), strict=True)
    stand = CommandStand()
    await stand.send(b"{}", b"{")
    for event in stand.publisher.announced:
        rejected = example["payload"] | {"data": event.outcome}
        schema_of("Outcome").validate(rejected)
        message = OutcomeMessage.model_validate_json(json.dumps(rejected), strict=True)
        assert message.data.model_extra == {}
