"""The invariants, as pure functions over facts: each returns the promises that it sees broken, in words."""

import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Final

from standardwebhooks import Webhook

from deploy.demo.receiver import Callback
from tests.torture.facts import TERMINAL, Facts, Json
from tests.torture.load import Write

Check = Callable[[Facts], list[str]]
TOLERANCE_SECONDS: Final = 300.0  # of Standard Webhooks
ENDS: Final = TERMINAL - {"rejected"}


def every_promise_ended(facts: Facts) -> list[str]:
    """Each 202 has its mutation in the ledger, ended, and nothing is owed. What breaks this was lost."""
    broken, found = [], facts.by_key()
    for write in facts.writes:
        mutation = found.get(write.key)
        if mutation is None:
            broken.append(f"{write.key} was accepted and is not in the ledger")
        elif write.mutation and mutation["_id"] != write.mutation:
            broken.append(f"{write.key} was accepted as {write.mutation} and is {mutation['_id']}")
        elif mutation["status"] not in ENDS:
            broken.append(f"{write.key} ({mutation['_id']}) has not ended: {mutation['status']}")
        elif mutation.get("owed"):
            broken.append(f"{write.key} ({mutation['_id']}) has ended and its outcome is still owed")
    return broken


def one_terminal_outcome(facts: Facts) -> list[str]:
    """Ledger, callbacks and the tenant's topic tell one and the same outcome of a mutation, with one time of its end: a
    second end that says the same is a second end."""
    told: defaultdict[str, list[tuple[str, Json]]] = defaultdict(list)
    for mutation in facts.mutations.values():
        if mutation.get("outcome"):
            told[mutation["_id"]].append((_stamp(mutation["endedAt"]), mutation["outcome"]))
    callbacks = (body for callback in facts.callbacks if (body := _verified(callback, facts.secret)))
    for body in (*callbacks, *facts.published):
        told[body["data"]["mutationId"]].append((body["timestamp"], body["data"]))
    differing = {name: ends for name, ends in told.items() if any(end != ends[0] for end in ends)}
    return [f"{name} has ended in {_distinct(ends)} ways" for name, ends in differing.items()]


