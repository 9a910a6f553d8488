"""The documents of an array are inserted in one transaction, and none stays open when its time is over."""

import asyncio
from contextlib import suppress
from contextvars import copy_context
from typing import Any

import pymongo
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import PyMongoError

from shared import ledger
from shared.crash_points import crash_point
from shared.errors import DependencyUnavailable
from shared.ledger import Client, Document, translated


class ArrayInserts:
    """Inserts into one collection."""

    def __init__(self, client: Client, collection: AsyncCollection[Document], seconds: float) -> None:
        self._client, self._collection, self._seconds = client, collection, seconds
        self._context = copy_context()
        self._tasks: set[asyncio.Task[None]] = set()

    async def insert(self, documents: list[Document]) -> None:
        """All or none. Raises BulkWriteError, and DependencyUnavailable when it is unknown which of the two."""
        # In the context before any deadline: what ends a transaction may not fall under the one that has passed.
        task = asyncio.create_task(self._insert(documents), context=self._context.copy())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            async with asyncio.timeout(self._seconds):
                await asyncio.shield(task)
        except TimeoutError:
            raise DependencyUnavailable("mongodb", "an array took too long") from None

    async def _insert(self, documents: list[Document]) -> None:
        async def insert(session: Any) -> None:
            await self._collection.insert_many(documents, session=session)
            crash_point("ingest.array_inserted")

        async with translated(), self._client.start_session() as session:
            try:
                # The driver repeats a transaction for two minutes otherwise, whatever its operations' time-out.
                with pymongo.timeout(self._seconds):
                    await session.with_transaction(insert, ledger.READ_CONCERN, ledger.WRITE_CONCERN)
            except PyMongoError:
                # The driver aborts within the same deadline: when that has passed, nothing is sent, and the server
                # keeps the transaction, and the keys and places in it, for a minute.
                with suppress(PyMongoError):
                    await self._client.admin.command("killSessions", [session.session_id])
                raise
