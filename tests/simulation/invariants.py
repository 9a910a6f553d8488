"""What must hold at every single write and commit, whoever makes it."""

from collections.abc import Callable, Iterable
from typing import Any, Final

import orjson

from shared.topics import ACCEPTED as ACCEPTED_TOPIC
from shared.topics import FETCHED

Document = dict[str, Any]
OPEN: Final = ("accepted", "applying")
ENDS: Final = ("completed", "partially_completed", "failed")
OUT_OF_TURN: Final = ("deadline_exceeded", "internal_error")
STEPS: Final = {("accepted", "applying"), *(("applying", end) for end in ENDS)}


class Invariants:
    """Watches the database and the committed offsets."""

    def __init__(self, wrong: Callable[[str], None]) -> None:
        self._wrong = wrong
        self.requests: dict[str, Document] = {}  # mutations as they were accepted
        self.ended: dict[str, int] = {}
        self.put_off = 0  # how often a source was too busy
        self.reordered = 0  # first events that came behind a later one of their record
        self._fetched: set[str] = set()
        self._newest: dict[str, int] = {}

    def watch(self, namespace: str, old: Document | None, new: Document | None) -> None:
        """Called before each change of a document."""
        check = getattr(self, f"_{namespace.partition('.')[2]}", None)
        if check is not None and new is not None:
            check(old, new)

    def _mutations(self, old: Document | None, new: Document) -> None:
        if old is None:
            self.requests[new["_id"]] = new
            if new["status"] not in ("accepted", "batch"):
                self._wrong(f"{new['_id']} was born as {new['status']}")
            return
        before, after = old["status"], new["status"]
        if before != after:
            if (before, after) not in STEPS:
                self._wrong(f"{new['_id']} went from {before} to {after}")
            if after == "applying" and (new["decision"].get("error") or {}).get("code") not in OUT_OF_TURN:
                self._turn(new)
            if after in ENDS:
                self.ended[new["_id"]] = self.ended.get(new["_id"], 0) + 1
        elif before in ENDS and (_told(old) != _told(new) or old["endedAt"] != new["endedAt"]):
            self._wrong(f"{new['_id']} changed after its end")
        elif before == "applying" and old["decision"] != new.get("decision"):
            self._wrong(f"{new['_id']} was decided twice")

    def _turn(self, mutation: Document) -> None:
        for other in self.requests.values():
            if other["_id"] not in self.ended and _is_before(other, mutation):
                self._wrong(f"{mutation['_id']} was decided before {other['_id']} had ended")

    def _records(self, old: Document | None, new: Document) -> None:
        if old is None:
            return
        for name in ("version", "sequence"):
            if (new.get(name) or 0) < (old.get(name) or 0):
                self._wrong(f"record {new['_id']}: {name} fell from {old.get(name)} to {new.get(name)}")
        if old.get("removedAt") and (not new.get("removedAt") or "fields" in new):
            self._wrong(f"erased record {new['_id']} came back")

    def _attachments(self, old: Document | None, new: Document) -> None:
        if old is None:
            return
        gone = {owner["record"] for owner in old["owners"] if owner["removedAt"]}
        if any(owner["record"] in gone and not owner["removedAt"] for owner in new["owners"]):
            self._wrong(f"attachment {new['_id']} has an old owner again")
        if old.get("removedAt") and (old["removedAt"] != new.get("removedAt") or "key" in new):
            self._wrong(f"removed attachment {new['_id']} came back")

    def _deliveries(self, old: Document | None, new: Document) -> None:
        if old is not None and old["status"] == "delivered" != new["status"]:
            self._wrong(f"delivery {new['_id']} is no longer delivered, but {new['status']}")

    def _uploads(self, old: Document | None, new: Document) -> None:
        if old is not None and old.get("endedAt") and old != new:
            self._wrong(f"upload {new['_id']} changed after its end")

    def deleted(self, key: str, attachments: dict[str, Document]) -> None:
        """Called before an object is deleted."""
        if any(each.get("key") == key for each in attachments.values()):
            self._wrong(f"{key} is deleted before its tombstone is there")

    def published(self, topic: str, value: bytes | None) -> None:
        """Called with every record that the broker takes."""
        if topic != FETCHED:
            return
        event = orjson.loads(value or b"")
        for place in event["places"] if event["mutationId"] not in self._fetched else ():
            newest = self._newest.setdefault(place["record"], 0)
            self.reordered += place["sequence"] < newest
            self._newest[place["record"]] = max(newest, place["sequence"])
        self._fetched.add(event["mutationId"])

    def passed(self, mutations: dict[str, Document], records: Iterable[Any], behind: Iterable[Any]) -> None:
        """Called when committed offsets go beyond these records; `behind` them others wait in the same partition."""
        given_back = {orjson.loads(record.value)["mutationId"] for record in behind if record.topic == FETCHED}
        for record in records:
            if record.topic in (ACCEPTED_TOPIC, FETCHED):
                event = orjson.loads(record.value)
                mutation = mutations.get(event["mutationId"])
                if (
                    mutation is not None
                    and mutation["status"] not in ENDS
                    and mutation["_id"] not in given_back
                    and not self._in_hand(record, event, mutation)
                ):
                    self._wrong(f"{mutation['_id']} is {mutation['status']}, and {record.topic} is passed")

    def _in_hand(self, record: Any, event: Document, mutation: Document) -> bool:
        """Whether somebody else has it by now, or the relay shall find it."""
        if record.topic == ACCEPTED_TOPIC:
            return mutation["_id"] in self._fetched or (self.put_off > 0 and bool(event["sources"]))
        wanted = {name for name, entry in (mutation.get("files") or {}).items() if entry.get("url")}
        lacks_files = not set(event.get("files") or {}) >= wanted
        return bool(mutation.get("parked") or mutation.get("tries") or lacks_files)


def _is_before(one: Document, other: Document) -> bool:
    mine = {place["record"]: place["sequence"] for place in one.get("places") or ()}
    return any(mine.get(place["record"], place["sequence"]) < place["sequence"] for place in other["places"])


def _told(mutation: Document) -> Any:
    """The outcome, but for names of files, which an erasure takes away."""
    outcome = mutation["outcome"]
    return outcome | {"attachments": [each | {"filename": None} for each in outcome["attachments"]]}
