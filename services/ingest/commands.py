"""The command topic's envelope: what upstream systems produce instead of calling over HTTP."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Final, get_args

from pydantic import AfterValidator, ConfigDict, TypeAdapter, ValidationError, WithJsonSchema

from services.ingest import fields
from services.ingest.json_text import JsonText, fed, parsed
from services.ingest.operations import Asked
from services.ingest.problems import FieldError, Problem, invalid
from services.ingest.record_types import RECORD_TYPES
from services.ingest.rejections import Understood
from services.ingest.schemas import Payload
from services.ingest.validation import MEMBERS, validated
from shared import limits
from shared.addresses import EgressPolicy
from shared.events import Kind

TYPE: Final = "mutation.command.v1"
KINDS: Final = get_args(Kind)
NAMES_RECORD: Final = frozenset(KINDS) - {"create", "assign"}
TARGETS: Final = ("candidateId", "companyId", "vacancyId")  # of an assign, in its payload


def _known_type(value: str) -> str:
    if value not in RECORD_TYPES:
        raise fields.refuse("invalid_value", f"Send one of {', '.join(RECORD_TYPES)}.")
    return value


RecordTypeName = Annotated[
    str, AfterValidator(_known_type), WithJsonSchema({"type": "string", "enum": sorted(RECORD_TYPES)})
]


class Command(Payload):
    """One command; `payload` is the body that the same request has over HTTP."""

    operation: Kind
    record_type: RecordTypeName | None = None
    record_id: fields.RecordId | None = None
    sandbox: bool = False
    idempotency_key: fields.IdempotencyKey
    callback_url: fields.Url | None = None
    payload: Any = None

    def asked(self) -> Asked:
        """The request; nothing in its payload steers it."""
        record_type = RECORD_TYPES[self.record_type] if self.record_type else None
        return Asked(self.operation, record_type, self.record_id, self.payload, frozenset())


_EACH: Final = {
    field.alias or name: TypeAdapter[Any](field.rebuild_annotation(), config=ConfigDict(strict=True))
    for name, field in Command.model_fields.items()
    if name != "payload"
}


@dataclass(frozen=True, slots=True)
class Read:
    """A command as far as it could be read: exactly one of `command` and `refusal`."""

    understood: Understood
    command: Command | None = None
    refusal: Problem | None = None

    @property
    def names(self) -> frozenset[str]:
        """Its key and the records that it names: commands that share one are worked off in their order."""
        payload = self.command.payload if self.command else None
        targets = [payload.get(name) for name in TARGETS] if isinstance(payload, dict) else []
        own = [f"key {self.understood.key}" if self.understood.key else None]
        own += [self.command.record_id] if self.command else []
        return frozenset(name for name in [*own, *targets] if isinstance(name, str))


async def read(raw: bytes, policy: EgressPolicy) -> Read:
    """The command in these bytes, or why there is none; what its payload holds is checked later."""
    try:
        value = await _value(raw)
    except Problem as refusal:
        return Read(Understood(), refusal=refusal)
    errors: list[FieldError] = []
    command = validated(Command, value, policy, errors)
    understood = _understood(value, policy)
    if command is not None:
        errors += _rules(command)
    if command is None or errors:
        return Read(understood, refusal=invalid(errors))
    return Read(understood, command)


async def _value(raw: bytes) -> Any:
    if len(raw) > limits.COMMAND_BYTES:
        raise Problem(
            "payload_too_large", f"A command may have {limits.readable(limits.COMMAND_BYTES)}; send large files by URL."
        )
    text = JsonText()
    await fed(text, raw)
    return await parsed(text)


def _understood(value: Any, policy: EgressPolicy) -> Understood:
    """The members that are valid by themselves, whatever is wrong with others."""
    if not isinstance(value, dict) or len(value) > MEMBERS:
        return Understood()
    right = {name: _valid(name, value.get(name), policy) for name in _EACH}
    name, record_id = right["recordType"], right["recordId"]
    return Understood(
        environment="sandbox" if right["sandbox"] else "live",
        key=right["idempotencyKey"],
        kind=right["operation"],
        record={"type": name, "id": record_id} if name and record_id else None,
        callback_url=right["callbackUrl"],
    )


def _valid(name: str, member: Any, policy: EgressPolicy) -> Any:
    """The member, or None. What is kept of a refused command has passed its own check: the absence of an error proves
    nothing, because a validator that ends early has looked at no other member."""
    try:
        return _EACH[name].validate_python(member, context={"policy": policy})
    except ValidationError:
        return None


def _rules(command: Command) -> Iterator[FieldError]:
    """What concerns several members."""
    needed = {"recordType": command.operation != "assign", "recordId": command.operation in NAMES_RECORD}
    sent = {"recordType": command.record_type, "recordId": command.record_id}
    for name, is_needed in needed.items():
        if is_needed and sent[name] is None:
            yield FieldError(f"/{name}", "missing", f"Add this member: {command.operation} needs it.")
        if not is_needed and sent[name] is not None:
            yield FieldError(f"/{name}", "unknown_field", f"Remove this member: {command.operation} has none.")
