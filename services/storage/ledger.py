"""MongoDB for the storage service: the ledger's compare-and-sets, records and attachments, in bulk."""

import uuid
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from pymongo import UpdateOne
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import BulkWriteError, ClientBulkWriteException

from services.storage import effects
from services.storage.decision import Decision, owned
from shared import ledger, turns
from shared.crash_points import crash_point
from shared.events import Environment
from shared.ledger import ACCEPTED, APPLYING, PARKED, TERMINAL, Client, Document, translated
from shared.observability import LATE_WRITES
from shared.outbox import republish_pause

DUPLICATE_KEY = 11000
BULK = 500  # operations that are done within the database's time: an erasure may have thousands


class RefusedWrite(Exception):
    """The database refused a write with these codes: a bug."""


class MongoLedger:
    """The ledger, records and attachments of both environments."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._databases = ledger.databases(client)

    async def read(self, environment: Environment, ids: Iterable[str]) -> dict[str, Document]:
        """Whole documents, inline payloads included, by mutation id."""
        async with translated():
            found = self._databases[environment].mutations.find({"_id": {"$in": list(ids)}})
            return {document["_id"]: document async for document in found}

    async def open_in_order(self, environment: Environment, records: Iterable[str]) -> dict[str, list[tuple[int, str]]]:
        """See shared.turns.open_in_order."""
        return await turns.open_in_order(self._databases[environment], records)

    async def park(self, environment: Environment, brought: Mapping[str, Document]) -> None:
        """Store what the events of early mutations brought; the first one to park wins."""
        await self._write(
            [
                UpdateOne(
                    {"_id": name, "status": ACCEPTED, "parked": None},
                    {"$set": {"parked": parcel, "lane": PARKED}},
                    namespace=self._name(environment, "mutations"),
                )
                for name, parcel in brought.items()
            ]
        )

    async def decide(self, environment: Environment, decisions: Mapping[str, Decision]) -> set[str]:
        """Compare-and-set `accepted → applying` with the whole decision; the ids that won."""
        token = uuid.uuid4().hex
        namespace = self._name(environment, "mutations")
        operations = [
            UpdateOne(
                {"_id": name, "status": ACCEPTED},
                {"$set": {"status": APPLYING, "decision": decision.document() | {"by": token}}},
                namespace=namespace,
            )
            for name, decision in decisions.items()
        ]
        counts = await self._write(operations)
        return {name for name, count in zip(decisions, counts, strict=True) if count}

    async def states(
        self, environment: Environment, records: Iterable[str], whole: bool = False
    ) -> dict[str, Document]:
        """Records, by record id, with their fields only where the whole is wanted; an erased one has `removedAt`."""
        wanted = {"_id": {"$in": list(records)}}
        async with translated():
            found = self._databases[environment].records.find(wanted, None if whole else {"fields": 0})
            return {document["_id"]: document async for document in found}

    async def attachments(self, environment: Environment, ids: Iterable[str]) -> dict[str, Document]:
        """Live attachments, by id."""
        async with translated():
            found = self._databases[environment].attachments.find({"_id": {"$in": list(ids)}})
            return {document["_id"]: document async for document in found if not document.get("removedAt")}

    async def attachments_of(self, environment: Environment, place: str) -> dict[str, Document]:
        """Live attachments that a record owns, by id."""
        async with translated():
            found = self._databases[environment].attachments.find({"owners.record": place, "removedAt": None})
            return owned([document async for document in found], place)

    async def apply_documents(self, environment: Environment, decided: Iterable[tuple[Document, Decision]]) -> None:
        """Tombstones: before objects are deleted."""
        database = ledger.DATABASES[environment]
        await self._write([op for m, d in decided for op in effects.document_effects(database, m, d)])

    async def finish(self, environment: Environment, decided: Iterable[tuple[Document, Decision]]) -> None:
        """Attachments, records, then the end, in this order.

        A kill between two writes leaves mutations in `applying`; whoever takes them up repeats what is void.
        """
        name, pairs = ledger.DATABASES[environment], list(decided)
        database = self._databases[environment]
        await self._appear(database.attachments, [born for _, made in pairs for born in made.insert])
        crash_point("storage.attachments_written")
        await self._appear(database.records, [born for _, made in pairs for born in effects.born_record(made)])
        crash_point("storage.records_written")
        first = [op for m, d in pairs for op in effects.document_effects(name, m, d)]
        then = [op for m, d in pairs for op in effects.record_effects(name, m, d)]
        ends = [effects.finish_effect(name, m, d) for m, d in pairs]
        matched = (await self._write(first + then + ends))[len(first + then) :]
        LATE_WRITES.labels("end").inc(matched.count(0))

    @staticmethod
    async def _appear(collection: AsyncCollection[Document], documents: list[Document]) -> None:
        """Insert what never was there; what is there, in whatever state by now, stays as it is."""
        if not documents:
            return
        try:
            async with translated():
                await collection.insert_many(documents, ordered=False)
        except BulkWriteError as error:
            codes = [each["code"] for each in error.details["writeErrors"]]
            if any(code != DUPLICATE_KEY for code in codes):
                raise RefusedWrite(codes) from None

    async def tries(self, environment: Environment, mutation: str) -> int:
        """How many failures of ours are counted."""
        async with translated():
            document = await self._databases[environment].mutations.find_one({"_id": mutation}, {"tries": 1})
        return int((document or {}).get("tries", 0))

    async def raise_tries(self, environment: Environment, mutation: str, tries: int) -> None:
        """Count the next failure of ours, the one of this number, unless somebody else has counted it."""
        async with translated():
            mutations = self._databases[environment].mutations
            await mutations.update_one({"_id": mutation, "tries": tries - 1}, {"$inc": {"tries": 1}})

    async def overdue(self, environment: Environment, now: datetime, limit: int) -> list[str]:
        """Ids of `accepted` mutations past their deadline, the oldest first."""
        late: list[str] = []
        async with translated():
            for lane in ledger.LANES:
                query = {"lane": lane, "status": ACCEPTED, "deadline": {"$lt": now}}
                found = self._databases[environment].mutations.find(query, {"_id": 1}).limit(limit)
                late += [document["_id"] async for document in found]
        return sorted(late)[:limit]

    async def owed(self, environment: Environment, now: datetime, limit: int) -> list[Document]:
        """Ended mutations that the notifier has not confirmed and that are due, those never published again first."""
        before = now - timedelta(seconds=republish_pause(1))
        query = {"lane": ledger.OWED, "endedAt": {"$lt": before}, "announced.next": {"$not": {"$gt": now}}}
        order = [("announced.next", 1), ("endedAt", 1)]
        async with translated():
            found = self._databases[environment].mutations.find(query, {"files": 0}).sort(order).limit(limit)
            return [document async for document in found]

    async def announced(self, environment: Environment, due: Mapping[str, datetime]) -> None:
        """Count one more publish of these outcomes, and say when the next one is due."""
        namespace = self._name(environment, "mutations")
        await self._write(
            [
                UpdateOne(
                    {"_id": name},
                    {"$set": {"announced.next": time}, "$inc": {"announced.count": 1}},
                    namespace=namespace,
                )
                for name, time in due.items()
            ]
        )

    async def open_of(self, environment: Environment, mutations: Iterable[str]) -> set[str]:
        """Which of these mutations are open."""
        query = {"_id": {"$in": list(mutations)}}
        async with translated():
            found = self._databases[environment].mutations.find(query, {"status": 1})
            return {document["_id"] async for document in found if document["status"] not in TERMINAL}

    async def named_keys(self, environment: Environment, attachments: Iterable[str]) -> dict[str, str]:
        """The key that each live attachment names, by attachment id."""
        return {name: document["key"] for name, document in (await self.attachments(environment, attachments)).items()}

    async def busy_files(self, environment: Environment, attachments: Iterable[str]) -> set[str]:
        """Which of these attachments may still come to be: of an open mutation, or of an upload that is not assigned.

        Uploads first: one that has ended since was claimed by a mutation that is open now, or has ended, too.
        """
        wanted = list(attachments)
        busy = set(await self.upload_keys(environment, wanted))
        async with translated():
            found = self._databases[environment].mutations.find(
                {"fileIds": {"$in": wanted}}, {"fileIds": 1, "status": 1}
            )
            return busy | {name async for each in found if each["status"] not in TERMINAL for name in each["fileIds"]}

    async def upload_keys(self, environment: Environment, uploads: Iterable[str]) -> dict[str, str]:
        """The staged key of each temporary upload that has not ended, by id."""
        async with translated():
            found = self._databases[environment].uploads.find({"_id": {"$in": list(uploads)}}, {"key": 1, "endedAt": 1})
            return {each["_id"]: each["key"] async for each in found if not each.get("endedAt")}

    def _name(self, environment: Environment, collection: str) -> str:
        return f"{ledger.DATABASES[environment]}.{collection}"

    async def _write(self, operations: list[Any]) -> list[int]:
        """In order, as one bulk where there are not too many; how many documents each operation matched."""
        parts = [operations[offset : offset + BULK] for offset in range(0, len(operations), BULK)]
        return [count for part in parts for count in await self._write_part(part)]

    async def _write_part(self, operations: list[Any]) -> list[int]:
        """One ordered bulk. Two upserts of one id may race: once more."""
        for last in (False, True):
            try:
                async with translated():
                    result = await self._client.bulk_write(
                        operations, ordered=True, verbose_results=True, write_concern=ledger.WRITE_CONCERN
                    )
                return [result.update_results[n].matched_count for n in range(len(operations))]
            except ClientBulkWriteException as error:
                if last or not _only_duplicates(error):
                    # Its text would hold the documents, and so personal data, in the logs.
                    raise RefusedWrite([each["code"] for each in error.details["writeErrors"]]) from None
        raise AssertionError("unreachable")


def _only_duplicates(error: ClientBulkWriteException) -> bool:
    found = error.details["writeErrors"]
    return bool(found) and all(each["code"] == DUPLICATE_KEY for each in found)
