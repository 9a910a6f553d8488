"""`mutation-engine erase`: a record and every stored byte of it, for good."""

import sys
import uuid
from typing import Annotated

import typer

from deploy.admin import status
from deploy.admin.gateway import Gateway
from deploy.admin.installation import installation_of
from deploy.admin.records import Candidate, Company, Record, Vacancy, the_record
from deploy.admin.terminal import FAILED, MISUSED, CommandFailed, Json, counted, note, say

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")]
IdempotencyKey = Annotated[str | None, typer.Option("--idempotency-key", help="To repeat it safely; made up if none.")]


def main(
    ctx: typer.Context,
    candidate: Candidate = None,
    company: Company = None,
    vacancy: Vacancy = None,
    yes: Yes = False,
    idempotency_key: IdempotencyKey = None,
    as_json: Json = False,
) -> None:
    """Erase a record with all its files, and wait until it is done. The outcome, with its counts, is the proof.

    mutation-engine erase --candidate 019c9d2e-6a00-7000-8000-000000000002
    """
    record = the_record(candidate, company, vacancy)
    key = idempotency_key or str(uuid.uuid4())
    with installation_of(ctx).gateway() as gateway:
        if not yes:
            _ask(gateway, record)
        note(f"idempotency key {key}")
        gateway.call("DELETE", record.path, query={"idempotencyKey": key})
        view = status.shown_until_ended(gateway, key, as_json)
    if not as_json and (removed := view.get("removed")):
        parts = (counted(removed[f"{each}s"], each) for each in ("attachment", "object", "byte"))
        say(f"  removed: {', '.join(parts)}")
    raise typer.Exit(FAILED if status.went_wrong(view) else 0)


def _ask(gateway: Gateway, record: Record) -> None:
    """Raises typer.Abort for a no; CommandFailed where nobody can answer."""
    if not (sys.stdin and sys.stdin.isatty()):  # none where it is closed
        raise CommandFailed(MISUSED, "Nobody is there to ask: say --yes. NOTHING was erased.")
    gateway.call("GET", record.path)
    files = sum(1 for _ in gateway.pages("/attachments", {f"{record.type}Id": record.id}))
    typer.confirm(
        f"Erase {record.type} {record.id} with {counted(files, 'file')} at {gateway.url}, for good?",
        abort=True,
        err=True,
    )