def _stamp(at: datetime) -> str:
    """As bodies write times."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def stored_bytes_are_those_sent(facts: Facts) -> list[str]:
    """Of each file that a mutation stored: the digest is that of the bytes sent; while somebody owns it the object is
    there and has it, afterwards it is gone."""
    broken, found = [], facts.by_key()
    for write in facts.writes:
        mutation = found.get(write.key)
        if mutation is None or not write.files:
            continue
        for file in (mutation.get("outcome") or {}).get("attachments") or []:
            told = f"{file['id']} of {write.key}"
            if file["status"] != "stored":
                broken.append(f"{told} was not stored: {file['error']}")
                continue
            if file["sha256"] != write.files.get(file["filename"]):
                broken.append(f"{told} has another digest than the bytes that were sent")
            if write.attachments and file["id"] not in write.attachments:
                broken.append(f"{told} is none of the ids that the 202 told")
            broken += _object_of(facts, file, told)
    return broken


def _object_of(facts: Facts, file: Json, told: str) -> list[str]:
    document = facts.attachments.get(file["id"])
    if document is None:
        return [f"{told} has no document"]
    key = f"records/live/{facts.tenant}/{file['id']}/{file['sha256']}"
    if document.get("removedAt"):
        return [f"{told} is removed and its object is still there"] if key in facts.objects else []
    if document.get("key") != key or document.get("sha256") != file["sha256"]:
        return [f"{told}: its document names {document.get('key')}"]
    if key not in facts.objects:
        return [f"{told} has no object"]
    return [] if facts.objects[key] == file["sha256"] else [f"{told}: the object holds other bytes"]


def every_object_has_an_owner(facts: Facts) -> list[str]:
    """What is under records/ is named by a live document. To be asked after one reconcile."""
    named = {each.get("key") for each in facts.attachments.values() if not each.get("removedAt")}
    return [f"{key} belongs to nobody" for key in sorted(facts.objects.keys() - named)]


def staging_is_empty(facts: Facts) -> list[str]:
    """Nothing is left of what was on its way. To be asked after one sweep."""
    return [f"{key} is left" for key in facts.staged]


def effects_are_sequential(facts: Facts) -> list[str]:
    """Each record is what its mutations, worked off one after the other in order of acceptance, make of it."""
    broken, found = [], facts.by_key()
    of_record: defaultdict[str, list[tuple[int, Write, Json]]] = defaultdict(list)
    for write in facts.writes:
        mutation = found.get(write.key)
        if mutation and mutation["status"] in ENDS:
            place = mutation["places"][0]
            of_record[place["record"]].append((place["sequence"], write, mutation["outcome"]))
    for record, history in of_record.items():
        history.sort(key=lambda one: one[0])
        broken += _order(record, history)
        model = _Model()
        for sequence, write, outcome in history:
            broken += [
                f"{record} at {sequence} ({write.key}): {each}" for each in model.apply(sequence, write, outcome)
            ]
        broken += [f"{record}: {each}" for each in model.compare(facts, record)]
    return broken


def _order(record: str, history: list[tuple[int, Write, Json]]) -> list[str]:
    """Sequences without gap or double, and never against real time: what was sent after a 202 comes behind it."""
    broken = []
    if [sequence for sequence, _, _ in history] != list(range(1, len(history) + 1)):
        broken.append(f"{record} has the sequences {[sequence for sequence, _, _ in history]}")
    latest_sent = 0.0
    for _, write, _ in history:
        # A command is accepted when ingest takes it, which is later than the broker's acknowledgement.
        if not write.by_topic and write.answered < latest_sent:
            broken.append(f"{record}: {write.key} had its 202 before what is in front of it was sent")
        latest_sent = max(latest_sent, write.sent)
    return broken


class _Model:
    """One record under sequential execution."""

    def __init__(self) -> None:
        self.fields: Json = {}
        self.attachments: dict[str, str] = {}  # digest by id
        self.version = 0

    def apply(self, sequence: int, write: Write, outcome: Json) -> list[str]:
        """Work one write off; what its outcome tells wrongly."""
        status, changed = "completed", True
        if write.kind == "remove":
            there = self.attachments.keys() & set(write.remove)
            changed = bool(there)
            status = (
                "failed" if not there else "completed" if len(there) == len(write.remove) else "partially_completed"
            )
            for name in there:
                del self.attachments[name]
        else:
            self.fields = {n: v for n, v in (self.fields | write.fields).items() if v is not None}
            files = {file["filename"]: file["id"] for file in outcome.get("attachments") or []}
            self.attachments |= {files[name]: sha for name, sha in write.files.items() if name in files}
            status = "completed" if write.files.keys() <= files.keys() else "with all its files"
        self.version = sequence if changed else self.version
        right = {"status": status, "sequence": sequence, "kind": write.kind, "idempotencyKey": write.key}
        wrong = {name: outcome.get(name) for name, value in right.items() if outcome.get(name) != value}
        if outcome["record"].get("version") != self.version:
            wrong["version"] = outcome["record"].get("version")
        return [f"its outcome says {wrong}, right is {right} at version {self.version}"] if wrong else []

    def compare(self, facts: Facts, place: str) -> list[str]:
        """How the stored record differs."""
        record = facts.records.get(place.rsplit("/", 1)[1])
        if record is None:
            return ["there is no such record"]
        fields = {name: record["fields"].get(name) for name in {*self.fields, "tags"}}
        expected = {name: self.fields.get(name) for name in {*self.fields, "tags"}}
        broken = [f"its fields are {fields}, right is {expected}"] if fields != expected else []
        if record["version"] != self.version:
            broken.append(f"its version is {record['version']}, right is {self.version}")
        owned = {name for name, each in facts.attachments.items() if _owns(each, place)}
        if owned != self.attachments.keys():
            more, less = sorted(owned - self.attachments.keys()), sorted(self.attachments.keys() - owned)
            broken.append(f"it has the attachments {more} too many and {less} too few")
        return broken


def _owns(attachment: Json, place: str) -> bool:
    return not attachment.get("removedAt") and any(
        owner["record"] == place and not owner.get("removedAt") for owner in attachment["owners"]
    )


def callbacks_are_signed_and_stable(facts: Facts) -> list[str]:
    """Each mutation was called back at least once, under one webhook-id that no other has, with a valid signature."""
    broken, identities = [], defaultdict[str, set[str]](set)
    for callback in facts.callbacks:
        body = _verified(callback, facts.secret)
        if body is None:
            broken.append(f"the callback {callback.headers.get('webhook-id')} has no valid signature")
        else:
            identities[body["data"]["mutationId"]].add(callback.webhook_id)
    known = facts.by_key()
    wanted = {known[write.key]["_id"] for write in facts.writes if write.key in known}
    broken += [f"{name} was never called back" for name in sorted(wanted - identities.keys())]
    broken += [f"{name} has several webhook-ids: {sorted(ids)}" for name, ids in identities.items() if len(ids) > 1]
    every = [identity for ids in identities.values() for identity in ids]
    broken += [f"the webhook-id {each} stands for several mutations" for each in _repeated(every)]
    return broken


def _verified(callback: Callback, secret: str) -> Json | None:
    """The body, if it was signed, and not long before it came; by then the package's own check may be too late."""
    came = time.time() - time.perf_counter() + callback.at
    try:
        signed_at = int(callback.headers["webhook-timestamp"])
        right = Webhook(secret).sign(callback.webhook_id, datetime.fromtimestamp(signed_at, UTC), callback.body)
        if right not in callback.headers["webhook-signature"].split(" ") or abs(came - signed_at) > TOLERANCE_SECONDS:
            return None
        body: Json = json.loads(callback.body)
    except (ValueError, KeyError):
        return None
    return body


