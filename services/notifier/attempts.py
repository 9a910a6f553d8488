"""Writes what came of attempts: each one's document, the delivery's new state, and an end to the URL in the ledger."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import TypeAlias

from pymongo import InsertOne, UpdateOne
from pymongo.errors import ClientBulkWriteException, PyMongoError

from services.notifier.clock import DatabaseClock
from services.notifier.deliveries import DUPLICATE, UNLEASED
from services.notifier.dispatch import Dispatched, FailedDispatch, SuccessfulDispatch
from shared.errors import DependencyUnavailable
from shared.ledger import Client, Database, Document, translated

Write: TypeAlias = InsertOne[Document] | UpdateOne


class MongoAttempts:
    """Adapter over `attempts`, and over what an attempt changes in `deliveries` and `mutations`."""

    def __init__(self, client: Client, databases: Mapping[str, Database], clock: DatabaseClock, holder: str) -> None:
        self._client, self._databases, self._clock, self._holder = client, databases, clock, holder

    async def record(self, results: Iterable[tuple[str, Dispatched]]) -> None:
        """Write results, each with its attempt's id, in one request; a repetition is void.

        Raises DependencyUnavailable.
        """
        now = await self._clock.now()
        writes = [write for attempt, dispatched in results for write in self._writes(attempt, dispatched, now)]
        concern = next(iter(self._databases.values())).write_concern
        async with translated():
            try:
                await self._client.bulk_write(writes, ordered=False, write_concern=concern)
            except ClientBulkWriteException as error:
                _raise_unless_void(error)

    def _writes(self, attempt: str, dispatched: Dispatched, now: datetime) -> list[Write]:
        name = self._databases[dispatched.pending.environment].name
        writes: list[Write] = [InsertOne(_attempt(attempt, dispatched), namespace=f"{name}.attempts")]
        if isinstance(dispatched, SuccessfulDispatch):
            writes.append(_delivered(f"{name}.deliveries", dispatched, now))
        else:
            writes.append(self._failed(f"{name}.deliveries", dispatched, now))
        if isinstance(dispatched, SuccessfulDispatch) or dispatched.status == "gone":
            # What is exhausted keeps its URL: it can be sent again by hand.
            mutation = {"_id": dispatched.pending.delivery}
            writes.append(UpdateOne(mutation, {"$unset": {"callbackUrl": ""}}, namespace=f"{name}.mutations"))
        return writes

    def _failed(self, namespace: str, dispatched: FailedDispatch, now: datetime) -> UpdateOne:
        # Whoever lost the lease has recorded its attempt, and leaves the delivery to the new holder.
        pending = dispatched.pending
        ours = {"_id": pending.delivery, "status": "pending", "leaseBy": self._holder}
        state: Document = UNLEASED | {"status": dispatched.status, "attempt": pending.made + 1}
        if dispatched.status == "pending":
            state |= {"nextAt": now + timedelta(seconds=dispatched.pause)}
        else:
            state |= {"nextAt": None, "endedAt": now}
        return UpdateOne(ours, {"$set": state}, namespace=namespace)


def _delivered(namespace: str, dispatched: SuccessfulDispatch, now: datetime) -> UpdateOne:
    # True whoever holds the lease by now, and for ever: no other write matches what is delivered.
    pending = dispatched.pending
    ended = UNLEASED | {"status": "delivered", "endedAt": now, "nextAt": None}
    not_yet = {"_id": pending.delivery, "status": {"$ne": "delivered"}}
    return UpdateOne(not_yet, {"$set": ended, "$max": {"attempt": pending.made + 1}}, namespace=namespace)


def _attempt(attempt: str, dispatched: Dispatched) -> Document:
    pending, answer = dispatched.pending, dispatched.answer
    return {
        "_id": attempt,
        "delivery": pending.delivery,
        "n": pending.made + 1,
        "at": dispatched.at,
        "status": answer.status,
        "ms": answer.milliseconds,
        "answer": answer.text,
        "error": dispatched.error if isinstance(dispatched, FailedDispatch) else None,
        "expireAt": pending.expire_at,
    }


def _raise_unless_void(error: ClientBulkWriteException) -> None:
    if isinstance(error.error, PyMongoError):
        raise error.error
    if error.write_concern_errors:
        raise DependencyUnavailable("mongodb", "write concern") from error
    if any(each["code"] != DUPLICATE for each in error.details["writeErrors"]):
        raise error
