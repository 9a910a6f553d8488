"""What became of a write: the ledger's view of a mutation, by its idempotency key, at once or when it has ended."""

import re
from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from services.ingest.api import answers, describe_mutations, parameters
from services.ingest.api.events import leaving
from services.ingest.api.gateway import gateway_of
from services.ingest.api.mutation_views import found, head, view
from services.ingest.problems import unavailable
from shared import ledger as states
from shared import limits

router = APIRouter(tags=["mutations"])
PREFERRED: Final = re.compile(r"\s*wait\s*=\s*\"?([0-9]{1,9})\"?\s*(;.*)?", re.IGNORECASE)


@router.get("/mutations/{idempotencyKey}", **describe_mutations.mutation())
async def read(request: Request) -> Response:
    """Status, files, errors and callbacks; a request for several records lists its members (`<key>#n`, `#` as %23).

    A rejected command has taken no key: it is found under the mutation id in its outcome. With `wait` the answer comes
    when the mutation has ended, or after so many seconds, or sooner: then it has the present state.
    """
    gateway = gateway_of(request)
    caller = await gateway.caller(request)
    key: str = request.path_params["idempotencyKey"]
    preferred = _preferred(request)
    seconds = parameters.number(request, "wait", preferred or 0, limits.WAIT_SECONDS, least=0)
    document, mutations = await found(gateway, caller, key)
    if seconds and any(each["status"] in states.OPEN for each in mutations):
        with gateway.watches.open(caller.environment, caller.tenant, mutations) as watch:
            if watch.over:
                raise unavailable("This gateway is being restarted: ask again.")
            async with leaving(request.receive, watch):
                await watch.end(seconds)
        request.state.waited = watch.waited
        document, mutations = await found(gateway, caller, key)
    deliveries = await gateway.reads.deliveries(caller.environment, caller.tenant, [each["_id"] for each in mutations])
    views = [view(each, deliveries.get(each["_id"])) for each in mutations]
    answer = answers.found(request, head(document, views) if document["status"] == states.BATCH else views[0])
    if preferred == seconds:
        answer.headers["Preference-Applied"] = f"wait={seconds}"
    return answer


def _preferred(request: Request) -> int | None:
    """Seconds of `Prefer: wait` (RFC 7240); a preference that can't be met is met as far as it can, or ignored."""
    parts = (part for value in request.headers.getlist("prefer") for part in value.split(","))
    wishes = (PREFERRED.fullmatch(part) for part in parts)
    wish = next((int(one[1]) for one in wishes if one), None)
    return None if wish is None else min(wish, limits.WAIT_SECONDS)
