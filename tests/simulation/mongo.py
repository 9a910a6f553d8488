"""MongoDB in memory behind the driver's own names, so that the services' real adapters run on it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

from pymongo import InsertOne
from pymongo.errors import BulkWriteError, ClientBulkWriteException, DuplicateKeyError

from tests.simulation.faults import Wire
from tests.simulation.mongo_queries import Document, copied, projected
from tests.simulation.mongo_server import DUPLICATE, Server
from tests.simulation.mongo_updates import aggregated, in_order


class Cursor:
    """Reads once, when it is asked for the first document."""

    def __init__(self, wire: Wire, read: Callable[[], list[Document]], show: Callable[[Document], Document]) -> None:
        self._wire, self._read, self._show = wire, read, show
        self._order: list[tuple[str, int]] = []
        self._skip, self._limit = 0, 0

    def sort(self, key: str | list[tuple[str, int]], direction: int = 1) -> "Cursor":
        self._order = [(key, direction)] if isinstance(key, str) else key
        return self

    def skip(self, count: int) -> "Cursor":
        self._skip = count
        return self

    def limit(self, count: int) -> "Cursor":
        self._limit = count
        return self

    async def to_list(self) -> list[Document]:
        return await self._wire.call(self._rows)  # type: ignore[no-any-return]

    async def __aiter__(self) -> AsyncIterator[Document]:
        for row in await self.to_list():
            yield row

    def _rows(self) -> list[Document]:
        rows = in_order(self._read(), self._order)[self._skip :]
        return [self._show(row) for row in (rows[: self._limit] if self._limit else rows)]


class Collection:
    """A collection as a process sees it."""

    def __init__(self, server: Server, wire: Wire, namespace: str) -> None:
        self._server, self._wire, self._namespace = server, wire, namespace

    def find(self, query: Mapping[str, Any], projection: Any = None) -> Cursor:
        return Cursor(
            self._wire,
            lambda: self._server.found(self._namespace, query),
            lambda found: projected(found, projection, None),
        )

    async def find_one(self, query: Mapping[str, Any], projection: Any = None) -> Document | None:
        return next(iter(await self.find(query, projection).limit(1).to_list()), None)

    async def aggregate(self, stages: list[Document]) -> Cursor:
        def read() -> list[Document]:
            return aggregated(self._server.documents(self._namespace).values(), stages, self._server.now())

        return Cursor(self._wire, read, copied)

    async def distinct(self, name: str, query: Mapping[str, Any]) -> list[Any]:
        found = await self._wire.call(lambda: [each[name] for each in self._server.found(self._namespace, query)])
        return list(dict.fromkeys(found))

    async def count_documents(self, query: Mapping[str, Any]) -> int:
        return int(await self._wire.call(lambda: len(self._server.found(self._namespace, query))))

    async def update_one(self, query: Mapping[str, Any], update: Any, upsert: bool = False) -> Any:
        count = await self._wire.call(lambda: self._server.update(self._namespace, query, update, upsert, False))
        return SimpleNamespace(matched_count=max(count, 0), upserted_id=query["_id"] if count < 0 else None)

    async def update_many(self, query: Mapping[str, Any], update: Any) -> None:
        await self._wire.call(lambda: self._server.update(self._namespace, query, update, False, True))

    async def delete_one(self, query: Mapping[str, Any]) -> None:
        def delete() -> None:
            for each in self._server.found(self._namespace, query)[:1]:
                self._server.replace(self._namespace, each["_id"], None)

        await self._wire.call(delete)

    async def insert_many(self, documents: Sequence[Document], ordered: bool = True, session: Any = None) -> None:
        operations = [InsertOne(document) for document in documents]
        if session is not None:
            await self._wire.call(lambda: _all_or_none(self._server, self._namespace, operations))
            return
        await self._bulk(operations, ordered)

    async def bulk_write(self, operations: Sequence[Any], ordered: bool = True) -> None:
        await self._bulk(operations, ordered)

    async def _bulk(self, operations: Sequence[Any], ordered: bool) -> None:
        targets = [(operation, self._namespace) for operation in operations]
        _, errors = await self._wire.call(lambda: in_turn(self._server, self._wire, targets, ordered))
        if errors:
            raise BulkWriteError({"writeErrors": errors, "writeConcernErrors": []})


class Database:
    """A database; its attributes are its collections."""

    write_concern = None

    def __init__(self, server: Server, wire: Wire, name: str) -> None:
        self._server, self._wire, self.name = server, wire, name

    def __getattr__(self, name: str) -> Collection:
        return Collection(self._server, self._wire, f"{self.name}.{name}")


class Client:
    """A process's client."""

    def __init__(self, server: Server, wire: Wire) -> None:
        self._server, self._wire = server, wire
        self.admin = SimpleNamespace(command=self._hello)

    async def _hello(self, *_: Any) -> Document:
        return {"localTime": await self._wire.call(self._server.now)}

    def get_database(self, name: str, **_: Any) -> Database:
        return Database(self._server, self._wire, name)

    async def bulk_write(self, operations: Sequence[Any], ordered: bool = True, **_: Any) -> Any:
        targets = [(operation, operation._namespace) for operation in operations]
        counts, errors = await self._wire.call(lambda: in_turn(self._server, self._wire, targets, ordered))
        if errors:
            raise ClientBulkWriteException({"error": None, "writeErrors": errors, "writeConcernErrors": []}, True)
        matched = [max(count, 0) for count in counts]
        results = [SimpleNamespace(matched_count=count) for count in matched]
        return SimpleNamespace(update_results=results, matched_count=sum(matched))

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[Any]:
        async def with_transaction(work: Callable[[Any], Awaitable[None]], *_: Any) -> None:
            await work(self)

        yield SimpleNamespace(with_transaction=with_transaction, session_id=None)

    def start_session(self) -> Any:
        """What is inserted with it is inserted together."""
        return self._session()


async def in_turn(
    server: Server, wire: Wire, targets: Sequence[tuple[Any, str]], ordered: bool
) -> tuple[list[int], list[Document]]:
    """Do the operations of a bulk one after another, as a server does: others may come in between."""
    counts: list[int] = []
    errors: list[Document] = []
    for index, (operation, namespace) in enumerate(targets):
        if index:
            await wire.between()
        try:
            counts.append(server.write(operation, namespace))
        except DuplicateKeyError as error:
            errors.append({"index": index, "code": DUPLICATE} | dict(error.details or {}))
            counts.append(0)
            if ordered:
                break
    return counts, errors


def _all_or_none(server: Server, namespace: str, operations: list[Any]) -> None:
    done: list[str] = []
    try:
        for operation in operations:
            server.write(operation, namespace)
            done.append(operation._doc["_id"])
    except DuplicateKeyError as error:
        for name in done:
            server.replace(namespace, name, None)
        raise BulkWriteError({"writeErrors": [{"index": len(done), "code": DUPLICATE}]}) from error
