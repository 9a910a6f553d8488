"""What a run must have left behind: an object, a document and a callback for each mutation, or the run is void."""

from dataclasses import dataclass
from typing import Any

from deploy.bench.load import Accepted, Site
from deploy.bench.workloads import Bodies
from shared import ledger
from shared.blobs import open_blobs
from shared.settings import EngineSettings


@dataclass(frozen=True, slots=True)
class Stores:
    """Where to look: settings as the services have them, and the tenant."""

    settings: EngineSettings
    tenant: str


async def faults(stores: Stores, bodies: Bodies, accepted: list[Accepted], site: Site) -> list[str]:
    """Everything that is not as it must be; empty when the run is valid."""
    found = list(site.faults)
    digests = {one.attachment: bodies.digest(one.number) for one in accepted}
    found += _callbacks(accepted, site, digests)
    found += await _objects(stores, digests)
    found += await _documents(stores, digests)
    return found


def _callbacks(accepted: list[Accepted], site: Site, digests: dict[str, str]) -> list[str]:
    found = []
    if len(site.completed) != len(accepted):
        found.append(f"{len(site.completed)} callbacks for {len(accepted)} mutations")
    for one in accepted:
        _, data = site.completed.get(one.mutation, (0.0, {}))
        stored = {entry["id"]: entry.get("sha256") for entry in data.get("attachments", [])}
        if data.get("status") != "completed" or stored != {one.attachment: digests[one.attachment]}:
            found.append(f"mutation {one.mutation}: {data.get('status', 'no callback')}, {stored}")
    return found


async def _objects(stores: Stores, digests: dict[str, str]) -> list[str]:
    seen: dict[str, list[str]] = {}
    async with open_blobs(stores.settings) as blobs:
        async for key, _size, _modified in blobs.list(f"records/live/{stores.tenant}/"):
            attachment, _, digest = key.rpartition("/")
            seen.setdefault(attachment.rpartition("/")[2], []).append(digest)
    wrong = [attachment for attachment, digest in digests.items() if seen.get(attachment) != [digest]]
    return [f"{len(wrong)} of {len(digests)} files are not exactly one object"] if wrong else []


async def _documents(stores: Stores, digests: dict[str, str]) -> list[str]:
    client = ledger.connect(stores.settings, timeout_seconds=60)
    try:
        live: dict[str, Any] = {"tenant": stores.tenant, "removedAt": {"$exists": False}}
        attachments = ledger.databases(client)["live"].attachments
        seen = {document["_id"]: document["sha256"] async for document in attachments.find(live, {"sha256": 1})}
    finally:
        await client.close()
    wrong = [attachment for attachment, digest in digests.items() if seen.get(attachment) != digest]
    return [f"{len(wrong)} of {len(digests)} files are not one live document"] if wrong else []
