"""The body of a callback, built from the ledger's `outcome` in one place: what was erased can't come back late."""

from datetime import UTC, datetime
from typing import Any, Final

import orjson

TYPE: Final = "mutation.completed"


def build(outcome: dict[str, Any], ended_at: datetime, environment: str) -> bytes:
    """The exact bytes that are signed and sent; the same outcome gives the same bytes in every attempt."""
    timestamp = ended_at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    meta = {"sandboxEnabled": environment == "sandbox"}
    return orjson.dumps({"type": TYPE, "timestamp": timestamp, "data": outcome, "meta": meta})