def _repeated(names: Iterable[str]) -> list[str]:
    seen: set[str] = set()
    return sorted({name for name in names if name in seen or seen.add(name)})  # type: ignore[func-returns-value]


def _distinct(ends: list[tuple[str, Json]]) -> int:
    return len({(stamp, repr(sorted(outcome.items()))) for stamp, outcome in ends})


def nothing_changed(before: Facts, after: Facts) -> list[str]:
    """A second look finds what the first one found, and every callback under an id that was known."""
    broken = []
    for name in ("mutations", "records", "attachments", "deliveries", "objects"):
        old, new = getattr(before, name), getattr(after, name)
        broken += [f"{name}: {key} is new" for key in sorted(new.keys() - old.keys())]
        broken += [f"{name}: {key} is gone" for key in sorted(old.keys() - new.keys())]
        for key in sorted(old.keys() & new.keys()):
            if old[key] != new[key]:
                broken.append(f"{name}: {key} has changed in {_differing(old[key], new[key])}")
    known = {callback.webhook_id for callback in before.callbacks}
    fresh = {callback.webhook_id for callback in after.callbacks} - known
    return broken + [f"the callback {each} is new" for each in sorted(fresh)]


def _differing(old: Any, new: Any) -> str:
    if not isinstance(old, dict):
        return "its bytes"
    return ", ".join(sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name)))


LOST: Final[tuple[Check, ...]] = (every_promise_ended, callbacks_are_signed_and_stable)
WRONG: Final[tuple[Check, ...]] = (
    stored_bytes_are_those_sent,
    effects_are_sequential,
    every_object_has_an_owner,
    staging_is_empty,
)
DOUBLE: Final[tuple[Check, ...]] = (one_terminal_outcome,)
