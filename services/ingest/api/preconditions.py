"""ETags of records, which are their versions, and the headers that hold them (RFC 9110, section 13)."""

import re
from typing import Final

from starlette.requests import Request

TAG: Final = re.compile(r'"(0|[1-9][0-9]{0,17})"')


def etag(version: int) -> str:
    """The strong tag of a version."""
    return f'"{version}"'


def if_match(request: Request) -> str | None:
    """If-Match as it was sent, several of them as one; part of the fingerprint."""
    return ", ".join(request.headers.getlist("if-match")) or None


def versions(header: str | None) -> tuple[int, ...] | None:
    """Which versions If-Match allows; None: any. Weak tags never match, nor does what is no tag of ours."""
    if header is None or header.strip() == "*":
        return None
    tags = (TAG.fullmatch(tag.strip()) for tag in header.split(","))
    return tuple(int(tag[1]) for tag in tags if tag)


def unchanged(request: Request, version: int) -> bool:
    """Whether If-None-Match names this version, so that 304 is enough; here weak tags count."""
    tags = [tag.strip().removeprefix("W/") for tag in ",".join(request.headers.getlist("if-none-match")).split(",")]
    return etag(version) in tags or tags == ["*"]
