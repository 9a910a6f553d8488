"""What became of a write: the ledger's view of a mutation, by its idempotency key."""

import re
from datetime import UTC, datetime
from typing import Any, Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from services.ingest.api import answers, describe
from services.ingest.api.gateway import gateway_of
from services.ingest.problems import Problem
from services.ingest.rejections import NO_KEY, is_rejection
from shared import ledger as states
from shared.ledger import MutationDocument

router = APIRouter(tags=["mutations"])
KEY: Final = re.compile(r"[A-Za-z0-9_.:+=~@-]{1,255}(#[0-9]{1,2})?")
ATTEMPT: Final = ("n", "at", "status", "ms", "answer", "error")


@router.get(
    "/mutations/{idempotencyKey}",
    **describe.read("MutationAnswer", "See what became of a write", "mutation_not_found"),
)
async def read(request: Request) -> Response:
    """Status, files, errors and callbacks; a request for several records lists its members (`<key>#n`, `#` as %23).

    A rejected command has taken no key: it is found under the mutation id in its outcome.
    """
    gateway = gateway_of(request)
    caller = await gateway.caller(request)
    key: str = request.path_params["idempotencyKey"]
    document = None
    if KEY.fullmatch(key):
        document = await gateway.ledger.find(caller.environment, caller.tenant, key)
    if document is None and is_rejection(key):
        document = await gateway.ledger.find(caller.environment, caller.tenant, NO_KEY + key)
    if document is None:
        raise Problem("mutation_not_found", "No mutation has this idempotency key.")
    if document["status"] == states.BATCH:
        members = await gateway.ledger.members(caller.environment, document["members"])
    else:
        members = [document]
    ids = [member["_id"] for member in members]
    deliveries = await gateway.reads.deliveries(caller.environment, caller.tenant, ids)
    views = [_view(member, deliveries.get(member["_id"])) for member in members]
    return answers.found(request, _head(document, views) if document["status"] == states.BATCH else views[0])


def _head(document: MutationDocument, members: list[dict[str, Any]]) -> dict[str, Any]:
    own = {"idempotencyKey": document["key"], "mutationId": document["_id"], "kind": document["kind"]}
    return own | {"status": states.BATCH, "createdAt": document["createdAt"], "members": members}


def _view(document: MutationDocument, delivery: dict[str, Any] | None) -> dict[str, Any]:
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
    leased_until = delivery.get("leaseUntil")
    in_flight = leased_until is not None and leased_until > datetime.now(UTC)
    return {
        "status": delivery["status"],
        "attempt": delivery["attempt"],
        "inFlight": in_flight,
        # While it is leased this is the lease's end, which says nothing of the next attempt.
        "nextAt": None if in_flight else delivery["nextAt"],
        "createdAt": delivery.get("createdAt"),
        "endedAt": delivery.get("endedAt"),
        "attempts": attempts,
    }
