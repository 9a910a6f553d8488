"""ETags of records, which are their versions, and the headers that hold them (RFC 9110, section 13)."""

import re
from typing import Final

from starlette.requests import Request

from services.ingest.problems import Problem

TAG: Final = re.compile(r'"(0|[1-9][0-9]{0,17})"')
ANY_TAG: Final = re.compile(r'(?:W/)?"[^"]*"')


def etag(version: int) -> str:
    """The strong tag of a version."""
    return f'"{version}"'


def if_match(request: Request) -> str | None:
    """If-Match as it was sent, several as one; part of the fingerprint. Raises Problem unless it is `*` or tags."""
    sent = request.headers.getlist("if-match")
    if not sent:
        return None
    header = ", ".join(sent)
    parts = {part.strip() for part in ANY_TAG.sub('""', header).split(",")}
    if header.strip() != "*" and not {'""'} <= parts <= {'""', ""}:
        raise Problem(
            "malformed_request", 'Send the ETag with its quotes in If-Match, like "5", or *.', field="If-Match"
        )
    return header


def versions(header: str | None) -> tuple[int, ...] | None:
    """Which versions If-Match allows; None: any. Weak tags never match, nor do tags that are none of ours."""
    if header is None or header.strip() == "*":
        return None
    tags = (TAG.fullmatch(tag.strip()) for tag in header.split(","))
    return tuple(int(tag[1]) for tag in tags if tag)


def unchanged(request: Request, version: int) -> bool:
    """Whether If-None-Match names this version, so that 304 is enough; here weak tags count."""
    tags = [tag.strip().removeprefix("W/") for tag in ",".join(request.headers.getlist("if-none-match")).split(",")]
    return etag(version) in tags or tags == ["*"]
