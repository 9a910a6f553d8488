"""`mutation-engine doctor`: looks at settings and servers, and says what is wrong and what to do."""

import asyncio
import json
import os
from collections.abc import Callable
from contextlib import suppress
from typing import Annotated, Any

import typer

from deploy.admin.checks import configuration, files, kafka, mongodb, services, store
from deploy.admin.checks.finding import Finding
from deploy.admin.init import InitSettings
from deploy.admin.installation import Installation, default_state_dir, installation_of
from deploy.admin.terminal import FAILED, CommandFailed, Json, print_json, say

Tenants = Annotated[list[str], typer.Option("--tenant", help="Only the topics and secrets of this one; repeatable.")]
Services = Annotated[
    list[str], typer.Option("--service", metavar="NAME=URL", help="A service's health port, too; repeatable.")
]
Section = tuple[str, list[Finding]]


def main(ctx: typer.Context, tenant: Tenants = [], service: Services = [], as_json: Json = False) -> None:  # noqa: B006
    """Say what is wrong, and what to do: settings, keys, clocks, servers, permissions, topics, indexes, services.

    It reads the ENGINE_* variables of this process: run it where the gateway runs, as its user; other services have
    fewer rights, which it would call wrong. Of data it changes nothing; to see what is permitted it writes, and
    removes, a document and an object of no meaning.
    Exit code 1 when anything is wrong.

    mutation-engine doctor

    mutation-engine doctor --service fetcher=http://10.1.2.3:8081 --json
    """
    sections = asyncio.run(_examined(installation_of(ctx), tenant, _addresses(installation_of(ctx), service)))
    if as_json:
        findings = [{"section": name} | finding._asdict() for name, found in sections for finding in found]
        print_json({"healthy": not findings, "findings": findings, "sections": [name for name, _ in sections]})
    else:
        _show(sections)
    raise typer.Exit(FAILED if any(found for _, found in sections) else 0)


async def _examined(installation: Installation, tenants: list[str], addresses: dict[str, str]) -> list[Section]:
    sections: list[Section] = [("settings", configuration.misspelt(os.environ) + configuration.invalid())]
    try:
        settings = installation.settings()
    except CommandFailed as failed:
        if sections[0][1]:
            return sections  # they say it better
        return [("settings", [Finding("settings_missing", str(failed), "Set the ENGINE_* variables of the services.")])]
    sections[0][1].extend(configuration.egress(settings))
    if unfit := files.authorities(settings):
        return [(sections[0][0], sections[0][1] + unfit)]  # no server can be asked rightly
    sections.append(("sealing key", files.sealing_key(settings.secrets_key_file)))
    (documents, names), objects, answers = await asyncio.gather(
        mongodb.look(settings, tenants), store.look(settings), services.look(addresses)
    )
    sections += [("MongoDB", documents), ("object store", objects)]
    sections.append(("Kafka", await kafka.look(settings, names, _partitions())))
    return sections + ([("services", answers)] if addresses else [])


def _partitions() -> int | None:
    """As many as the initialisation was told to make, where it was told here; nonsense has its own finding."""
    with suppress(ValueError):
        return InitSettings().topic_partitions if "ENGINE_TOPIC_PARTITIONS" in os.environ else None
    return None


def _addresses(installation: Installation, given: list[str]) -> dict[str, str]:
    """The gateway where it is known, the services of a stack on this machine, and those that were named."""
    handle = installation.handle()
    url = installation.url or os.environ.get("ENGINE_URL")
    found = {"ingest": url.rstrip("/")} if url else {}
    if handle and not url:
        found = _of_stack(installation, handle)
    for one in given:
        name, _, address = one.partition("=")
        if not address:
            raise typer.BadParameter(f"--service wants NAME=URL, not {one!r}")
        found[name] = address.rstrip("/")
    return found


def _of_stack(installation: Installation, handle: dict[str, Any]) -> dict[str, str]:
    folder = installation.state_dir or default_state_dir()
    ports: dict[str, int] = json.loads((folder / "ports.json").read_text()) if (folder / "ports.json").exists() else {}
    health = {name.removesuffix(".health"): port for name, port in ports.items() if name.endswith(".health")}
    running: Callable[[str], bool] = handle["processes"].__contains__
    own = {name: f"http://127.0.0.1:{port}" for name, port in health.items() if running(name)}
    return ({"ingest": handle["http"]} if running("ingest") else {}) | own


def _show(sections: list[Section]) -> None:
    for name, found in sections:
        if not found:
            say(f"ok     {name}", "green")
        for finding in found:
            say(f"wrong  {name}: {finding.wrong}", "red")
            say(f"       → {finding.todo}")
    count = sum(len(found) for _, found in sections)
    say("Nothing is wrong." if not count else f"{count} thing{'s are' if count > 1 else ' is'} wrong.")
