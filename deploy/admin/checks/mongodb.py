"""MongoDB: reachable, a replica set with a primary, in time, writable, indexed; and whose tenants it holds."""

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pymongo import IndexModel
from pymongo.errors import ConfigurationError, OperationFailure, PyMongoError

from deploy.admin.checks.finding import Finding
from shared.ledger import COLLECTIONS, CONTROL_DATABASE, DATABASES, Client, connected, is_absence, open_database
from shared.sealing import SealBroken
from shared.settings import EngineSettings
from shared.tenants import open_tenants

SECONDS: Final = 4.0
CLOCK_SECONDS: Final = 10.0  # presigned links live for a minute, and receivers refuse five
AUTHENTICATION: Final = 18
UNAUTHORIZED: Final = 13


async def look(settings: EngineSettings, tenants: list[str]) -> tuple[list[Finding], list[str]]:
    """What is wrong, and the tenants that there are, or those of `tenants` that are."""
    try:
        async with connected(settings, SECONDS) as client:
            return await _look(client, settings, tenants)
    except (PyMongoError, OSError, ValueError) as error:
        return [_away(error)], []


def _away(error: Exception) -> Finding:
    if isinstance(error, OperationFailure) and error.code in (AUTHENTICATION, UNAUTHORIZED):
        return Finding(
            "mongodb_denied", f"MongoDB does not let us in, or do that (code {error.code}).",
            "Check user, password and authSource in ENGINE_MONGODB_URI, and give the user readWrite on engine, "
            "engine_live and engine_sandbox.",
        )  # fmt: skip
    if isinstance(error, (ConfigurationError, ValueError)):
        todo = "Correct ENGINE_MONGODB_URI: mongodb://user:password@host:27017/?replicaSet=rs0"
        return Finding("mongodb_uri", f"ENGINE_MONGODB_URI can't be used ({type(error).__name__}).", todo)
    why = "no answer" if not isinstance(error, PyMongoError) or is_absence(error) else "an odd answer"
    return Finding(
        "mongodb_away", f"MongoDB can't be reached: {why} within {SECONDS:.0f} s ({type(error).__name__}).",
        "Start it, or correct host, port and replicaSet in ENGINE_MONGODB_URI; look at firewalls in between.",
    )  # fmt: skip


async def _look(client: Client, settings: EngineSettings, tenants: list[str]) -> tuple[list[Finding], list[str]]:
    asked = datetime.now(UTC)
    hello = await client.admin.command("hello")
    between = asked + (datetime.now(UTC) - asked) / 2
    found = primary(hello) + clock("MongoDB", hello.get("localTime"), between)
    if not any(finding.code == "mongodb_no_primary" for finding in found):
        found += await _writable(client)
    found += await _indexes(client)
    here = await open_tenants(client, settings.model_copy(update={"secrets_key_file": None})).names()
    found += [
        Finding("tenant_unknown", f"There is no tenant {name!r}.", f"mutation-engine tenants create {name}")
        for name in tenants
        if name not in here
    ]
    named = [name for name in here if name in tenants] if tenants else here
    return found + await _seals(client, settings, named), named


def primary(hello: dict[str, Any]) -> list[Finding]:
    """What the server says of itself."""
    if not hello.get("setName") and hello.get("msg") != "isdbgrid":
        return [
            Finding(
                "mongodb_no_replica_set", "MongoDB is no replica set: it has neither transactions nor majority writes.",
                "Start it with --replSet rs0 and call rs.initiate() once, even for a single node.",
            )
        ]  # fmt: skip
    if not hello.get("isWritablePrimary"):
        return [
            Finding(
                "mongodb_no_primary", "MongoDB has no primary that can be written to.",
                "Look at rs.status(): bring a majority of the members back.",
            )
        ]  # fmt: skip
    return []


def clock(who: str, theirs: datetime | None, ours: datetime) -> list[Finding]:
    """Whether their clock and that of this machine differ."""
    if theirs is not None and theirs.tzinfo is None:
        theirs = theirs.replace(tzinfo=UTC)
    apart = (theirs - ours) if theirs else timedelta(0)
    if abs(apart.total_seconds()) <= CLOCK_SECONDS:
        return []
    behind = "ahead of" if apart.total_seconds() > 0 else "behind"
    wrong = f"The clock of {who} is {abs(apart.total_seconds()):,.0f} s {behind} that of this machine."
    todo = "Let NTP set both; links to files, signatures of callbacks and of the store's requests depend on it."
    return [Finding("clock", wrong, todo)]


async def _writable(client: Client) -> list[Finding]:
    """Enter and remove a document of no meaning where the services write."""
    places = {CONTROL_DATABASE: "leases"} | dict.fromkeys(DATABASES.values(), "attempts")
    found = []
    for name, collection in places.items():
        target = open_database(client, name)[collection]
        probe = {"_id": f"doctor-{uuid.uuid4()}", "until": datetime.now(UTC), "expireAt": datetime.now(UTC)}
        try:
            await target.insert_one(probe)
            await target.delete_one({"_id": probe["_id"]})
        except OperationFailure as error:
            wrong = f"{name}.{collection} can't be written to (code {error.code})."
            found.append(Finding("mongodb_denied", wrong, f"Give the user of ENGINE_MONGODB_URI readWrite on {name}."))
    return found


async def _indexes(client: Client) -> list[Finding]:
    found = []
    for name in DATABASES.values():
        database = open_database(client, name)
        for collection, wanted in COLLECTIONS.items():
            there = await database[collection].index_information()
            if lacking := missing(there, wanted):
                wrong = f"{name}.{collection} lacks the index {', '.join(lacking)}."
                found.append(Finding("mongodb_index", wrong, "Run: mutation-engine init (it is safe to repeat)."))
    return found


def missing(there: Mapping[str, Any], wanted: list[IndexModel]) -> list[str]:
    """Names of those that no index on the same fields stands for; a unique one is needed where one is wanted."""
    have = {(_fields(each["key"]), bool(each.get("unique"))) for each in there.values()}
    needed = [each.document for each in wanted]
    return [
        str(each["name"]) for each in needed if (_fields(each["key"].items()), bool(each.get("unique"))) not in have
    ]


def _fields(key: Any) -> tuple[tuple[str, int], ...]:
    return tuple((name, int(direction)) for name, direction in key)


async def _seals(client: Client, settings: EngineSettings, names: list[str]) -> list[Finding]:
    """Whether the key opens what it should have sealed; a key that can't be read has its own finding."""
    try:
        tenants = open_tenants(client, settings)
    except (ValueError, OSError):
        return []
    closed = []
    for name in names if settings.secrets_key_file else ():
        try:
            await tenants.webhook_secrets(name)
        except SealBroken:
            closed.append(name)
    if not closed:
        return []
    shown = ", ".join(closed[:3]) + (" …" if len(closed) > 3 else "")
    return [
        Finding(
            "sealing_key_other", f"The sealing key is not the one that sealed the webhook secrets of {shown}.",
            "Bring the key back that they were sealed with, or issue new ones: mutation-engine secrets create TENANT",
        )
    ]  # fmt: skip
