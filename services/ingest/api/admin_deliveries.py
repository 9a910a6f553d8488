"""For operators: callbacks of all tenants, and sending them again by hand."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from services.ingest import operator_views as views
from services.ingest.api import answers, audit, parameters
from services.ingest.api.describe import administer, parameter
from services.ingest.api.gateway import admitted, payload_of
from services.ingest.operator_payloads import EXAMPLE, ResendPayload, moment
from services.ingest.problems import FieldError, invalid
from services.ingest.resends import STATUSES, Chosen
from shared import limits, topics
from shared.deliveries import WEBHOOK_PREFIX
from shared.ledger import DATABASES

router = APIRouter(prefix="/admin/deliveries", tags=["administration"])
SHOWN: Final = 50
RECENT: Final = timedelta(days=1)  # of delivered ones, where nobody says since when: there may be millions
TIME: Final = {"type": "string", "format": "date-time", "examples": [EXAMPLE]}
FILTERS: Final = (
    parameter("environment", "Of this environment.", enum=[*DATABASES], default="live"),
    parameter("tenant", "Of this tenant."),
    parameter("state", "In this state; `failed`: exhausted or gone.", enum=[*STATUSES]),
    parameter("since", "Of mutations that ended then or later; a day ago for delivered ones.", **TIME),
    parameter("until", "Of mutations that ended before.", **TIME),
    parameter("limit", "So many.", type="integer", minimum=1, maximum=limits.PAGE_SIZE, default=SHOWN),
)
ALONE: Final = ("tenant", "state", "since", "until")


@router.get("", **administer("DeliveriesAnswer", "List callbacks", 200, *FILTERS))
async def list_deliveries(request: Request) -> Response:
    """With every attempt and the start of what was answered, those of the latest ended mutations first."""
    gateway = await admitted(request)
    chosen, most = _chosen(request), parameters.number(request, "limit", SHOWN, limits.PAGE_SIZE)
    found, now = await gateway.oversight.resends.deliveries(chosen, most), datetime.now(UTC)
    shown = [{"environment": chosen.environment} | _named(each) | views.delivery(each, now) for each in found]
    return answers.found(request, {"deliveries": shown})


@router.post("/resend", **administer("CountAnswer", "Send callbacks again", body="ResendPayload"))
async def resend(request: Request) -> Response:
    """One more attempt each, now, under the same id: receivers de-duplicate by it. At most 1,000; repeat it for more.

    What is delivered, has ended with 410, or is under way stays as it is, and is not counted. What still waits has its
    next attempt now instead of later, and it counts.
    """
    gateway = await admitted(request)
    payload = await payload_of(request, gateway, ResendPayload)
    _check(payload)
    resends = gateway.oversight.resends
    if payload.webhook_ids is not None:
        named = [one.removeprefix(WEBHOOK_PREFIX).lower() for one in dict.fromkeys(payload.webhook_ids)]
        ids = await resends.sendable(payload.environment, named)
    else:
        chosen = Chosen(payload.environment, payload.tenant, payload.state, payload.since, payload.until)
        ids = await resends.exhausted(chosen, limits.DELIVERIES_RESENT)
    if payload.dry_run:
        return answers.found(request, {"count": len(ids), "dryRun": True})
    count = await resends.resend(payload.environment, ids)
    audit.resent(request, payload.model_dump(mode="json", exclude={"webhook_ids", "dry_run"}), ids, count)
    return answers.found(request, {"count": count, "dryRun": False})


def _check(payload: ResendPayload) -> None:
    """Raises Problem unless the payload chooses in one of the two ways."""
    if payload.webhook_ids is None and payload.state is None:
        raise invalid([FieldError("", "empty_request", 'Send webhookIds, or "state": "failed" for all failed ones.')])
    if payload.webhook_ids is not None:
        more = [name for name in ALONE if getattr(payload, name) is not None]
        if more:
            said = "Send it without webhookIds, or remove it."
            raise invalid([FieldError(f"/{name}", "invalid_value", said) for name in more])


def _chosen(request: Request) -> Chosen:
    environment = parameters.word(request, "environment", DATABASES) or "live"
    tenant, state = parameters.text(request, "tenant"), parameters.word(request, "state", STATUSES)
    if tenant is not None and not topics.TENANT_NAME.fullmatch(tenant):
        raise parameters.refused("tenant", "Send a tenant's name as tenant.")
    since, until = _time(request, "since"), _time(request, "until")
    if since is None and state in (None, "delivered"):
        since = (until or datetime.now(UTC)) - RECENT
    return Chosen(environment, tenant, state, since, until)


def _time(request: Request, name: str) -> datetime | None:
    sent = parameters.text(request, name)
    if sent is None:
        return None
    time = moment(sent.replace(" ", "+"))  # a plus in a query is a space, unless it is escaped
    if time is None:
        raise parameters.refused(name, f"Send a time like {EXAMPLE} as {name}.")
    return time


def _named(delivery: dict[str, Any]) -> dict[str, Any]:
    return {"tenant": delivery["tenant"], "mutationId": delivery["_id"]}
