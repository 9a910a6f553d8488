"""MongoDB for acceptance: keys and places are claimed by one insert (design §2)."""

import asyncio
import math
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Final, cast
from weakref import WeakValueDictionary

import pymongo
from pymongo.errors import BulkWriteError

from services.ingest.arrays import ArrayInserts
from services.ingest.inserts import GroupedInserts, Inserted
from shared import ledger
from shared.errors import DependencyUnavailable
from shared.ledger import Client, Document, MutationDocument, files_with, translated

ATTEMPTS: Final = 20
SECONDS: Final = 1.4  # of one insert, with the look at what became of it; see settings
# What views, replays and the relay tell of a mutation: never its fields, changes, decision, or the bytes of its files.
TOLD: Final = (
    *("tenant", "key", "claimedKey", "fingerprint", "kind", "record", "records", "places", "fileIds", "members"),
    *("callbackUrl", "traceparent", "status", "outcome", "createdAt", "deadline", "endedAt"),
)
TOLD_OF_FILES: Final = ("field", "filename", "url")
WITHOUT_PAYLOAD: Final[Document] = dict.fromkeys(TOLD, 1) | {"files": files_with(*TOLD_OF_FILES)}


@dataclass(slots=True, eq=False, weakref_slot=True)
class _Line:
    """Claims of one record that queue up in this process; `last` is the sequence that the one before has got.

    Sequences have no gaps, so behind it comes the next one, unless another process has it: the unique index tells.
    """

    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    last: int | None = None


