"""`mutation-engine lag`: how far the services are behind, what is under way, and who waits for whom."""

from typing import Annotated, Any

import typer
from rich.table import Table

from deploy.admin.installation import installation_of
from deploy.admin.terminal import UNREACHABLE, Json, note, out, print_json, say

Partitions = Annotated[bool, typer.Option("--partitions", help="Each partition, not only the topics.")]


def main(ctx: typer.Context, partitions: Partitions = False, as_json: Json = False) -> None:
    """Tell the lag of every consumer group, by an admin key. Exit code 3 when Kafka or MongoDB is away.

    `age` is that of the first record that is still to be worked off. Of the tenants' command topics only those on
    which something waits are listed.
    """
    with installation_of(ctx).admin() as gateway:
        state = gateway.data("GET", "/admin/state")
    if as_json:
        print_json(state)
    else:
        _show(state, partitions)
    raise typer.Exit(UNREACHABLE if state["away"] else 0)


def _show(state: dict[str, Any], partitions: bool) -> None:
    for server in state["away"]:
        note(f"{server} is away.")
    rows = state["lag"] or []
    table = Table("group", "topic", *(["partition"] if partitions else []), "lag", "age", box=None)
    for row in rows if partitions else by_topic(rows):
        style = "yellow" if row["lag"] else None
        where = [str(row["partition"])] if partitions else []
        table.add_row(row["group"], row["topic"], *where, f"{row['lag']:,}", _age(row["ageSeconds"]), style=style)
    out.print(table)
    if counts := state["mutations"]:
        say("  ".join(f"{name} {count:,}" for name, count in counts.items()))
    if callbacks := state.get("callbacks"):
        say(f"callbacks open {callbacks['open']:,}")
    for each in state.get("oldest") or ():  # of a gateway that tells them
        since = f" since {each['since']}" if each["since"] else ""
        say(f"{each['lane']} {each['environment']} {each['tenant']} {each['mutationId']}{since}")
    for each in state["parked"] or ():
        say(f"parked {each['environment']} {each['tenant']} {each['mutationId']}: {each['why']}", "yellow")


def by_topic(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row for each topic: the sum of its lags, and the age of its oldest record; None where one is unknown."""
    topics: dict[str, dict[str, Any]] = {}
    for row in rows:
        whole = topics.setdefault(row["topic"], row | {"lag": 0, "ageSeconds": 0.0})
        whole["lag"] += row["lag"]
        ages = whole["ageSeconds"], row["ageSeconds"]
        whole["ageSeconds"] = None if None in ages else max(ages)
    return list(topics.values())


def _age(seconds: float | None) -> str:
    return "?" if seconds is None else f"{seconds:,.0f} s"
