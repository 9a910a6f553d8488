"""Whose turn it is on a record: the open mutations in the order of their sequences (design §2)."""

from collections.abc import Iterable
from typing import Final

from pymongo import ASCENDING

from shared.ledger import OPEN, Database, Document, translated

AT_ONCE: Final = 5000  # open mutations that are read in one query; a flood may have put millions behind one record
OF_ONE: Final = 500  # that are read of one record then: more than one batch works off
OF_SOME: Final = 50  # where some will do

Queue = list[tuple[int, str]]  # (sequence, mutation id), the smallest first


async def smallest_open(database: Database, records: Iterable[str]) -> dict[str, tuple[int, str]]:
    """For each record that has one: (sequence, mutation id) of its smallest open mutation."""
    wanted = set(records)
    query = {"places.record": {"$in": sorted(wanted)}, "status": {"$in": list(OPEN)}}
    mine = {"sequence": "$places.sequence", "mutation": "$_id"}
    stages: list[Document] = [
        {"$match": query},
        {"$project": {"places": 1}},
        {"$unwind": "$places"},
        {"$group": {"_id": "$places.record", "smallest": {"$min": mine}}},
    ]
    async with translated():
        found = await (await database.mutations.aggregate(stages)).to_list()
    smallest = {each["_id"]: each["smallest"] for each in found if each["_id"] in wanted}
    return {record: (least["sequence"], least["mutation"]) for record, least in smallest.items()}


async def early_open(database: Database, records: Iterable[str]) -> dict[str, tuple[int, str]]:
    """The same for whoever must not wait for a flood: where very many are open, the smallest of some of each record.

    It may be larger than the smallest of all: what comes behind it is early for sure, what does not may be early, too.
    """
    wanted = set(records)
    documents = await _open(database, {"$in": sorted(wanted)}, AT_ONCE)
    queues = {record: _queue(record, documents) for record in wanted}
    if len(documents) == AT_ONCE:
        # The index has those of one record and status as they were accepted, so these are the first ones as a rule.
        queues = {record: _queue(record, await _open(database, record, OF_SOME)) for record in wanted}
    return {record: queue[0] for record, queue in queues.items() if queue}


async def open_in_order(database: Database, records: Iterable[str]) -> dict[str, Queue]:
    """For each record its open mutations, or the first ones where there are very many; empty when there is none."""
    wanted = set(records)
    documents = await _open(database, {"$in": sorted(wanted)}, AT_ONCE)
    if len(documents) < AT_ONCE:
        return {record: _queue(record, documents) for record in wanted}
    return {record: await _first_of(database, record) for record in wanted}


async def _first_of(database: Database, record: str) -> Queue:
    """The first of one record's queue.

    The database sorts a mutation by the smallest sequence in any of its places. So whatever was not read comes behind
    the last one that was, and of those that were read only what lies before that is sure to be without a gap.
    """
    documents = await _open(database, record, OF_ONE, "places.sequence")
    queue = _queue(record, documents)
    if len(documents) < OF_ONE:
        return queue
    reached = max(min(place["sequence"] for place in document["places"]) for document in documents)
    sure = [(sequence, mutation) for sequence, mutation in queue if sequence <= reached]
    return sure or [each for each in [(await smallest_open(database, [record])).get(record)] if each]


async def _open(database: Database, record: object, limit: int, order: str | None = None) -> list[Document]:
    query = {"places.record": record, "status": {"$in": list(OPEN)}}
    async with translated():
        found = database.mutations.find(query, {"places": 1}).limit(limit)
        return [document async for document in (found.sort(order, ASCENDING) if order else found)]


def _queue(record: str, documents: Iterable[Document]) -> Queue:
    return sorted(
        (place["sequence"], document["_id"])
        for document in documents
        for place in document["places"]
        if place["record"] == record
    )


def has_turn(document: Document, smallest: dict[str, tuple[int, str]]) -> bool:
    """Its turn comes when no open mutation has a smaller sequence in any of its places."""
    return all(
        smallest.get(place["record"], (place["sequence"],))[0] >= place["sequence"] for place in document["places"]
    )
