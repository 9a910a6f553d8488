"""Cursors of lists: opaque to clients, and good for nothing but the list that they came from."""

import base64
import hashlib
import uuid
from typing import Final

VERSION: Final = b"\x01"
CHECK_BYTES: Final = 8
PATTERN: Final = "^[A-Za-z0-9_-]{34}$"


def cursor_behind(listed: str, last_id: str) -> str:
    """Where a list goes on behind this id, a UUID. `listed` tells lists apart: environment, tenant, what is listed."""
    body = VERSION + uuid.UUID(last_id).bytes
    check = hashlib.sha256(body + listed.encode()).digest()[:CHECK_BYTES]
    return base64.urlsafe_b64encode(body + check).decode().rstrip("=")


def last_id_of(listed: str, cursor: str) -> str | None:
    """The id behind which the list goes on; None when this is no cursor of this list."""
    try:
        body = base64.urlsafe_b64decode(cursor + "==")
        last_id = str(uuid.UUID(bytes=body[1:17]))
    except ValueError:
        return None
    return last_id if cursor_behind(listed, last_id) == cursor else None
