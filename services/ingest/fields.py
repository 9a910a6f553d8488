"""Types of single members: each check raises a code of shared/errors.py with a message that says what to do."""

import math
import re
from collections.abc import Callable
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, PlainValidator, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError
from pydantic_core.core_schema import ValidationInfo

from services.ingest.json_text import LongText
from shared import limits
from shared.errors import REQUEST_CODES
from shared.filenames import safe_name
from shared.urls import UrlRefused, check_url

CUSTOM_FIELDS: Final = 100
CUSTOM_NAME: Final = 100
CUSTOM_TEXT: Final = 2000
CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
INT64: Final = range(-(2**63), 2**63)
ATTACHMENT_TYPES: Final = {name.casefold(): name for name in limits.ATTACHMENT_TYPES}
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


def _few(value: object) -> object:
    """Refuse a wide map before anything in it is looked at."""
    if isinstance(value, dict) and len(value) > CUSTOM_FIELDS:
        raise refuse("too_many_items", f"Send at most {CUSTOM_FIELDS} custom fields.")
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


def _text(longest: int, *checks: Callable[[str], str]) -> Any:
    return Annotated[
        str, StringConstraints(min_length=1, max_length=longest), *map(AfterValidator, (_one_line, *checks))
    ]


Name = _text(200)
Tag = _text(100)
ExternalId = _text(255)
Email = _text(254, _matching(r"[^@\s]{1,64}@[^@\s]+\.[^@\s.]+", "Send an e-mail address like name@example.org."))
Phone = _text(50, _matching(r"[+0-9 ().\-/x#*]*[0-9][+0-9 ().\-/x#*]*", "Send digits, spaces and + ( ) - . /"))
Locale = _text(35, _matching(r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8}){0,3}", "Send a language tag like en or de-CH."))
TenantName = _text(40, _matching(r"[a-z0-9-]{1,40}", "Send 1 to 40 characters of a-z, 0-9 and -."))
Filename = Annotated[str, StringConstraints(max_length=4096), AfterValidator(_filename)]
Url = Annotated[str, AfterValidator(_url)]
AttachmentId = Annotated[str, AfterValidator(_matching(UUID.pattern, "Send ids as the API gave them."))]
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
    BeforeValidator(_few),
    WithJsonSchema(
        {
            "type": "object",
            "maxProperties": CUSTOM_FIELDS,
            "propertyNames": {"minLength": 1, "maxLength": CUSTOM_NAME, "pattern": r"^[^$.][^.]*$"},
            "additionalProperties": {"type": ["string", "number", "boolean", "null"], "maxLength": CUSTOM_TEXT},
        }
    ),
]
