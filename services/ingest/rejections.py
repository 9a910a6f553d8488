"""Commands that never became valid: a document without places keeps why, and its outcome goes out like any other."""

import hashlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol, cast

import structlog

from services.ingest.problems import ERRORS_SHOWN, Problem
from shared import limits, topics
from shared.events import Environment, Kind
from shared.ledger import OWED, REJECTED, Document, MutationDocument
from shared.metrics import FAILURES
from shared.observability import OUTCOMES
from shared.outbox import completed_event
from shared.publisher import Outgoing

log = structlog.get_logger()
PREFIX: Final = "rej-"
REJECTION: Final = re.compile(PREFIX + "[0-9a-f]{64}")
NO_KEY: Final = "!"  # begins the key of a rejected command: no client can send it, so it takes nobody's place


class Ledger(Protocol):
    """Where rejections are kept."""

    async def keep_rejection(self, environment: str, document: MutationDocument) -> None:
        """Insert it, unless it is there. Raises DependencyUnavailable."""
        ...


class Publisher(Protocol):
    """The producer."""

    async def publish_many(self, outgoing: Iterable[Outgoing]) -> list[BaseException | None]:
        """Publish; per item None, or why it is not known to be published."""
        ...


@dataclass(frozen=True, slots=True)
class Understood:
    """What could be understood of a command, valid or not; `callback_url` only if it is one that may be called."""

    environment: Environment = "live"
    key: str | None = None
    kind: Kind | None = None
    record: dict[str, str] | None = None
    callback_url: str | None = None


class Rejections:
    """Ends commands as `rejected`; doing so again is void, because the id comes from the bytes."""

    def __init__(
        self, ledger: Ledger, publisher: Publisher, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._ledger, self._publisher, self._now = ledger, publisher, now

    async def reject(self, tenant: str, raw: bytes, traceparent: str, command: Understood, why: Problem) -> None:
        """Keep the rejection and announce it. Raises DependencyUnavailable while it is not kept."""
        document = self._document(tenant, raw, traceparent, command, why)
        event = completed_event(command.environment, cast(Document, document))  # first: what can't go out is not kept
        await self._ledger.keep_rejection(command.environment, document)
        # A kill before the publish, or a publish that fails, leaves `owed` set: the sweeper publishes it again.
        await self._publisher.publish_many([(topics.COMPLETED, event, traceparent)])
        OUTCOMES.labels(command.environment, command.kind or "unknown", REJECTED).inc()
        FAILURES.labels("mutation", why.code).inc()
        codes = sorted({error.code for error in why.errors})  # never the members' names: they are the sender's words
        log.info("command.rejected", mutation=document["_id"], tenant=tenant, code=why.code, errors=codes)

    def _document(
        self, tenant: str, raw: bytes, traceparent: str, command: Understood, why: Problem
    ) -> MutationDocument:
        name, now = rejection_id(tenant, raw), self._now()
        document = MutationDocument(
            _id=name, tenant=tenant, key=NO_KEY + name, status=REJECTED, outcome=_outcome(name, command, why),
            owed=True, lane=OWED, tries=0, traceparent=traceparent, createdAt=now, endedAt=now,
            expireAt=now + timedelta(seconds=limits.KEPT_SECONDS),
        )  # fmt: skip
        if command.kind:
            document["kind"] = command.kind
        if command.key:
            document["claimedKey"] = command.key
        if command.record:
            document["record"] = command.record
        if command.callback_url:
            document["callbackUrl"] = command.callback_url
        return document


def rejection_id(tenant: str, raw: bytes) -> str:
    """The mutation id of a rejected command: the same bytes of the same tenant always have the same."""
    return PREFIX + hashlib.sha256(tenant.encode() + b"\n" + raw).hexdigest()


def is_rejection(name: str) -> bool:
    """Whether this may be the mutation id of a rejected command."""
    return REJECTION.fullmatch(name) is not None


def _outcome(name: str, command: Understood, why: Problem) -> dict[str, Any]:
    record = {**command.record, "version": None} if command.record else None
    errors = [error.as_dict() for error in why.errors[:ERRORS_SHOWN]]
    return {
        "idempotencyKey": command.key,
        "mutationId": name,
        "kind": command.kind,
        "status": REJECTED,
        "sequence": None,
        "record": record,
        "records": [record] if record else [],
        "attachments": [],
        "removed": {"attachments": 0, "objects": 0, "bytes": 0},
        "error": {"code": why.code, "message": why.detail, "errors": errors},
    }
