"""What sequential execution in the order of sequences gives: an own, small model of what the API promises."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from tests.simulation.outside import BAD, BROKEN_URL

Document = dict[str, Any]
AT_ANY_TIME: Final = ("deadline_exceeded", "internal_error")


@dataclass
class Record:
    """A record as it has to be."""

    born: bool = False
    erased: bool = False
    version: int | None = None
    sequence: int = 0
    lifted: int = 0  # by what came in its turn; what ends before, perhaps before the record is there, may lift nothing
    fields: Document = field(default_factory=dict)
    attachments: set[str] = field(default_factory=set)


class Sequential:
    """Executes requests one after another, and compares each outcome."""

    def __init__(self, wrong: Callable[[str], None], sources_fail: bool) -> None:
        self._wrong, self._sources_fail = wrong, sources_fail
        self.records: dict[str, Record] = {}
        self.assigned: dict[str, str] = {}  # by upload: the mutation that got it

    def execute(self, request: Document, outcome: Document, parted: bool) -> None:
        """One request, and what became of it; `parted`: its deadline had passed, or it met bugs."""
        places = {place["record"]: place["sequence"] for place in request["places"]}
        records = [self.records.setdefault(name, Record()) for name in places]
        code = (outcome["error"] or {}).get("code")
        in_turn = code not in AT_ANY_TIME or not parted
        if in_turn:
            expected = self._obstacle(request, records)
            if expected is None:
                expected = getattr(self, f"_{request['kind']}")(request, records, outcome)
            got = code or outcome["status"]
            if got != expected:
                self._wrong(f"{request['kind']} {request['_id']} ended as {got}, not as {expected}")
        for record, sequence in zip(records, places.values(), strict=True):
            record.sequence = sequence
            record.lifted = sequence if in_turn else record.lifted
            if outcome["status"] != "failed":
                record.version = sequence

    @staticmethod
    def _obstacle(request: Document, records: list[Record]) -> str | None:
        if request["kind"] == "create":
            return None
        if not all(record.born for record in records):
            return "record_not_found"
        if any(record.erased for record in records):
            return "record_erased"
        wanted = request.get("expectedVersion")
        return "version_conflict" if wanted is not None and wanted != records[0].version else None

    def _create(self, request: Document, records: list[Record], outcome: Document) -> str:
        records[0].born, records[0].fields = True, request["fields"]
        stored = self._stored(request, outcome)
        records[0].attachments |= stored
        return "completed" if len(stored) == len(request["files"]) else "partially_completed"

    def _append(self, request: Document, records: list[Record], outcome: Document) -> str:
        stored = self._stored(request, outcome)
        for record in records:
            record.attachments |= stored
        if not stored:
            return "no_file_stored"
        return "completed" if len(stored) == len(request["files"]) else "partially_completed"

    _assign = _append

    def _stored(self, request: Document, outcome: Document) -> set[str]:
        stored = set()
        for file in outcome["attachments"]:
            code = (file["error"] or {}).get("code", "stored")
            if code not in self._possible(request["files"][file["id"]]):
                self._wrong(f"file {file['id']} of {request['_id']} ended as {code}")
            if code == "stored":
                stored.add(file["id"])
                if (
                    request["kind"] == "assign"
                    and self.assigned.setdefault(file["id"], request["_id"]) != request["_id"]
                ):
                    self._wrong(f"upload {file['id']} was assigned twice")
        return stored

    def _possible(self, entry: Document) -> set[str]:
        if entry.get("upload"):
            return {"stored", "already_assigned", "not_found"}
        if "url" in entry:
            luck = {"source_not_found"} if self._sources_fail or entry["url"] == BROKEN_URL else set()
            return luck | (set() if entry["url"] == BROKEN_URL else {"stored"})
        return {"content_type_mismatch"} if entry.get("data", b"").startswith(BAD64) else {"stored"}

    def _update(self, request: Document, records: list[Record], outcome: Document) -> str:
        changes = request["changes"]
        kept = {name: value for name, value in records[0].fields.items() if name not in changes["clear"]}
        records[0].fields = kept | changes["set"]
        return "completed"

    def _remove(self, request: Document, records: list[Record], outcome: Document) -> str:
        found = records[0].attachments & set(request["remove"])
        records[0].attachments -= found
        told = {file["id"] for file in outcome["attachments"] if file["status"] == "removed"}
        if told != found:
            self._wrong(f"remove {request['_id']} tells of {len(told)} files, not of {len(found)}")
        if not found:
            return "nothing_removed"
        return "completed" if len(found) == len(request["remove"]) else "partially_completed"

    def _erase(self, request: Document, records: list[Record], outcome: Document) -> str:
        records[0].erased, records[0].fields, records[0].attachments = True, {}, set()
        return "completed"


BAD64: Final = b"YmFk"  # base64 of how refused content begins
assert len(BAD) == 3


def in_order(requests: list[Document]) -> Iterator[Document]:
    """Each behind all that are before it in any of its records."""
    left = sorted(requests, key=lambda each: str(each["_id"]))
    while left:
        heads: dict[str, int] = {}
        for each in left:
            for place in each["places"]:
                heads[place["record"]] = min(heads.get(place["record"], place["sequence"]), place["sequence"])
        chosen = [each for each in left if all(heads[one["record"]] == one["sequence"] for one in each["places"])]
        if not chosen:
            raise AssertionError("the places contradict each other")
        yield from chosen
        left = [each for each in left if each not in chosen]
