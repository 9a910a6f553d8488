"""Writes what came of attempts: each one's document, and the delivery's new state, without URL where it ended."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import TypeAlias

from pymongo import InsertOne, UpdateMany, UpdateOne
from pymongo.errors import ClientBulkWriteException, PyMongoError

from services.notifier.clock import DatabaseClock
from services.notifier.deliveries import UNLEASED, raise_refused
from services.notifier.dispatch import Dispatched, FailedDispatch, SuccessfulDispatch
from shared.errors import DependencyUnavailable
from shared.ledger import Client, Database, Document, translated
from shared.observability import LATE_WRITES

Write: TypeAlias = InsertOne[Document] | UpdateOne | UpdateMany


class MongoAttempts:
    """Adapter over `attempts`, and over what an attempt changes in `deliveries`."""

    def __init__(self, client: Client, databases: Mapping[str, Database], clock: DatabaseClock, holder: str) -> None:
        self._client, self._databases, self._clock, self._holder = client, databases, clock, holder

    async def record(self, results: Iterable[tuple[str, Dispatched]]) -> None:
        """Write results, each with its attempt's id, in one request; a repetition is void.

        Raises DependencyUnavailable.
        """
        now, results = await self._clock.now(), list(results)
        writes: list[Write] = []
        for environment, database in self._databases.items():
            mine = [result for result in results if result[1].pending.environment == environment]
            writes += self._writes(database.name, mine, now)
        concern = next(iter(self._databases.values())).write_concern
        async with translated():
            try:
                done = await self._client.bulk_write(writes, ordered=False, write_concern=concern)
            except ClientBulkWriteException as error:
                _raise_unless_void(error)
                return
        LATE_WRITES.labels("attempt").inc(len(results) - done.matched_count)

    def _writes(self, name: str, results: list[tuple[str, Dispatched]], now: datetime) -> list[Write]:
        """Inserts and what failed one by one; what is the same for many (delivered) in one write."""
        writes: list[Write] = [InsertOne(_attempt(*result), namespace=f"{name}.attempts") for result in results]
        delivered = [each.pending for _, each in results if isinstance(each, SuccessfulDispatch)]
        failed = [each for _, each in results if isinstance(each, FailedDispatch)]
        writes += [self._failed(f"{name}.deliveries", each, now) for each in failed]
        for made in {pending.made for pending in delivered}:
            ids = [pending.delivery for pending in delivered if pending.made == made]
            writes.append(_delivered(f"{name}.deliveries", ids, made, now))
        return writes

    def _failed(self, namespace: str, dispatched: FailedDispatch, now: datetime) -> UpdateOne:
        # Whoever lost the lease has recorded its attempt, and leaves the delivery to the new holder.
        pending = dispatched.pending
        ours = {"_id": pending.delivery, "status": "pending", "leaseBy": self._holder}
        state: Document = UNLEASED | {"status": dispatched.status, "attempt": pending.made + 1}
        if dispatched.status == "pending":
            state |= {"nextAt": now + timedelta(seconds=dispatched.pause)}
        else:
            # What is exhausted keeps its URL: it can be sent again by hand, unless it is about an erased record.
            forgotten = dispatched.status == "gone" or pending.scrubbed
            state |= {"nextAt": None, "endedAt": now} | ({"url": None} if forgotten else {})
        return UpdateOne(ours, {"$set": state}, namespace=namespace)


def _delivered(namespace: str, ids: list[str], made: int, now: datetime) -> UpdateMany:
    # True whoever holds the lease by now, and for ever: no other write matches what is delivered.
    ended = UNLEASED | {"status": "delivered", "endedAt": now, "nextAt": None, "url": None}
    not_yet = {"_id": {"$in": ids}, "status": {"$ne": "delivered"}}
    return UpdateMany(not_yet, {"$set": ended, "$max": {"attempt": made + 1}}, namespace=namespace)


def _attempt(attempt: str, dispatched: Dispatched) -> Document:
    pending, answer = dispatched.pending, dispatched.answer
    return {
        "_id": attempt,
        "delivery": pending.delivery,
        "n": pending.made + 1,
        "at": dispatched.at,
        "status": answer.status,
        "ms": answer.milliseconds,
        "answer": "" if pending.scrubbed else answer.text,
        "error": dispatched.error if isinstance(dispatched, FailedDispatch) else None,
        "expireAt": pending.expire_at,
    }


def _raise_unless_void(error: ClientBulkWriteException) -> None:
    if isinstance(error.error, PyMongoError):
        raise error.error
    if error.write_concern_errors:
        raise DependencyUnavailable("mongodb", "write concern") from error
    raise_refused(error.details["writeErrors"])
