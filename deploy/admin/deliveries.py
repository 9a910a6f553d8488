"""`mutation-engine deliveries`: callbacks of all tenants, what receivers answered, and sending them again."""

import re
import uuid
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Final
from urllib.parse import quote

import typer
from rich.table import Table

from deploy.admin.gateway import Gateway
from deploy.admin.installation import installation_of
from deploy.admin.terminal import (
    FAILED,
    MISUSED,
    CommandFailed,
    Json,
    cell,
    end_counted,
    moment_of,
    out,
    print_json,
    say,
)
from shared.deliveries import WEBHOOK_PREFIX
from shared.limits import DELIVERIES_RESENT

app = typer.Typer(name="deliveries", help="Callbacks of all tenants, by an admin key.", no_args_is_help=True)
AGO: Final = re.compile(r"([0-9]{1,4})([mhd])")
UNITS: Final = {"m": "minutes", "h": "hours", "d": "days"}
STYLES: Final = {"failed": "red", "open": "yellow", "delivered": "green"}


class Environment(StrEnum):
    """Where a mutation belongs."""

    live = "live"
    sandbox = "sandbox"


class State(StrEnum):
    """How a callback stands."""

    failed = "failed"
    open = "open"
    delivered = "delivered"


Where = Annotated[Environment, typer.Option("--environment", "-e", help="Real mutations, or rehearsed ones.")]
Tenant = Annotated[str | None, typer.Option(help="Of this tenant only.")]
Stands = Annotated[State | None, typer.Option("--state", help="Only these; failed: exhausted, or ended with 410.")]
Since = Annotated[
    str | None,
    typer.Option(help="Of mutations that ended since: 30m, 24h or 7d ago, or a time like 2026-03-01T12:00Z."),
]
Until = Annotated[str | None, typer.Option(help="Of mutations that ended before that.")]
Limit = Annotated[int, typer.Option(help="So many.", min=1, max=100)]
Ids = Annotated[list[str] | None, typer.Argument(metavar="ID…", help="Webhook ids (msg_…) or mutation ids.")]
Sought = Annotated[str, typer.Argument(metavar="ID", help="A webhook id, or any id of its mutation.")]
Failed = Annotated[bool, typer.Option("--failed", help="All exhausted ones (of the tenant, of the time).")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only count.")]


@app.command("list")
def list_deliveries(
    ctx: typer.Context,
    environment: Where = Environment.live,
    tenant: Tenant = None,
    state: Stands = None,
    since: Since = None,
    until: Until = None,
    limit: Limit = 50,
    as_json: Json = False,
) -> None:
    """List callbacks, those of the latest ended mutations first.

    mutation-engine deliveries list --state failed --since 24h
    """
    query = {"environment": environment, "tenant": tenant, "state": state, "limit": limit}
    times = {"since": moment("--since", since), "until": moment("--until", until)}
    with installation_of(ctx).admin() as gateway:
        found = gateway.data("GET", "/admin/deliveries", query=query | times)["deliveries"]
    if as_json:
        print_json(found)
        return
    # What fits 80 columns comes first; the terminal breaks the rest.
    table = Table("webhook id", "state", "tries", "last answer", "tenant", "receiver", "next attempt", box=None)
    for each in found:
        words = each["webhookId"], _stands(each), str(len(each["attempts"])), _last(each), each["tenant"]
        at = moment_of(each["nextAttemptAt"])
        table.add_row(*map(cell, words), cell(_receiver(each) or "–"), at, style=STYLES[each["state"]])
    out.print(table)


@app.command("show")
def show(ctx: typer.Context, sought: Sought, as_json: Json = False) -> None:
    """Show a callback with every attempt and what was answered. Exit code 1 when there is none.

    mutation-engine deliveries show msg_019c9d2e-6a00-7000-8000-000000000002
    """
    with installation_of(ctx).admin() as gateway:
        found = _of(gateway, sought)
    if as_json:
        print_json(found)
        return
    for each in found:
        say(f"{each['webhookId']}  {_stands(each)}  {_receiver(each)}", STYLES[each["state"]])
        for attempt in each["attempts"]:
            said = attempt["status"] or attempt["error"]
            say(f"  {attempt['at']}  {said}  {attempt['ms']} ms  {attempt['meaning'] or ''}")
            if attempt["excerpt"]:
                say(f"    {attempt['excerpt'].strip()}", "dim")
        if each["nextAttemptAt"]:
            say(f"  next attempt at {each['nextAttemptAt']}")


@app.command("resend")
def resend(
    ctx: typer.Context,
    ids: Ids = None,
    failed: Failed = False,
    environment: Where = Environment.live,
    tenant: Tenant = None,
    since: Since = None,
    until: Until = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Attempt callbacks once more, now, under the same id: receivers de-duplicate by it. Exit code 1 when none was.

    mutation-engine deliveries resend msg_019c9d2e-6a00-7000-8000-000000000002

    mutation-engine deliveries resend --failed --tenant acme --since 24h --dry-run
    """
    if bool(ids) == failed or (ids and (tenant or since or until)):
        raise CommandFailed(MISUSED, "Name callbacks by their ids, or say --failed with --tenant, --since, --until.")
    body: dict[str, Any] = {"environment": environment, "dryRun": dry_run}
    if ids:
        body["webhookIds"] = [_identity(each) for each in ids]
    else:
        times = {"since": moment("--since", since), "until": moment("--until", until)}
        chosen = {"state": State.failed, "tenant": tenant} | times
        body |= {name: value for name, value in chosen.items() if value is not None}
    with installation_of(ctx).admin() as gateway:
        done = gateway.data("POST", "/admin/deliveries/resend", body)
    end_counted(done, as_json, dry_run, "sent again", _but(done["count"]))


def _but(count: int) -> str:
    if not count:
        return "What is unknown, delivered, was answered with 410, is about an erased record or is under way can't be."
    return (
        f"That is as many as at once: {DELIVERIES_RESENT:,}. Repeat it for more." if count >= DELIVERIES_RESENT else ""
    )


def moment(option: str, text: str | None) -> str | None:
    """A time as the gateway takes it; `24h` is so long ago. Raises CommandFailed for what is neither."""
    if text is None:
        return None
    if ago := AGO.fullmatch(text):
        return (datetime.now(UTC) - timedelta(**{UNITS[ago[2]]: int(ago[1])})).isoformat().replace("+00:00", "Z")
    try:
        datetime.fromisoformat(text)
    except ValueError:
        like = "30m, 24h or 7d (so long ago), or a time like 2026-03-01T12:00:00Z"
        raise CommandFailed(MISUSED, f"{option} {text!r} is no time: say {like}.") from None
    return text


def _identity(text: str) -> str:
    """A webhook or mutation id; raises CommandFailed for what can be neither, such as an idempotency key."""
    try:
        uuid.UUID(text.removeprefix(WEBHOOK_PREFIX))
    except ValueError:
        shows = f"mutation-engine deliveries show {text}"
        raise CommandFailed(
            MISUSED, f"{text} is no webhook id (msg_…) and no mutation id. Look it up: {shows}"
        ) from None
    return text


def _of(gateway: Gateway, sought: str) -> list[dict[str, Any]]:
    """The callbacks of the mutations with this id; raises CommandFailed without any."""
    rows = gateway.data("GET", "/admin/search", query={"q": sought})["mutations"]
    if not rows:
        raise CommandFailed(FAILED, f"No mutation has the id {sought}.")
    found: list[dict[str, Any]] = []
    for row in rows:
        path = f"/admin/mutations/{row['environment']}/{quote(row['mutationId'], safe='')}"
        found += gateway.data("GET", path)["deliveries"]
    if not found:
        raise CommandFailed(FAILED, f"{sought} has no callback: nobody asked for one, or it has not ended yet.")
    return found


def _last(delivery: dict[str, Any]) -> str:
    attempts = delivery["attempts"]
    return str(attempts[-1]["status"] or attempts[-1]["error"]) if attempts else "–"


def _stands(delivery: dict[str, Any]) -> str:
    """The word of the console and of --state; of a failed one also why no attempt follows."""
    failed = delivery["state"] == State.failed
    return f"{delivery['state']} ({delivery['status']})" if failed else str(delivery["state"])


def _receiver(delivery: dict[str, Any]) -> str:
    """Its host: of what has ended nothing else is kept."""
    return (delivery["receiver"] or "").rpartition("://")[2]
