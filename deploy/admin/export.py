"""`mutation-engine export`: a tenant's records and attachments as NDJSON, with the files themselves if wanted."""

import hashlib
from collections.abc import Iterator
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

import httpx2
import orjson
import typer

from deploy.admin.gateway import Busy, Gateway, Refused, patiently
from deploy.admin.installation import installation_of
from deploy.admin.records import PLURALS
from deploy.admin.terminal import FAILED, MISUSED, CommandFailed, Json, counted, note, print_json
from shared.filenames import safe_name

ATTACHMENTS: Final = "attachments"
SINGULARS: Final = {plural: kind for kind, plural in PLURALS.items()} | {ATTACHMENTS: "attachment"}
Line = dict[str, Any]


class What(StrEnum):
    """What can be listed."""

    candidates = "candidates"
    companies = "companies"
    vacancies = "vacancies"
    attachments = "attachments"
    all = "all"


Which = Annotated[What, typer.Argument(help="Which list.")]
To = Annotated[Path | None, typer.Option(metavar="DIRECTORY", help="Into <list>.ndjson there, not standard output.")]
WithFiles = Annotated[bool, typer.Option("--files", help="With --to: also the bytes, as files/<attachment id>/<name>.")]


def main(
    ctx: typer.Context, what: Which = What.all, to: To = None, files: WithFiles = False, as_json: Json = False
) -> None:
    """Export what a tenant has, one JSON object a line: {"list", "item"}; in a folder, one file a list.

    Each file is checked against its digest. Exit code 1 when one of them could not be had. With --to, --json tells
    how many there were of each. A gateway that answers 429 or 503 is asked again when it wants, for two minutes.

    mutation-engine export candidates > candidates.ndjson

    mutation-engine export --to backup --files
    """
    if files and (to is None or what not in (What.all, What.attachments)):
        raise CommandFailed(MISUSED, "--files goes with --to DIRECTORY, and with attachments or all.")
    with installation_of(ctx).gateway() as gateway:
        lists = [*PLURALS.values(), ATTACHMENTS] if what is What.all else [str(what)]
        lost = sum(_export(gateway, name, to, files, as_json) if to else _printed(gateway, name) for name in lists)
    raise typer.Exit(FAILED if lost else 0)


def _items(gateway: Gateway, name: str) -> Iterator[Line]:
    return attachments(gateway) if name == ATTACHMENTS else gateway.pages(f"/{name}")


def _printed(gateway: Gateway, name: str) -> int:
    for item in _items(gateway, name):
        print_json({"list": name, "item": item})
    return 0


def _export(gateway: Gateway, name: str, to: Path, with_files: bool, as_json: bool) -> int:
    """One list; returns how many files could not be had."""
    to.mkdir(mode=0o700, parents=True, exist_ok=True)
    count = lost = 0
    with (to / f"{name}.ndjson").open("wb") as lines:
        for count, item in enumerate(_items(gateway, name), 1):  # noqa: B007  told of below
            lines.write(orjson.dumps(item) + b"\n")
            lost += with_files and name == ATTACHMENTS and not _fetched(gateway, item, to / "files")
    if as_json:
        print_json({"list": name, "items": count, "lost": lost})
    else:
        listed = counted(count, SINGULARS[name], name)
        note(f"{listed}, {counted(lost, 'file')} lost" if lost else listed)
    return lost


def attachments(gateway: Gateway) -> Iterator[Line]:
    """Of every record, each once: the list of all attachments would end at a number of them."""
    seen: set[str] = set()
    for kind, plural in PLURALS.items():
        for record in gateway.pages(f"/{plural}", {"fields": "createdAt"}):
            for each in gateway.pages("/attachments", {f"{kind}Id": record["id"]}):
                if each["id"] not in seen:
                    seen.add(each["id"])
                    yield each


def _fetched(gateway: Gateway, attachment: Line, into: Path) -> bool:
    """Put the file where it belongs, or say why not and leave none; the key goes to the gateway, never to the store."""
    target = into / attachment["id"] / (safe_name(attachment["filename"]) or "file")
    try:
        path = f"/attachments/{attachment['id']}/content"
        link = patiently(partial(gateway.call, "GET", path, query={"as": "link"}), Busy)["url"]
        target.parent.mkdir(parents=True, exist_ok=True)
        why = (
            "" if _downloaded(link, target) == attachment["sha256"] else "its bytes have another digest than its entry"
        )
    except (Refused, httpx2.HTTPError) as error:
        why = str(error) or type(error).__name__
    if why:
        target.unlink(missing_ok=True)
        note(f"{attachment['id']}: {why}")
    return not why


def _downloaded(link: str, target: Path) -> str:
    digest = hashlib.sha256()
    with httpx2.stream("GET", link, trust_env=False, timeout=60.0) as answer, target.open("wb") as file:
        answer.raise_for_status()
        for piece in answer.iter_bytes():
            digest.update(piece)
            file.write(piece)
    return digest.hexdigest()
