"""`mutation-engine dlq`: records that could not be worked off, why, and replaying them as they came."""

import re
from typing import Annotated, Any, Final
from urllib.parse import quote

import typer
from rich.table import Table

from deploy.admin.gateway import Gateway
from deploy.admin.installation import installation_of
from deploy.admin.terminal import (
    MISUSED,
    CommandFailed,
    Json,
    cell,
    counted,
    end_counted,
    moment_of,
    note,
    out,
    print_json,
    say,
)

app = typer.Typer(name="dlq", help="Dead letters, by an admin key.", no_args_is_help=True)
PLACE: Final = re.compile(r"([0-9]{1,9}):([0-9]{1,18})")
SUFFIX: Final = ".dlq"
PATIENT_SECONDS: Final = 90.0  # for an answer, which may wait for others who read the same topics

Topic = Annotated[str, typer.Argument(help="mutations.accepted.dlq, or mutations.accepted for short.")]
Reason = Annotated[str | None, typer.Option(help="With exactly this reason.")]
Limit = Annotated[int, typer.Option(help="So many.", min=1, max=100)]
Offsets = Annotated[list[str] | None, typer.Option("--offset", help="PARTITION:OFFSET, as show prints it; repeatable.")]
Every = Annotated[bool, typer.Option("--all", help="All of the topic.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only count.")]


@app.command("list")
def list_topics(ctx: typer.Context, as_json: Json = False) -> None:
    """List the topics with dead letters, by reason."""
    with installation_of(ctx).admin() as gateway:
        found = gateway.data("GET", "/admin/dead-letters", seconds=PATIENT_SECONDS)["topics"]
    if as_json:
        print_json(found)
        return
    if not found:
        say("no dead letters", "green")
        return
    table = Table("topic", "count", "oldest", "newest", "reason", box=None)
    for topic in found:
        for group in topic["groups"]:
            times = moment_of(group["oldest"]), moment_of(group["newest"])
            table.add_row(topic["topic"], str(group["count"]), *times, cell(group["reason"]))
        if topic["read"] < topic["total"]:
            table.add_row(topic["topic"], str(topic["total"] - topic["read"]), "–", "–", "[dim]older, not looked at[/]")
    out.print(table)


@app.command("show")
def show(ctx: typer.Context, topic: Topic, reason: Reason = None, limit: Limit = 20, as_json: Json = False) -> None:
    """Show a topic's dead letters, the newest first, each with the beginning of its bytes."""
    query = {"reason": reason, "limit": limit}
    with installation_of(ctx).admin() as gateway:
        found = gateway.data("GET", _path(topic), query=query, seconds=PATIENT_SECONDS)["letters"]
    if as_json:
        print_json(found)
        return
    if not found:
        say("no dead letters", "green")
    for each in found:
        say(f"{each['partition']}:{each['offset']}  {each['at'] or ''}  {each['reason']}", "yellow")
        tries = "tries unknown" if each["tries"] is None else counted(each["tries"], "try", "tries")
        source, key = each["sourceTopic"] or "unknown", each["key"] or "none"
        say(f"  from {source}, {tries}, {counted(each['bytes'], 'byte')}, key {key}")
        say(f"  {each['excerpt']}", "dim")


@app.command("replay")
def replay(
    ctx: typer.Context,
    topic: Topic,
    reason: Reason = None,
    offsets: Offsets = None,
    every: Every = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Publish dead letters to the topic they came from, as they came. Safe to repeat. Exit code 1 when there was none.

    mutation-engine dlq replay mutations.accepted --reason internal_error --dry-run

    mutation-engine dlq replay mutations.accepted --offset 0:12
    """
    if every == bool(reason or offsets):
        raise CommandFailed(MISUSED, "Say which: --reason, --offset, or --all.")
    body: dict[str, Any] = {"dryRun": dry_run}
    body |= {"reason": reason} if reason else {}
    body |= {"offsets": [_place(each) for each in offsets]} if offsets else {}
    with installation_of(ctx).admin() as gateway:
        done = _replayed(gateway, f"{_path(topic)}/replay", body)
    at = ", ".join(f"{partition}:{offset}" for partition, offset, _ in done["next"])
    rest = f"Kafka gave none from {at} on: repeat this command when it does." if at else ""
    end_counted(done, as_json, dry_run, f"replayed to {done['target']}", rest)


def _replayed(gateway: Gateway, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """The last answer with the count of all: each goes on where the one before has stopped, as long as it gets on."""
    done = gateway.data("POST", path, body, seconds=PATIENT_SECONDS)
    count = done["count"]
    while done["next"] and done["next"] != body.get("parts"):
        note(f"{counted(count, 'record')} so far")
        body["parts"] = done["next"]
        done = gateway.data("POST", path, body, seconds=PATIENT_SECONDS)
        count += done["count"]
    return {**done, "count": count}


def _path(topic: str) -> str:
    whole = topic if topic.endswith(SUFFIX) else topic + SUFFIX
    return f"/admin/dead-letters/{quote(whole, safe='')}"


def _place(text: str) -> list[int]:
    found = PLACE.fullmatch(text)
    if not found:
        raise CommandFailed(MISUSED, f"{text} is no PARTITION:OFFSET, like 0:12.")
    return [int(found[1]), int(found[2])]
