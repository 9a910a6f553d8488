"""Query parameters: each at most once, well-formed, and one that the route describes."""

import re
from collections.abc import Collection
from typing import Final

from starlette.requests import Request

from services.ingest import fields
from services.ingest.fields import UUID
from services.ingest.problems import FieldError, Problem, invalid
from shared import limits

NUMBER: Final = re.compile(r"[0-9]{1,9}")


def refused(name: str, advice: str) -> Problem:
    """400 for a parameter."""
    return Problem("parameter_invalid", advice, field=name)


def check_known(request: Request) -> None:
    """Raises Problem for parameters that the description of the matched route does not name."""
    described = (getattr(request.scope["route"], "openapi_extra", None) or {}).get("parameters", ())
    known = [one["name"] for one in described if one["in"] == "query"]
    if strangers := [name for name in request.query_params if name not in known]:
        advice = f"This route has {', '.join(known)}" if known else "This route has no parameters in the query"
        errors = [
            FieldError(name, "parameter_invalid", f"Remove it, or correct its name. {advice}.") for name in strangers
        ]
        raise Problem("parameter_invalid", f"The query has unknown parameters. {advice}.", errors=errors)


def text(request: Request, name: str) -> str | None:
    """The parameter's value, or None when it was not sent. Raises Problem when it was sent twice."""
    values = request.query_params.getlist(name)
    if len(values) > 1:
        raise refused(name, f"Send {name} once.")
    return values[0] if values else None


def number(request: Request, name: str, default: int, largest: int, least: int = 1) -> int:
    """A number from `least` to `largest`. Raises Problem."""
    sent = text(request, name)
    if sent is None:
        return default
    value = int(sent) if NUMBER.fullmatch(sent) else -1
    if not least <= value <= largest:
        raise refused(name, f"Send a number from {least} to {largest} as {name}.")
    return value


def names(request: Request, name: str, allowed: Collection[str]) -> list[str] | None:
    """Names separated by commas, in the order of `allowed`; None when not sent. Raises Problem."""
    sent = text(request, name)
    if sent is None:
        return None
    chosen = {one.strip() for one in sent.split(",")}
    if not chosen <= set(allowed):
        raise refused(name, f"Send names separated by commas as {name}, of these: {', '.join(allowed)}.")
    return [one for one in allowed if one in chosen]


def word(request: Request, name: str, allowed: Collection[str]) -> str | None:
    """One of the words, spelt as in `allowed`, read without regard to case; None when not sent. Raises Problem."""
    sent = text(request, name)
    if sent is None:
        return None
    spelt = {one.casefold(): one for one in allowed}
    if sent.casefold() not in spelt:
        raise refused(name, f"Send one of these as {name}: {', '.join(allowed)}.")
    return spelt[sent.casefold()]


def attachment_type(request: Request) -> str | None:
    """`type`, spelt as the table has it; None when not sent. Raises Problem 422, as a wrong type in a body does."""
    sent = request.query_params.getlist("type")
    known = fields.attachment_type(sent[0]) if len(sent) == 1 else None
    if sent and known is None:
        raise invalid([FieldError("type", "invalid_value", f"Send one of {', '.join(limits.ATTACHMENT_TYPES)}.")])
    return known


def identity(request: Request, name: str) -> str | None:
    """An id in its canonical form; None when not sent. Raises Problem."""
    sent = text(request, name)
    if sent is None:
        return None
    if not UUID.fullmatch(sent.lower()):
        raise refused(name, f"Send an id as the API gave it as {name}.")
    return sent.lower()
