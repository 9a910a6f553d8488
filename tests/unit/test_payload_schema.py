"""GET /schema and the validator agree: what one takes, the other takes, and what one refuses, the other refuses.

Left out is what JSON Schema can't say; the schema's $comment names it: URLs that may be called, the content of `data`,
file names with nothing left, integers written with a fraction, and integers beyond 64 bits.
"""

import copy
import os
from typing import Any, Final

import jsonschema_rs
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.ingest.payload_schema import DIALECT, OPERATIONS, payload_schema
from services.ingest.problems import FieldError
from services.ingest.record_types import RECORD_TYPES
from services.ingest.validation import validated
from shared.addresses import EgressPolicy
from tests.fakes_ingest import IngestStand

EXAMPLES: Final = int(os.environ.get("ENGINE_SCHEMA_EXAMPLES", "20"))
EVERY: Final = [(name, operation) for name in RECORD_TYPES for operation in OPERATIONS]
SUITED: Final = {
    "url": st.sampled_from(["https://files.example.com/a.pdf", None]),
    "data": st.sampled_from(["data:text/plain;base64,aGVsbG8=", None]),
    "filename": st.sampled_from(["a.pdf", "b" * 4096]),
    "callbackUrl": st.sampled_from(["https://hooks.example.com/in", None]),
}
FILES: Final = ("curriculumVitae", "otherAttachments", "attachments")
TEXTS: Final = (
    "", " ", "\n", "a\nb", "a\tb", "a\x00b", "\x7f", "\x85", "\u2028", "\ufeff", "a\ufeff@b.cc", " a@b.cc ", "a@b",
    "a@b.cc", "+", "00", "+1 (555) 010-0199", "12", "123", "de-CH", "CH", "1990-02-30", "1990-12-31",
    "https://a.bc/", "https://a.bc/ d", "open", "CH\n", " CH\u00a0", "\u3000CH", "X" * 40 + "@b.cc",
    "a.b", "$a", "true", "é" * 20, "x" * 21, "x" * 100, "x" * 101, "x" * 201, "x" * 256, "x" * 2001, "x" * 20_001,
)  # fmt: skip
NAMES: Final = ("a", "a.b", "$a", "", "b$", "x" * 101, "\x01", "\x9f", "\u2029", "\n")
FRACTION: Final = st.floats(allow_nan=False, allow_infinity=False, width=32).filter(lambda one: not one.is_integer())
PLAIN: Final = st.none() | st.booleans() | st.integers(-2, 10_001) | FRACTION | st.sampled_from(TEXTS)
ODD: Final[st.SearchStrategy[Any]] = st.one_of(
    PLAIN,
    st.lists(PLAIN, max_size=3),
    st.sampled_from([["x"] * 50, ["x"] * 51, {str(n): n for n in range(100)}, {str(n): n for n in range(101)}]),
    st.dictionaries(st.sampled_from(NAMES), PLAIN | st.just([]), max_size=2),
)
UNTOLD: Final[st.SearchStrategy[Any]] = (
    st.none() | st.booleans() | st.integers() | st.just({})
)  # of members whose text no schema judges


def generated(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Payloads that fit the schema."""
    content = {"application/json": {"schema": schema}}
    operation = {"requestBody": {"required": True, "content": content}, "responses": {"202": {"description": "ok"}}}
    document = {"openapi": "3.1.0", "info": {"title": "t", "version": "1"}, "paths": {"/x": {"post": operation}}}
    document |= {"$defs": schema.get("$defs", {})}
    described = schemathesis.openapi.from_dict(document)
    return described["/x"]["POST"].as_strategy().map(lambda case: copy.deepcopy(case.body))


def suited(payload: Any, draw: Any) -> Any:
    """The same with URLs, data and file names that nobody refuses, and integers written as such."""
    if isinstance(payload, float) and payload.is_integer():
        return int(payload)
    if isinstance(payload, list):
        return [suited(item, draw) for item in payload]
    if not isinstance(payload, dict):
        return payload
    return {
        name: draw(SUITED[name]) if name in SUITED and isinstance(value, str) else suited(value, draw)
        for name, value in payload.items()
    }


def takes(payload: Any, record_type: str, operation: str) -> bool:
    """Whether the validator does."""
    known = RECORD_TYPES[record_type]
    model = {"create": known.create, "update": known.update}[operation]
    errors: list[FieldError] = []
    controls = frozenset({"idempotencyKey", "callbackUrl"})
    return validated(model, payload, EgressPolicy(), errors, ignored=controls) is not None


def bent(payload: dict[str, Any], properties: list[str], draw: Any) -> None:
    """Set a few members of the payload, or of a file, to what may not belong there, or take them away."""
    for _ in range(draw(st.integers(1, 2))):
        target, names = payload, [*properties, "unknown"]
        files = [file for field in FILES for file in listed(payload.get(field))]
        if files and draw(st.booleans()):
            target, names = draw(st.sampled_from(files)), ["filename", "url", "data", "unknown"]
        name = draw(st.sampled_from(names))
        if draw(st.integers(0, 5)) == 0:
            target.pop(name, None)
        else:
            target[name] = draw(UNTOLD if name in SUITED else ODD)


def listed(files: Any) -> list[dict[str, Any]]:
    return [file for file in (files if isinstance(files, list) else [files]) if isinstance(file, dict)]


@pytest.mark.parametrize(("record_type", "operation"), EVERY)
def test_validator_and_schema_agree_on_what_fits_and_on_what_does_not(record_type: str, operation: str) -> None:
    schema = payload_schema(record_type, operation)
    allowed = jsonschema_rs.validator_for(schema, validate_formats=True).is_valid
    members = sorted(set(schema["properties"]) - {"idempotencyKey", "callbackUrl"})

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    @given(generated(schema), st.data())
    def check(payload: Any, data: Any) -> None:
        payload = suited(payload, data.draw)
        assert allowed(payload) == takes(payload, record_type, operation), payload
        bent(payload, members, data.draw)
        assert allowed(payload) == takes(payload, record_type, operation), payload

    check()


async def get(query: str, key: str = "key-of-acme") -> Any:
    async with IngestStand().client(key) as client:
        return await client.get(f"/schema?{query}")


@pytest.mark.parametrize(("record_type", "operation"), EVERY)
async def test_schema_is_answered_as_it_is_in_a_known_dialect(record_type: str, operation: str) -> None:
    answer = await get(f"operation={operation}&recordType={record_type}")
    assert answer.headers["content-type"] == "application/schema+json"
    assert answer.json() == payload_schema(record_type, operation)
    assert answer.json()["$schema"] == DIALECT
    jsonschema_rs.meta.validate(answer.json())


async def test_schema_is_that_of_candidates_unless_another_type_is_named() -> None:
    assert (await get("operation=CREATE")).json() == payload_schema("candidate", "create")
    assert "curriculumVitae" in payload_schema("candidate", "create")["properties"]
    assert "curriculumVitae" not in payload_schema("candidate", "update")["properties"]


@pytest.mark.parametrize(
    ("query", "field"),
    [("", "operation"), ("operation=erase", "operation"), ("operation=create&recordType=dog", "recordType")],
)
async def test_schema_of_something_else_is_refused(query: str, field: str) -> None:
    answer = await get(query)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, field)
    assert answer.json()["errors"][0]["code"] == "parameter_invalid"


async def test_schema_needs_a_key() -> None:
    assert (await get("operation=create", key="nobody")).status_code == 401
