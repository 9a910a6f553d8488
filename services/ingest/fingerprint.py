"""What makes two requests the same one: a digest of all that the client decided (the same for both doors)."""

import hashlib
from typing import Any, Final

import orjson

from services.ingest.json_text import LongText

CONTROL_MEMBERS: Final = ("idempotencyKey", "callbackUrl")


def fingerprint(operation: str, target: str, if_match: str | None, callback_url: str | None, payload: Any) -> str:
    """SHA-256 in hex over operation, target, If-Match, callbackUrl and the body as sent, members sorted.

    The payload must be valid (no integers beyond 64 bits). `idempotencyKey` and `callbackUrl` don't count as body.
    """
    if isinstance(payload, dict):
        payload = {name: member for name, member in payload.items() if name not in CONTROL_MEMBERS}
    whole = [operation, target, if_match, callback_url, payload]
    return hashlib.sha256(orjson.dumps(whole, default=_digest, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _digest(value: object) -> dict[str, str]:
    if isinstance(value, LongText):
        return {"sha256": value.sha256}
    raise TypeError(type(value).__name__)
