"""What two parties could read differently in a request's frame is refused, so that nobody slips in between them.

Granian (hyper) refuses most of it by itself; here is the rest (RFC 9112, sections 3.2, 6.1 and 6.3).
"""

from typing import Final

from starlette.types import Scope

from services.ingest.problems import Problem

ONCE: Final = frozenset({b"host", b"content-length", b"transfer-encoding", b"x-api-key"})
Headers = list[tuple[bytes, bytes]]


def check_frame(scope: Scope) -> None:
    """Raise Problem malformed_request for such a request; nothing more is read from its connection."""
    headers: Headers = scope["headers"]
    names = [name for name, _ in headers]
    if len(set(names)) < len(names) and (doubled := next((name for name in ONCE if names.count(name) > 1), None)):
        raise _refusal(f"Send {doubled.decode()} once.", doubled.decode())
    values = dict(headers)
    if scope["http_version"] == "1.1" and not values.get(b"host"):  # Granian adds an empty one
        raise _refusal("Send the Host header.", "host")
    if b"transfer-encoding" in names and values[b"transfer-encoding"].strip().lower() != b"chunked":
        raise _refusal("The only transfer coding that is taken is chunked.", "transfer-encoding")


def _refusal(detail: str, field: str) -> Problem:
    return Problem("malformed_request", detail, field=field, headers={"Connection": "close"})
