"""What a request asks for, checked and ready to be accepted: one way for HTTP and the command topic.

So the two doors can't differ, nor their fingerprints.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from services.ingest.drafts import Write
from services.ingest.fingerprint import CONTROL_MEMBERS, fingerprint
from services.ingest.intake import Accepted, Intake
from services.ingest.problems import ERRORS_SHOWN, FieldError
from services.ingest.record_types import RecordType
from services.ingest.schemas import AssignPayload, ErasePayload, RecordPayload, RemovePayload
from services.ingest.validation import token, validated
from shared import limits
from shared.addresses import EgressPolicy
from shared.events import Kind

CHECKED_IN_LOOP: Final = 256 * limits.KIB
CONTROLS: Final = frozenset(CONTROL_MEMBERS)
Accept = Callable[[Intake, Write], Awaitable[Accepted]]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request before its payload is looked at; `ignored` are members that steer it and are no payload.

    `record_type` is None for an assign, `record_id` (canonical) for a create and an assign. An erase needs no payload.
    """

    operation: Kind
    record_type: RecordType | None
    record_id: str | None
    payload: Any
    ignored: frozenset[str] = CONTROLS

    @property
    def target(self) -> str:
        """What it is about."""
        parts = (self.record_type.name if self.record_type else "attachments", self.record_id)
        return "/".join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A valid request; `accept` claims it."""

    asked: Asked
    accept: Accept

    def fingerprint(self, if_match: str | None, callback_url: str | None) -> str:
        """What a repetition must match; see services.ingest.fingerprint."""
        asked = self.asked
        payload = {} if asked.operation == "erase" and asked.payload is None else asked.payload
        return fingerprint(asked.operation, asked.target, if_match, callback_url, payload)


async def prepare(size: int, asked: Asked, policy: EgressPolicy, errors: list[FieldError]) -> Prepared | None:
    """The request, or None with all that is wrong with its payload appended to `errors`; `size` is that of the body.

    A large one is checked in a thread: decoding megabytes of base64 would hold up everybody else.
    """
    if size <= CHECKED_IN_LOOP:
        return _prepared(asked, policy, errors)
    return await asyncio.to_thread(_prepared, asked, policy, errors)


def _prepared(asked: Asked, policy: EgressPolicy, errors: list[FieldError]) -> Prepared | None:
    accept = PREPARERS[asked.operation](asked, policy, errors)
    return Prepared(asked, accept) if accept else None


def _create(asked: Asked, policy: EgressPolicy, errors: list[FieldError]) -> Accept | None:
    record_type = _type(asked)
    if not _for_several(asked.payload, record_type.plural):
        one = validated(record_type.create, asked.payload, policy, errors, ignored=asked.ignored)
        return (lambda intake, write: intake.create(write, record_type, one)) if one else None
    before = len(errors)
    several = _several(asked, policy, errors)
    if len(errors) > before:
        return None
    return lambda intake, write: intake.create_many(write, record_type, several)


def _for_several(body: Any, plural: str) -> bool:
    return isinstance(body, list) or (isinstance(body, dict) and plural in body)


def _several(asked: Asked, policy: EgressPolicy, errors: list[FieldError]) -> list[RecordPayload]:
    """Every record of the body that is valid; the rest is in `errors`."""
    record_type, wrapped = _type(asked), isinstance(asked.payload, dict)
    listed, prefix = (asked.payload[record_type.plural], f"/{record_type.plural}") if wrapped else (asked.payload, "")
    if not isinstance(listed, list):
        errors.append(FieldError(prefix, "invalid_type", "Send an array."))
        return []
    if wrapped:
        strangers = [name for name in asked.payload if name not in (*asked.ignored, record_type.plural)]
        errors += [FieldError(token(name), "unknown_field", "Remove this member.") for name in strangers[:100]]
    if not listed:
        errors.append(FieldError(prefix, "empty_request", f"Send at least one {record_type.name}."))
    if len(listed) > limits.RECORDS_PER_REQUEST:
        message = f"Send at most {limits.RECORDS_PER_REQUEST} {record_type.plural} in one request."
        errors.append(FieldError(prefix, "too_many_items", message))
    several = []
    for n, item in enumerate(listed[: limits.RECORDS_PER_REQUEST]):
        if len(errors) > ERRORS_SHOWN:
            break  # nobody reads on, and a thousand errors take ten milliseconds
        several.append(validated(record_type.create, item, policy, errors, f"{prefix}/{n}"))
    return [one for one in several if one]


def _update(asked: Asked, policy: EgressPolicy, errors: list[FieldError]) -> Accept | None:
    record_type, record_id = _type(asked), _id(asked)
    payload = validated(record_type.update, asked.payload, policy, errors, ignored=asked.ignored)
    return (lambda intake, write: intake.update(write, record_type, record_id, payload)) if payload else None


def _append(asked: Asked, policy: EgressPolicy, errors: list[FieldError]) -> Accept | None:
    record_type, record_id = _type(asked), _id(asked)
    payload = validated(record_type.attachments, asked.payload, policy, errors, ignored=asked.ignored)
    return (lambda intake, write: intake.append(write, record_type, record_id, payload)) if payload else None


def _remove(asked: Asked, policy: EgressPolicy, errors: list[FieldError]) -> Accept | None:
    record_type, record_id = _type(asked), _id(asked)
    payload = validated(RemovePayload, asked.payload, policy, errors, ignored=asked.ignored)
    if payload is None:
        return None
    return lambda intake, write: intake.remove(write, record_type, record_id, payload.attachment_ids)


def _erase(asked: Asked, policy: EgressPolicy, errors: list[FieldError]) -> Accept | None:
    record_type, record_id = _type(asked), _id(asked)
    body = {} if asked.payload is None else asked.payload
    payload = validated(ErasePayload, body, policy, errors, ignored=asked.ignored)
    return (lambda intake, write: intake.erase(write, record_type, record_id)) if payload else None


def _assign(asked: Asked, policy: EgressPolicy, errors: list[FieldError]) -> Accept | None:
    payload = validated(AssignPayload, asked.payload, policy, errors, ignored=asked.ignored)
    return (lambda intake, write: intake.assign(write, payload)) if payload else None


def _type(asked: Asked) -> RecordType:
    if asked.record_type is None:
        raise TypeError(f"{asked.operation} needs a record type")
    return asked.record_type


def _id(asked: Asked) -> str:
    if asked.record_id is None:
        raise TypeError(f"{asked.operation} needs a record id")
    return asked.record_id


Preparer = Callable[[Asked, EgressPolicy, list[FieldError]], Accept | None]
PREPARERS: Final[Mapping[str, Preparer]] = {
    "create": _create,
    "update": _update,
    "append": _append,
    "remove": _remove,
    "erase": _erase,
    "assign": _assign,
}
