"""Refusals: a Problem, raised anywhere, becomes one RFC 9457 answer; its codes are those of shared/errors.py."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from shared.errors import REQUEST_CODES

ERRORS_SHOWN: Final = 100
FIELD_SHOWN: Final = 200
TYPE_PREFIX: Final = "urn:mutation-engine:problem:"


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing wrong with a request: where, code, what to do.

    `field` is the JSON pointer of a member, or the name of a parameter or header; empty: the whole.
    """

    field: str
    code: str
    message: str

    def as_dict(self) -> dict[str, str]:
        """As it stands in `errors`; a pointer may hold a client's own member name, so it is cut."""
        return {"field": self.field[:FIELD_SHOWN], "code": self.code, "message": self.message}


class Problem(Exception):
    """A refusal with a code of REQUEST_CODES. Without `errors` the code itself is the only entry, for `field`."""

    def __init__(
        self,
        code: str,
        detail: str | None = None,
        *,
        field: str = "",
        errors: Iterable[FieldError] = (),
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(code)
        known = REQUEST_CODES[code]
        self.code, self.status, self.title = code, known.status, known.title
        self.detail = detail or known.advice
        self.errors = list(errors) or [FieldError(field, code, self.detail)]
        self.headers = headers or {}

    def document(self, instance: str, sandbox: bool) -> dict[str, Any]:
        """The members of the answer (RFC 9457 and the envelope's own words)."""
        detail = self.detail
        if len(self.errors) > ERRORS_SHOWN:
            detail = f"{detail} The first {ERRORS_SHOWN} errors are listed; there are more."
        return {
            "type": TYPE_PREFIX + self.code,
            "title": self.title,
            "status": self.status,
            "detail": detail,
            "instance": instance,
            "statusCode": self.status,
            "message": self.title,
            "errors": [error.as_dict() for error in self.errors[:ERRORS_SHOWN]],
            "meta": {"sandboxEnabled": sandbox},
        }


def invalid(errors: Iterable[FieldError]) -> Problem:
    """422 with every error at once."""
    return Problem("validation_failed", errors=errors)


def unavailable(detail: str | None = None) -> Problem:
    """503: one of our dependencies is away; nothing is lost by sending the same again."""
    return Problem("unavailable", detail, headers={"Retry-After": "2"})


def no_record(record_type: str, field: str = "") -> Problem:
    """404 for an id that is none of this tenant's."""
    return Problem("record_not_found", f"There is no {record_type} with this id.", field=field)
