"""What operators send: which callbacks to send again, which dead letters to replay."""

from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

from services.ingest import fields
from services.ingest.schemas import Payload
from shared import limits

LARGEST: Final = 2**63 - 1
PARTS: Final = 1000  # more than a topic has partitions
YEARS: Final = range(2000, 2200)
EXAMPLE: Final = "2026-03-01T12:00:00Z"


def moment(text: str) -> datetime | None:
    """A time as RFC 3339 writes it, UTC where it names no zone; None for anything else."""
    try:
        time = datetime.fromisoformat(text)
        found = time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
    return found if found.year in YEARS else None


def _time(value: Any) -> Any:
    if value is None or isinstance(value, datetime):
        return value
    found = moment(value) if isinstance(value, str) else None
    if found is None:
        raise fields.refuse("invalid_value", f"Send a time like {EXAMPLE}.")
    return found


def _place(value: list[int]) -> list[int]:
    if len(value) != 2 or not all(0 <= each <= LARGEST for each in value):
        raise fields.refuse("invalid_value", "Send a partition and an offset, like [0, 12].")
    return value


def _part(value: list[int]) -> list[int]:
    if len(value) != 3 or not all(0 <= each <= LARGEST for each in value):
        raise fields.refuse("invalid_value", "Send a partition, its first offset and the one behind its last.")
    return value


Time = Annotated[datetime | None, BeforeValidator(_time)]
WebhookId = Annotated[str, StringConstraints(min_length=1, max_length=100)]
Place = Annotated[list[int], AfterValidator(_place)]
Part = Annotated[list[int], AfterValidator(_part)]


class ResendPayload(Payload):
    """Either the callbacks with these ids, or all exhausted ones of mutations that ended in a time (`since`, `until`).

    With `dryRun` nothing is sent, only counted.
    """

    environment: Literal["live", "sandbox"]
    webhook_ids: Annotated[list[WebhookId], Field(min_length=1, max_length=limits.DELIVERIES_RESENT)] | None = None
    tenant: fields.TenantName | None = None
    state: Literal["failed"] | None = None
    since: Time = None
    until: Time = None
    dry_run: bool = False


class ReplayPayload(Payload):
    """All dead letters of a topic, or those with this reason, at these [partition, offset], or both.

    To go on where an answer has stopped, send its `next` as `parts`. With `dryRun` nothing is replayed, only counted.
    """

    reason: Annotated[str, StringConstraints(min_length=1, max_length=limits.REASON_SHOWN)] | None = None
    offsets: Annotated[list[Place], Field(min_length=1, max_length=limits.DEAD_LETTERS_READ)] | None = None
    parts: Annotated[list[Part], Field(min_length=1, max_length=PARTS)] | None = None
    dry_run: bool = False
