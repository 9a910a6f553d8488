"""The one validator of payloads, for HTTP and the command topic: every error at once, each with a JSON pointer."""

from collections.abc import Iterator
from typing import Any, Final, TypeVar

from pydantic import ValidationError

from services.ingest.json_text import LongText
from services.ingest.problems import FieldError
from services.ingest.schemas import AssignPayload, FilesPayload, Payload, UpdatePayload
from shared import limits
from shared.addresses import EgressPolicy

MEMBERS: Final = 100
EXPECTED: Final = {
    "string_type": "a string",
    "bool_type": "true or false",
    "list_type": "an array",
    "dict_type": "an object",
    "int_type": "a whole number",
    "model_type": "an object",
    "model_attributes_type": "an object",
}
P = TypeVar("P", bound=Payload)
Finding = tuple[str, str, str]  # pointer, code, message


def validated(
    model: type[P],
    payload: Any,
    policy: EgressPolicy,
    errors: list[FieldError],
    at: str = "",
    ignored: frozenset[str] = frozenset(),
) -> P | None:
    """The payload as a model, or None with all that is wrong appended to `errors`, pointers beginning with `at`.

    `ignored` names members that belong to the request and not to the payload.
    """
    if not isinstance(payload, dict):
        errors.append(FieldError(at, "invalid_type", "Send an object."))
        return None
    if ignored:
        payload = {name: member for name, member in payload.items() if name not in ignored}
    if wide := _too_wide(payload):
        errors += [FieldError(at + pointer, "too_many_items", f"Send at most {MEMBERS} members.") for pointer in wide]
        return None
    found = [FieldError(at + pointer, code, message) for pointer, code, message in _rules(model, payload)]
    if issubclass(model, UpdatePayload):
        payload = {name: member for name, member in payload.items() if name not in model.elsewhere}
    try:
        result = model.model_validate(payload, context={"policy": policy})
    except ValidationError as error:
        result, found = None, [_translated(entry, payload, at) for entry in error.errors(include_url=False)] + found
    errors += found
    return None if found else result


def _too_wide(payload: dict[str, Any]) -> list[str]:
    """Pointers of objects with more members than any of ours: each unknown one would cost an error."""
    if len(payload) > MEMBERS:
        return [""]
    parts: list[tuple[str, Any]] = []
    for name, member in payload.items():
        if isinstance(member, dict):
            parts.append((token(name), member))
        elif isinstance(member, list):
            parts += [(f"{token(name)}/{n}", item) for n, item in enumerate(member[:MEMBERS])]
    return [pointer for pointer, part in parts if isinstance(part, dict) and len(part) > MEMBERS]


def _rules(model: type[Payload], payload: dict[str, Any]) -> Iterator[Finding]:
    """What concerns several members; looked for beside the single ones, so that all errors come at once."""
    if issubclass(model, FilesPayload):
        if not any(member not in (None, [], {}) for member in payload.values()):
            yield "", "empty_request", f"Send at least one of {_names(model)}."
        for name in model.file_types:
            yield from _file_rules(name, payload.get(name))
    elif issubclass(model, AssignPayload):
        yield from _assign_rules(payload)
    elif issubclass(model, UpdatePayload):
        if not payload:
            yield "", "empty_request", f"Send at least one of {_names(model)}."
        for name in filter(payload.__contains__, model.elsewhere):
            yield f"/{name}", "wrong_endpoint", f"Files are not updated here: use {model.elsewhere[name]} to add some."


def _assign_rules(payload: dict[str, Any]) -> Iterator[Finding]:
    records = ("candidateId", "companyId", "vacancyId")
    if all(payload.get(name) is None for name in records):
        yield "", "missing", f"Send at least one of {', '.join(records)}."
    files = payload.get("attachments")
    seen: set[str] = set()
    for n, file in enumerate(files[: limits.ASSIGNED_PER_REQUEST] if isinstance(files, list) else ()):
        name = file.get("id") if isinstance(file, dict) else None
        if isinstance(name, str):
            if name in seen:
                yield f"/attachments/{n}/id", "invalid_value", "Send each attachment once."
            seen.add(name)


def _names(model: type[Payload]) -> str:
    return ", ".join(field.alias or "" for field in model.model_fields.values())


def _file_rules(name: str, files: object) -> Iterator[Finding]:
    if isinstance(files, dict):
        yield from _source_rules(f"/{name}", files)
    elif isinstance(files, list):
        if len(files) > limits.FILES_PER_FIELD:
            yield f"/{name}", "too_many_items", f"Send at most {limits.FILES_PER_FIELD} files a field, others later."
        for n, file in enumerate(files[: limits.FILES_PER_FIELD]):
            if isinstance(file, dict):
                yield from _source_rules(f"/{name}/{n}", file)


def _source_rules(at: str, file: dict[str, Any]) -> Iterator[Finding]:
    sources = [name for name in ("url", "data") if file.get(name) is not None]
    if not sources:
        yield at, "file_source_missing", "Give the file exactly one of url and data; it has none."
    elif len(sources) > 1:
        yield at, "file_source_ambiguous", "Give the file exactly one of url and data; it has both."


def _translated(entry: Any, payload: dict[str, Any], at: str) -> FieldError:
    """One of pydantic's errors in our words; its own codes and texts never leave."""
    kind, value, context = entry["type"], entry.get("input"), entry.get("ctx", {})
    field = at + _pointer(entry["loc"], payload)
    if kind == "missing":
        return FieldError(field, "missing", "Add this member.")
    if kind == "extra_forbidden":
        return FieldError(field, "unknown_field", "Remove this member, or correct its name.")
    if kind == "string_too_long" or (kind == "string_type" and isinstance(value, LongText)):
        longest = context.get("max_length")
        return FieldError(field, "too_long", f"Send at most {longest} characters." if longest else "Shorten this text.")
    if kind == "string_too_short":
        return FieldError(field, "too_short", f"Send at least {context['min_length']} character, or null.")
    if kind == "too_long" and context:
        return FieldError(field, "too_many_items", f"Send at most {context['max_length']} items.")
    if kind == "too_short" and context:
        return FieldError(field, "too_short", f"Send at least {context['min_length']} item.")
    if kind == "literal_error":
        return FieldError(field, "invalid_value", f"Send {context['expected']}.")
    if kind in EXPECTED:
        return FieldError(field, "invalid_type", f"Send {EXPECTED[kind]}.")
    return FieldError(field, kind, entry["msg"])


def token(step: str | int) -> str:
    """One step of a JSON pointer (RFC 6901)."""
    return "/" + str(step).replace("~", "~0").replace("/", "~1")


def _pointer(location: tuple[str | int, ...], payload: Any) -> str:
    """JSON pointer (RFC 6901) of pydantic's location; without the index of a file that has no brackets."""
    pointer, here = "", payload
    for step in location:
        if step == "[key]" or (isinstance(step, int) and isinstance(here, dict)):
            continue
        pointer += token(step)
        try:
            here = here[step]
        except (KeyError, IndexError, TypeError):
            here = None
    return pointer
