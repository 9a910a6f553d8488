"""`mutation-engine doctor`: looks at settings and servers, and says what is wrong and what to do."""

import asyncio
import os
from contextlib import suppress
from typing import Annotated

import typer

from deploy.admin.checks import configuration, files, kafka, letters, mongodb, services, store
from deploy.admin.checks.finding import Finding
from deploy.admin.init import InitSettings
from deploy.admin.installation import Installation, installation_of
from deploy.admin.terminal import FAILED, CommandFailed, Json, counted, print_json, say

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
    Exit code 1 when anything is wrong; dead letters are told of and are none of it.

    mutation-engine doctor

    mutation-engine doctor --service fetcher=http://10.1.2.3:8081 --json
    """
    sections, warnings = asyncio.run(_examined(installation_of(ctx), tenant, _named(service)))
    if as_json:
        findings = [{"section": name} | finding._asdict() for name, found in sections for finding in found]
        told = {"findings": findings, "warnings": [warning._asdict() for warning in warnings]}
        print_json({"healthy": not findings} | told | {"sections": [name for name, _ in sections]})
    else:
        _show(sections, warnings)
    raise typer.Exit(FAILED if any(found for _, found in sections) else 0)


async def _examined(
    installation: Installation, tenants: list[str], named: dict[str, str]
) -> tuple[list[Section], list[Finding]]:
    """What is wrong, by section, and what is not wrong but should be looked at."""
    sections: list[Section] = [("settings", configuration.misspelt(os.environ) + configuration.invalid())]
    try:
        settings = installation.settings()
    except CommandFailed as failed:
        if sections[0][1]:
            return sections, []  # they say it better
        missing = Finding("settings_missing", str(failed), "Set the ENGINE_* variables of the services.")
        return [("settings", [missing])], []
    sections[0][1].extend(configuration.egress(settings))
    if unfit := files.authorities(settings):
        return [(sections[0][0], sections[0][1] + unfit)], []  # no server can be asked rightly
    addresses = installation.health() | named
    sections.append(("sealing key", files.sealing_key(settings.secrets_key_file)))
    (documents, names), objects, answers = await asyncio.gather(
        mongodb.look(settings, tenants), store.look(settings), services.look(addresses)
    )
    sections += [("MongoDB", documents), ("object store", objects)]
    broker = await kafka.look(settings, names, _partitions())
    sections.append(("Kafka", broker))
    warnings = await letters.look(settings) if not any(each.code == "kafka_away" for each in broker) else []
    return sections + ([("services", answers)] if addresses else []), warnings


def _partitions() -> int | None:
    """As many as the initialisation was told to make, where it was told here; nonsense has its own finding."""
    with suppress(ValueError):
        return InitSettings().topic_partitions if "ENGINE_TOPIC_PARTITIONS" in os.environ else None
    return None


def _named(services: list[str]) -> dict[str, str]:
    """NAME=URL by name."""
    found = {}
    for one in services:
        name, _, address = one.partition("=")
        if not address:
            raise typer.BadParameter(f"--service wants NAME=URL, not {one!r}")
        found[name] = address.rstrip("/")
    return found


def _show(sections: list[Section], warnings: list[Finding]) -> None:
    for name, found in sections:
        if not found:
            say(f"ok     {name}", "green")
        for finding in found:
            say(f"wrong  {name}: {finding.wrong}", "red")
            say(f"       → {finding.todo}")
    for warning in warnings:
        say(f"look   {warning.wrong}", "yellow")
        say(f"       → {warning.todo}")
    count = sum(len(found) for _, found in sections)
    wrong = f"{counted(count, 'thing is', 'things are')} wrong" if count else "Nothing is wrong"
    say(f"{wrong}, but look at the dead letters." if warnings else f"{wrong}.")
