"""What became of a write: how the ledger's documents look to their tenant."""

import re
from datetime import UTC, datetime
from typing import Any, Final

from services.ingest.api.gateway import Gateway
from services.ingest.auth import Caller
from services.ingest.operator_views import in_flight
from services.ingest.problems import Problem
from services.ingest.rejections import NO_KEY, is_rejection
from shared import ledger as states
from shared.ledger import MutationDocument

KEY: Final = re.compile(r"[A-Za-z0-9_.:+=~@-]{1,255}(#[0-9]{1,2})?")
ATTEMPT: Final = ("n", "at", "status", "ms", "answer", "error")


async def found(gateway: Gateway, caller: Caller, key: str) -> tuple[MutationDocument, list[MutationDocument]]:
    """What holds this key, and its mutations: itself, or the members of a head. Raises Problem mutation_not_found."""
    document = None
    if KEY.fullmatch(key):
        document = await gateway.ledger.find(caller.environment, caller.tenant, key)
    if document is None and is_rejection(key):
        document = await gateway.ledger.find(caller.environment, caller.tenant, NO_KEY + key)
    if document is None:
        raise Problem("mutation_not_found", "No mutation has this idempotency key.")
    if document["status"] != states.BATCH:
        return document, [document]
    return document, await gateway.ledger.members(caller.environment, document["members"])


def head(document: MutationDocument, members: list[dict[str, Any]]) -> dict[str, Any]:
    """A request for several records."""
    own = {"idempotencyKey": document["key"], "mutationId": document["_id"], "kind": document["kind"]}
    return own | {"status": states.BATCH, "createdAt": document["createdAt"], "members": members}


def view(document: MutationDocument, delivery: dict[str, Any] | None) -> dict[str, Any]:
    """A mutation, and what is known of its callback."""
    outcome = document.get("outcome") or {}
    places = document.get("places") or [{}]
    record = outcome.get("record") or document.get("record")
    return {
        "idempotencyKey": document.get("claimedKey") if document["status"] == states.REJECTED else document["key"],
        "mutationId": document["_id"],
        "kind": document.get("kind"),
        "status": document["status"],
        "sequence": places[0].get("sequence"),
        "record": record,
        "records": outcome.get("records") or document.get("records") or ([record] if record else []),
        "attachments": outcome.get("attachments") if outcome else _pending(document),
        "removed": outcome.get("removed"),
        "error": outcome.get("error"),
        "callback": "callbackUrl" in document or delivery is not None,
        "createdAt": document["createdAt"],
        "deadline": document.get("deadline"),
        "endedAt": document.get("endedAt"),
        "deliveries": [_delivery(delivery)] if delivery else [],
    }


def state(document: MutationDocument) -> dict[str, Any]:
    """A mutation without its callback, whose states are others."""
    return {name: shown for name, shown in view(document, None).items() if name not in ("callback", "deliveries")}


def _pending(document: MutationDocument) -> list[dict[str, Any]]:
    """The files of a mutation without outcome; what was fetched so far may still be refused."""
    files = document.get("files", {})
    return [
        {
            "id": file_id,
            "field": files.get(file_id, {}).get("field"),
            "filename": files.get(file_id, {}).get("filename"),
            "status": "pending",
            "error": None,
        }
        for file_id in document.get("fileIds", ())
    ]


def _delivery(delivery: dict[str, Any]) -> dict[str, Any]:
    attempts = [{name: attempt.get(name) for name in ATTEMPT} for attempt in delivery.get("attempts", ())]
    leased = in_flight(delivery, datetime.now(UTC))
    return {
        "status": delivery["status"],
        "attempt": delivery["attempt"],
        "inFlight": leased,
        # While it is leased this is the lease's end, which says nothing of the next attempt.
        "nextAt": None if leased else delivery["nextAt"],
        "createdAt": delivery.get("createdAt"),
        "endedAt": delivery.get("endedAt"),
        "attempts": attempts,
    }
