"""JSON Schema of payloads, made from the models that validate them, for clients that check before they send."""

from functools import cache
from typing import Any, Final

from services.ingest.record_types import RECORD_TYPES
from shared.limits import IDEMPOTENCY_KEY_PATTERN

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
OPERATIONS: Final = ("create", "update")
# What steers a write may stand in its body; null is the same as leaving it out.
STEERING: Final[dict[str, Any]] = {
    "idempotencyKey": {"type": ["string", "null"], "pattern": IDEMPOTENCY_KEY_PATTERN},
    "callbackUrl": {"type": ["string", "null"], "format": "uri"},
}
REMARK: Final = (
    "The write itself tells what no schema says: whether a URL may be called, whether `data` is canonical base64 of an "
    "accepted type and size, whether anything is left of a file name made safe. Integers come without a fraction."
)


@cache
def payload_schema(record_type: str, operation: str) -> dict[str, Any]:
    """JSON Schema (2020-12) of the body of one create or update; do not change it."""
    known = RECORD_TYPES[record_type]
    model = {"create": known.create, "update": known.update}[operation]
    schema = model.model_json_schema()
    schema["properties"] |= STEERING
    return {"$schema": DIALECT, "$comment": REMARK} | schema
