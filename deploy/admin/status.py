"""`mutation-engine status`: what became of a write, once or until it has ended."""

import time
from collections.abc import Iterator
from functools import partial
from typing import Annotated, Any, Final
from urllib.parse import quote

import typer

from deploy.admin.gateway import Gateway, Unreachable, patiently
from deploy.admin.installation import installation_of
from deploy.admin.terminal import FAILED, Json, counted, print_json, say

ENDED: Final = frozenset({"completed", "partially_completed", "failed", "rejected"})
GOOD: Final = "completed"
STYLES: Final = {GOOD: "green", "stored": "green", "delivered": "green", "accepted": "cyan", "applying": "cyan"}
WAIT_SECONDS: Final = 30
LEAST_SECONDS: Final = 0.2  # between two questions
UNNAMED: Final = "(no name yet)"  # of an upload it is read later, of a URL its source may tell it

Key = Annotated[str, typer.Argument(metavar="KEY", help="The idempotency key of the write.")]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Until it has ended; prints every change.")]


def main(ctx: typer.Context, key: Key, follow: Follow = False, as_json: Json = False) -> None:
    """Tell what became of a write: its state, its files, its callbacks. Exit code 1 when it ended otherwise than well.

    mutation-engine status hire-4711

    mutation-engine status hire-4711 --follow --json | jq .status
    """
    with installation_of(ctx).gateway() as gateway:
        if follow:
            view = shown_until_ended(gateway, key, as_json)
        else:
            view = view_of(gateway, key)
            show(view, as_json)
    raise typer.Exit(FAILED if went_wrong(view) else 0)


def view_of(gateway: Gateway, key: str, wait: int | None = None) -> dict[str, Any]:
    """What GET /mutations/{key} says; with `wait` it may take so many seconds. Raises Refused, Unreachable."""
    seconds = 30.0 + (wait or 0)
    path = f"/mutations/{quote(key, safe='')}"
    view: dict[str, Any] = gateway.data("GET", path, query={"wait": wait}, seconds=seconds)
    return view


def shown_until_ended(gateway: Gateway, key: str, as_json: bool) -> dict[str, Any]:
    """Print every change until it has ended; returns the last state."""
    last: Any = None
    view: dict[str, Any] = {}
    for view in views(gateway, key):
        if (now := _changing(view)) != last:
            show(view, as_json)
        last = now
    return view


def views(gateway: Gateway, key: str) -> Iterator[dict[str, Any]]:
    """The states of a mutation, until the terminal one. A gateway that is away for a while is waited for."""
    wait: int | None = None  # the first answer at once, so that something is seen
    while True:
        asked = time.monotonic()
        view = patiently(partial(view_of, gateway, key, wait), Unreachable)
        yield view
        if has_ended(view):
            return
        if wait:  # a gateway that leaves answers at once
            time.sleep(max(asked + LEAST_SECONDS - time.monotonic(), 0.0))
        wait = WAIT_SECONDS


def has_ended(view: dict[str, Any]) -> bool:
    """Whether nothing more will happen to it, or to any of its members."""
    return all(each["status"] in ENDED for each in members(view))


def went_wrong(view: dict[str, Any]) -> bool:
    """Whether it, or one of its members, ended otherwise than complete."""
    return any(each["status"] in ENDED - {GOOD} for each in members(view))


def members(view: dict[str, Any]) -> list[dict[str, Any]]:
    """Of a request for several records, or the mutation itself."""
    return view.get("members") or [view]


def show(view: dict[str, Any], as_json: bool) -> None:
    """Print a state: a line for it, for each file, for each attempt to call back."""
    if as_json:
        print_json(view)
        return
    for each in members(view):
        record = each.get("record") or {}
        of = f"  {record['type']} {record['id']}" if record else ""
        say(f"{each['idempotencyKey']}  {each['kind']}  {each['status']}{of}", _style(each["status"]))
        _show_error(each.get("error"))
        for file in each.get("attachments") or ():
            size = f"  {counted(file['size'], 'byte')}  {file['contentType']}" if file.get("size") else ""
            say(f"  {file['filename'] or UNNAMED}  {file['status']}{size}  {file['id']}", _style(file["status"]))
            _show_error(file.get("error"), "    ")
        for delivery in each.get("deliveries") or ():
            _show_delivery(delivery)


def _show_delivery(delivery: dict[str, Any]) -> None:
    after = f", next at {delivery['nextAt']}" if delivery.get("nextAt") else ""
    say(f"  callback {delivery['status']}{after}", _style(delivery["status"]))
    for attempt in delivery["attempts"]:
        answer = attempt["status"] or attempt["error"]
        say(f"    attempt {attempt['n']} at {attempt['at']}: {answer}, {attempt['ms']} ms")


def _show_error(error: dict[str, Any] | None, indent: str = "  ") -> None:
    if error:
        say(f"{indent}{error['code']}: {error['message']}", "red")


def _style(status: str) -> str:
    return STYLES.get(status, "yellow")


def _changing(view: dict[str, Any]) -> Any:
    """What is worth a new line; times that pass are not."""
    return [
        (each["status"], each.get("attachments"), [(d["status"], d["attempts"]) for d in each.get("deliveries") or ()])
        for each in members(view)
    ]