class MongoLedger:
    """Claims, and what is looked up about them. The environment is `live` or `sandbox`."""

    def __init__(self, client: Client, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._databases: dict[str, ledger.Database] = ledger.databases(client)
        self._inserts = {name: GroupedInserts(one.mutations, seconds) for name, one in self._databases.items()}
        self._arrays = {name: ArrayInserts(client, one.mutations, seconds) for name, one in self._databases.items()}
        self._absent_at = -math.inf  # when a claim met an absence for the last time
        # Within a process the claims of one record queue up; between processes the unique index decides.
        self._lines: WeakValueDictionary[str, _Line] = WeakValueDictionary()

    async def claim(self, environment: str, document: MutationDocument, records: list[str]) -> MutationDocument:
        """Insert with the next sequence in every record; the document that holds the key: this one, or the winner's.

        Raises DependencyUnavailable when it is unknown whether the insert arrived.
        """
        clock = asyncio.get_running_loop().time
        began, lines = clock(), dict[str, _Line]()
        async with AsyncExitStack() as stack:
            for record in sorted(records if document["kind"] != "create" else []):
                lines[record] = self._lines.setdefault(f"{environment} {record}", _Line())
                await stack.enter_async_context(lines[record].turn)
            if self._absent_at > began:  # met by who had the turn before; each in the line would wait as long again
                raise DependencyUnavailable("mongodb", "away a moment ago")
            try:
                held = await self._claim(environment, document, records, lines)
            except DependencyUnavailable:
                self._absent_at = clock()
                raise
        if held is None:
            raise DependencyUnavailable("mongodb", "too many claims at once")
        return held

    async def _claim(
        self, environment: str, document: MutationDocument, records: list[str], lines: dict[str, _Line]
    ) -> MutationDocument | None:
        own, asked = cast(Document, document), False
        for _ in range(ATTEMPTS):
            places = _behind(records, lines)
            if not places:
                places = await self._places(environment, document["kind"], records, doubtful=asked)
                asked = True
            own["lane"], own["places"] = ledger.WAITING, places
            # Until it is known what becomes of this insert, the next one asks the ledger.
            for line in lines.values():
                line.last = None
            inserted = await self._inserts[environment].insert(own)
            if inserted is Inserted.DONE:
                for place in places if lines else ():
                    lines[place["record"]].last = place["sequence"]
                return document
            if inserted is Inserted.KEY_TAKEN:
                winner = await self.find(environment, document["tenant"], document["key"])
                if winner is not None:
                    return winner
        return None

    async def claim_array(
        self, environment: str, head: MutationDocument, members: list[MutationDocument]
    ) -> MutationDocument:
        """Insert a head and its members, creates all of them, in one transaction; the head that holds the key."""
        for member in members:
            member["lane"], member["places"] = ledger.WAITING, [{"record": _place(member), "sequence": 1}]
        documents = [cast(Document, head), *(cast(Document, member) for member in members)]
        with pymongo.timeout(self._seconds):
            return await self._insert_or_read(environment, head, documents)

    async def _insert_or_read(
        self, environment: str, head: MutationDocument, documents: list[Document]
    ) -> MutationDocument:
        try:
            await self._arrays[environment].insert(documents)
        except BulkWriteError:
            winner = await self.find(environment, head["tenant"], head["key"])
            if winner is None:
                raise DependencyUnavailable("mongodb", "the holder of the key is gone") from None
            return winner
        except DependencyUnavailable:
            mine = await self.find(environment, head["tenant"], head["key"])
            if mine is None:
                raise
            return mine
        return head

    async def keep_rejection(self, environment: str, document: MutationDocument) -> None:
        """Insert a rejected command's document, unless it is there: its id comes from the command's bytes."""
        await self._inserts[environment].insert(cast(Document, document))

    async def find(self, environment: str, tenant: str, key: str) -> MutationDocument | None:
        """The document that holds a key, as far as it is TOLD."""
        async with translated():
            held = {"tenant": tenant, "key": key}
            found = await self._databases[environment].mutations.find_one(held, WITHOUT_PAYLOAD)
        return cast(MutationDocument | None, found)

    async def members(self, environment: str, ids: list[str]) -> list[MutationDocument]:
        """The documents with these ids, in their order, as far as they are TOLD."""
        async with translated():
            cursor = self._databases[environment].mutations.find({"_id": {"$in": ids}}, WITHOUT_PAYLOAD)
            found = {document["_id"]: document async for document in cursor}
        return [cast(MutationDocument, found[name]) for name in ids if name in found]

    async def statuses(self, environment: str, ids: list[str]) -> dict[str, str]:
        """The status of each by id, in one query; what is not there is left out."""
        async with translated():
            cursor = self._databases[environment].mutations.find(
                {"_id": {"$in": ids}}, {"status": 1}, batch_size=len(ids)
            )
            return {document["_id"]: document["status"] async for document in cursor}

    async def record_known(self, environment: str, tenant: str, record_type: str, record_id: str) -> bool:
        """Whether the tenant has this record, not erased, or an open create of it."""
        place = f"{tenant}/{record_type}/{record_id}"
        query = {"places.record": place, "kind": "create", "status": {"$in": list(ledger.OPEN)}}
        # The record first, for many may be open on it; then again: a create that ends in between has written it before.
        return (
            await self._there(environment, tenant, record_type, record_id)
            or await self._any(environment, query)
            or await self._there(environment, tenant, record_type, record_id)
        )

    async def _there(self, environment: str, tenant: str, record_type: str, record_id: str) -> bool:
        record = {"_id": record_id, "tenant": tenant, "type": record_type, "removedAt": None}
        async with translated():
            return await self._databases[environment].records.find_one(record, {"_id": 1}) is not None

    async def record_version(self, environment: str, tenant: str, record_type: str, record_id: str) -> int | None:
        """The present version of the tenant's record, unless it was erased or is not stored yet."""
        record = {"_id": record_id, "tenant": tenant, "type": record_type, "removedAt": None}
        async with translated():
            found = await self._databases[environment].records.find_one(record, {"version": 1})
        return found["version"] if found else None

    async def _any(self, environment: str, query: Document) -> bool:
        async with translated():
            return await self._databases[environment].mutations.find_one(query, {"_id": 1}) is not None

    async def _places(self, environment: str, kind: str, records: Iterable[str], doubtful: bool) -> list[Document]:
        """A new record starts at 1; otherwise the larger of the ledger's largest and the record's own, plus one.

        `doubtful`: a place was taken. What reached its deadline before the record's create had ended, could not lift
        the record, and keeps its place; so everything counts.
        """
        names = list(records)
        largest = dict.fromkeys(names, 0)
        if kind != "create":
            # What has ended has lifted its record before, so only open ones and the record count; in this order.
            claimed = await self._claimed(environment, names, {"status": {"$in": list(ledger.OPEN)}})
            reached = await self._reached(environment, names)
            unborn = [name for name in names if doubtful or name not in reached]
            every = await self._claimed(environment, unborn, {}) if unborn else {}
            for found in (claimed, reached, every):
                largest = {name: max(largest[name], found.get(name, 0)) for name in names}
        return [{"record": name, "sequence": largest[name] + 1} for name in names]

    async def _claimed(self, environment: str, names: list[str], which: Document) -> dict[str, int]:
        mine: Document = {"places.record": {"$in": names}}
        group = {"$group": {"_id": "$places.record", "largest": {"$max": "$places.sequence"}}}
        pipeline: list[Document] = [
            {"$match": mine | which},
            {"$project": {"places": 1}},
            {"$unwind": "$places"},
            {"$match": mine},
            group,
        ]
        async with translated():
            cursor = await self._databases[environment].mutations.aggregate(pipeline)
            return {found["_id"]: found["largest"] async for found in cursor}

    async def _reached(self, environment: str, names: list[str]) -> dict[str, int]:
        # By id alone, which is indexed; by topic an id may be another tenant's, whose sequence is nobody's business.
        ids = sorted({name.rsplit("/", 1)[1] for name in names})
        async with translated():
            cursor = self._databases[environment].records.find(
                {"_id": {"$in": ids}}, {"tenant": 1, "type": 1, "sequence": 1}
            )
            found = {_named(each): each.get("sequence", 0) async for each in cursor}
        return {name: sequence for name, sequence in found.items() if name in names}


def _behind(records: Iterable[str], lines: Mapping[str, _Line]) -> list[Document]:
    """The places behind the last ones of all these records; none where one of them is not known."""
    last = {name: lines[name].last for name in records if name in lines}
    known = {name: sequence for name, sequence in last.items() if sequence is not None}
    return [{"record": name, "sequence": known[name] + 1} for name in known] if len(known) == len(last) else []


def _named(record: Document) -> str:
    return f"{record['tenant']}/{record['type']}/{record['_id']}"


def _place(member: MutationDocument) -> str:
    record = member["record"]
    return f"{member['tenant']}/{record['type']}/{record['id']}"
