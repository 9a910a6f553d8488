"""Types of single members: each check raises a code of shared/errors.py with a message that says what to do."""

import math
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import date
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError
from pydantic_core.core_schema import ValidationInfo

from services.ingest.json_text import LongText
from shared import limits
from shared.errors import REQUEST_CODES
from shared.filenames import safe_name
from shared.search import plain_phone
from shared.urls import UrlRefused, check_url

CUSTOM_FIELDS: Final = 100  # as many members as any object may have
CUSTOM_NAME: Final = 100
CUSTOM_TEXT: Final = 2000
PROSE: Final = 20_000
CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
# Classes are spelt out: what \s means differs between Python and JSON Schema.
CONTROLS: Final = r"\u0000-\u001f\u007f-\u009f\u2028\u2029"
BLANKS: Final = CONTROLS + r" \u00a0\u1680\u2000-\u200a\u202f\u205f\u3000\ufeff"
AROUND: Final = " \t\r\n\u00a0"  # cut off where a text has a form
ONE_LINE: Final = rf"^[^{CONTROLS}]*$"
NOT_IN_LINES: Final = re.compile(r"[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]")
DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
INT64: Final = range(-(2**63), 2**63)
ATTACHMENT_TYPES: Final = {name.casefold(): name for name in limits.ATTACHMENT_TYPES}
CUSTOM_PATTERN: Final = r"^[^$.\u0000-\u001f\u007f-\u009f\u2028\u2029][^.\u0000-\u001f\u007f-\u009f\u2028\u2029]*$"
UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def refuse(code: str, message: str) -> PydanticCustomError:
    """An error of pydantic with one of our codes; given no context it takes the message as it is."""
    return PydanticCustomError(code, message)


def _matching(pattern: str, message: str) -> Callable[[str], str]:
    compiled = re.compile(pattern)

    def check(value: str) -> str:
        if not compiled.fullmatch(value):
            raise refuse("invalid_value", message)
        return value

    return check


def _one_line(value: str) -> str:
    if CONTROL.search(value):
        raise refuse("invalid_value", "Send text on one line, without control characters.")
    return value


def _filename(value: str) -> str:
    name = safe_name(value)
    if name is None:
        raise refuse("invalid_filename", "Send a file name with at least one letter or digit.")
    return name


def _url(value: str, info: ValidationInfo) -> str:
    try:
        check_url(value, (info.context or {})["policy"])
    except UrlRefused as error:
        raise refuse(error.code, error.message) from None
    return value


def _custom_name(name: str) -> str:
    """A name that BSON and MongoDB's operators leave alone."""
    if not 1 <= len(name) <= CUSTOM_NAME or name.startswith("$") or "." in name or CONTROL.search(name):
        raise refuse("invalid_value", f"Names need 1 to {CUSTOM_NAME} characters: no dot, no control, no leading $.")
    return name


def _scalar(value: object) -> object:
    """A text, a number that BSON can hold, a boolean or null."""
    if isinstance(value, LongText) or (isinstance(value, str) and len(value) > CUSTOM_TEXT):
        raise refuse("too_long", f"Texts of custom fields may have {CUSTOM_TEXT} characters.")
    if isinstance(value, str) and "\x00" in value:
        raise refuse("invalid_value", "Texts of custom fields must not contain NUL.")
    if isinstance(value, int) and value not in INT64:
        raise refuse("invalid_value", "Send integers within 64 bits, or a text.")
    if isinstance(value, float) and not math.isfinite(value):
        raise refuse("invalid_value", "Send finite numbers.")
    if value is not None and not isinstance(value, (str, int, float)):
        raise refuse("invalid_type", "Send a text, a number, a boolean or null.")
    return value


def attachment_type(value: str) -> str | None:
    """One of the attachment types as we spell it, however it is written."""
    return ATTACHMENT_TYPES.get(value.casefold())


def _attachment_type(value: str) -> str:
    known = attachment_type(value)
    if known is None:
        raise refuse("invalid_value", f"Send one of {', '.join(limits.ATTACHMENT_TYPES)}.")
    return known


def _one_of(*words: str) -> Any:
    check = _matching("|".join(words), f"Send one of {', '.join(words)}.")
    return Annotated[str, AfterValidator(check), WithJsonSchema({"type": "string", "enum": [*words]})]


def _within(least: int, most: int) -> Any:
    def check(value: int) -> int:
        if not least <= value <= most:
            raise refuse("invalid_value", f"Send a number from {least} to {most}.")
        return value

    return Annotated[int, AfterValidator(check), Field(json_schema_extra={"minimum": least, "maximum": most})]


def _email(value: str) -> str:
    """Domains know no case; what stands before the @ may."""
    local, _, domain = value.rpartition("@")
    return f"{local}@{domain.lower()}"


def _date(value: str) -> str:
    with suppress(ValueError):
        if DATE.fullmatch(value):
            return date.fromisoformat(value).isoformat()
    raise refuse("invalid_value", "Send a date like 1990-12-31.")


