"""What must hold in the end, seen from outside: ledger, records, attachments, bucket, callbacks."""

import hashlib
from typing import TYPE_CHECKING, Any

import orjson

from shared.deliveries import webhook_id
from tests.simulation.faults import SOURCE_FAILS
from tests.simulation.invariants import ENDS
from tests.simulation.sequential import Record, Sequential, in_order

if TYPE_CHECKING:
    from tests.simulation.world import World

Document = dict[str, Any]
MAX_TRIES = 3


def check_all(world: "World") -> None:
    """Note every finding in the world."""
    _check_ends(world)
    if world.findings:
        return
    expected = _check_outcomes(world)
    _check_records(world, expected)
    _check_attachments(world, expected)
    _check_bucket(world, expected)
    _check_callbacks(world)
    _check_erased(world, expected)


def _check_ends(world: "World") -> None:
    mutations = world.documents("mutations")
    for key, ids in world.told.items():
        for name in ids:
            if name not in mutations:
                world.wrong(f"{key} was told of {name}, which is nowhere")
    for name, mutation in mutations.items():
        if mutation["status"] != "batch" and (
            mutation["status"] not in ENDS or world.invariants.ended.get(name) != 1 or mutation.get("owed")
        ):
            world.wrong(f"{name} is {mutation['status']}, ended {world.invariants.ended.get(name)} times")
    if world.documents("erasures"):
        world.wrong("an erasure waits for its second pass")


def _check_outcomes(world: "World") -> Sequential:
    expected = Sequential(world.wrong, world.faults.reached[SOURCE_FAILS] > 0)
    mutations = world.documents("mutations")
    for request in in_order([each for each in world.invariants.requests.values() if "places" in each]):
        mutation = mutations[request["_id"]]
        late = mutation["endedAt"] >= request["deadline"]
        expected.execute(request, mutation["outcome"], late or mutation["tries"] >= MAX_TRIES)
    return expected


def _check_records(world: "World", expected: Sequential) -> None:
    found = {f"{each['tenant']}/{each['type']}/{name}": each for name, each in world.documents("records").items()}
    born = {name: record for name, record in expected.records.items() if record.born}
    if found.keys() != born.keys():
        world.wrong(f"records are {sorted(found)}, not {sorted(born)}")
    for name, record in born.items():
        if name in found and _shown(found[name]) != _wanted(record):
            world.wrong(f"record {name} is {_shown(found[name])}, not {_wanted(record)}")
        if name in found and not record.lifted <= found[name]["sequence"] <= record.sequence:
            world.wrong(f"record {name} has come to {found[name]['sequence']}, not to {record.lifted}")


def _shown(record: Document) -> Document:
    erased = bool(record.get("removedAt"))
    return {"version": record["version"], "erased": erased, "fields": record.get("fields") or {}}


def _wanted(record: Record) -> Document:
    return {"version": record.version, "erased": record.erased, "fields": record.fields}


def _check_attachments(world: "World", expected: Sequential) -> None:
    owned: dict[str, set[str]] = {name: set() for name in expected.records}
    for name, attachment in world.documents("attachments").items():
        owners = {owner["record"] for owner in attachment["owners"] if owner["removedAt"] is None}
        if bool(owners) == bool(attachment.get("removedAt")):
            world.wrong(f"attachment {name} has {len(owners)} owners, and ended {attachment.get('removedAt')}")
        for owner in owners:
            owned[owner].add(name)
    for name, record in expected.records.items():
        if owned[name] != record.attachments:
            world.wrong(f"record {name} has the files {sorted(owned[name])}, not {sorted(record.attachments)}")


def _check_bucket(world: "World", expected: Sequential) -> None:
    living = {}
    for name, attachment in world.documents("attachments").items():
        if attachment.get("removedAt"):
            continue
        living[attachment["key"]] = name
        content = world.blobs.objects.get(attachment["key"], (None,))[0]
        if content is None or hashlib.sha256(content).hexdigest() != attachment["sha256"]:
            world.wrong(f"the bytes of attachment {name} are {'gone' if content is None else 'others'}")
    kept = {each["key"] for each in world.documents("uploads").values() if not each.get("endedAt")}
    for key in world.blobs.objects:
        if key.startswith("records/") and key not in living:
            world.wrong(f"nobody owns {key}")
        if key.startswith("staging/") and key not in kept:
            world.wrong(f"left behind: {key}")
    missing = kept - world.blobs.objects.keys()
    if missing:
        world.wrong(f"living uploads without bytes: {sorted(missing)}")
    ended = {name for name, each in world.documents("uploads").items() if each.get("end") == "assigned"}
    if ended != set(expected.assigned):
        world.wrong(f"uploads {sorted(ended)} ended as assigned, not {sorted(expected.assigned)}")


def _check_callbacks(world: "World") -> None:
    if world.receiver.forged:
        world.wrong(f"{world.receiver.forged} callbacks with a wrong signature")
    wanted = {webhook_id(name): name for name, each in world.invariants.requests.items() if each.get("callbackUrl")}
    for name in world.receiver.bodies.keys() - wanted.keys():
        world.wrong(f"callback {name} that nobody asked for")
    for name, mutation in wanted.items():
        outcome = world.documents("mutations")[mutation].get("outcome")
        if outcome is None:
            continue  # the head of an array
        if not world.receiver.taken[name]:
            world.wrong(f"callback {name} was never delivered")
        for body in world.receiver.bodies[name]:
            if _nameless(orjson.loads(body)["data"]) != _nameless(outcome):
                world.wrong(f"callback {name} told something else than the ledger")


def _nameless(outcome: Document) -> Document:
    return outcome | {"attachments": [each | {"filename": None} for each in outcome["attachments"]]}


def _check_erased(world: "World", expected: Sequential) -> None:
    """Of erased records the ledger holds no fields, no names of files, no URLs."""
    erased = {name for name, record in expected.records.items() if record.erased}
    for name, mutation in world.documents("mutations").items():
        if not any(place["record"] in erased for place in mutation.get("places") or ()):
            continue
        entries = (mutation.get("files") or {}).values()
        named = [each for each in mutation["outcome"]["attachments"] if each["filename"] is not None]
        if named or mutation.get("fields") or any(each.keys() - {"field", "type"} for each in entries):
            world.wrong(f"{name} still tells of an erased record")