def _prose(value: object) -> object:
    """Long strings come aside; what is far too long stays there, and is refused for it."""
    if not isinstance(value, LongText) or value.overlong or value.size > 4 * PROSE:
        return value
    try:
        return value.take().decode()
    except UnicodeDecodeError:
        raise refuse("invalid_value", "Send text in UTF-8.") from None


def _lines(value: str) -> str:
    if NOT_IN_LINES.search(value):
        raise refuse("invalid_value", "Send text without control characters other than line breaks and tabs.")
    return value


def _trimmed(value: str) -> str:
    return value.strip(AROUND)


def _text(longest: int, *checks: Callable[[str], str], pattern: str = ONE_LINE) -> Any:
    """A text; `pattern` tells the checks to readers of the schema."""
    length = StringConstraints(min_length=1, max_length=longest)
    return Annotated[str, length, *map(AfterValidator, checks), Field(json_schema_extra={"pattern": pattern})]


def _line(longest: int, *checks: Callable[[str], str]) -> Any:
    return _text(longest, _one_line, *checks)


def _like(longest: int, pattern: str, message: str, *checks: Callable[[str], str]) -> Any:
    """A text of one form, white space around it cut off; the length counts as it was sent."""
    whole = rf"^[ \t\r\n\u00a0]*({pattern})[ \t\r\n\u00a0]*$"
    return _text(longest, _trimmed, _matching(pattern, message), *checks, pattern=whole)


Name = _line(200)
Tag = _line(100)
PostalCode = _line(20)
ExternalId = _line(255)
Prose = Annotated[
    str,
    StringConstraints(min_length=1, max_length=PROSE),
    AfterValidator(_lines),
    BeforeValidator(_prose),
    Field(json_schema_extra={"pattern": rf"^[^{NOT_IN_LINES.pattern[1:-1]}]*$"}),
]
ADDRESS: Final = rf"[^@{BLANKS}]{{1,64}}@[^@{BLANKS}]+\.[^@.{BLANKS}]+"
Email = _like(254, ADDRESS, "Send an e-mail address like name@example.org.", _email)
# Three digits, the zeros before them not counted.
PHONE: Final = r"\(?\+?([ ().\-/]*0)*[ ().\-/]*[1-9]([ ().\-/]*[0-9]){2,}[ ().\-/]*"
Phone = _like(50, PHONE, "Send a number like +1 (555) 010-0199.", plain_phone)
Locale = _like(35, r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8}){0,3}", "Send a language tag like en or de-CH.")
Country = _like(10, r"[A-Za-z]{2}", "Send two letters of ISO 3166 like CH.", str.upper)
Link = _like(2048, rf"[Hh][Tt][Tt][Pp][Ss]?://[^{BLANKS}<>\"\\]+", "Send an absolute http or https URL.")
Date = Annotated[
    str, AfterValidator(_date), Field(json_schema_extra={"format": "date", "pattern": f"^{DATE.pattern}$"})
]
EmploymentType = _one_of("full_time", "part_time", "contract", "temporary", "internship", "volunteer", "other")
VacancyStatus = _one_of("draft", "open", "on_hold", "filled", "closed")
Openings = _within(0, 10_000)
TenantName = _line(40, _matching(r"[a-z0-9-]{1,40}", "Send 1 to 40 characters of a-z, 0-9 and -."))
Filename = Annotated[str, StringConstraints(max_length=4096), AfterValidator(_filename)]
Url = Annotated[str, AfterValidator(_url)]
AttachmentId = Annotated[
    str,
    AfterValidator(_matching(UUID.pattern, "Send ids as the API gave them.")),
    Field(json_schema_extra={"pattern": f"^{UUID.pattern}$"}),
]
IdempotencyKey = Annotated[
    str,
    AfterValidator(_matching(limits.IDEMPOTENCY_KEY_PATTERN, REQUEST_CODES["idempotency_key_invalid"].advice)),
    WithJsonSchema({"type": "string", "pattern": limits.IDEMPOTENCY_KEY_PATTERN}),
]
RecordId = AttachmentId
AttachmentType = Annotated[
    str,
    AfterValidator(_attachment_type),
    WithJsonSchema({"type": "string", "enum": [*limits.ATTACHMENT_TYPES], "description": "without regard to case"}),
]
CustomFields = Annotated[
    dict[Annotated[str, AfterValidator(_custom_name)], Annotated[Any, PlainValidator(_scalar)]],
    WithJsonSchema(
        {
            "type": "object",
            "maxProperties": CUSTOM_FIELDS,
            "propertyNames": {"maxLength": CUSTOM_NAME, "pattern": CUSTOM_PATTERN},
            "additionalProperties": {
                "type": ["string", "number", "boolean", "null"],
                "maxLength": CUSTOM_TEXT,
                "pattern": r"^[^\u0000]*$",
                "minimum": INT64.start,
                "maximum": INT64.stop - 1,
            },
        }
    ),
]
