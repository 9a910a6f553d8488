"""The ledger: shape of a mutation's document, how it is read and written, and its indexes (design §2).

One document is claim, outbox, decision and status. Everything that decides something is read with read concern majority
and written with majority, journaled; it is set here and nowhere else.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypedDict

from pymongo import ASCENDING, AsyncMongoClient, IndexModel
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import (
    BulkWriteError,
    ClientBulkWriteException,
    ConnectionFailure,
    ExecutionTimeout,
    OperationFailure,
    PyMongoError,
    WriteConcernError,
)
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from shared import uploads
from shared.dependencies import DEPENDENCIES
from shared.errors import DependencyUnavailable
from shared.process import closed
from shared.settings import EngineSettings

Document = dict[str, Any]
Client = AsyncMongoClient[Document]
Database = AsyncDatabase[Document]

WRITE_CONCERN: Final = WriteConcern("majority", j=True)
READ_CONCERN: Final = ReadConcern("majority")
DATABASES: Final = {"live": "engine_live", "sandbox": "engine_sandbox"}
CONTROL_DATABASE: Final = "engine"
# The server's own words for: shutting down, stepping down, no majority, no primary, time is over (error_codes.yml).
ABSENCE_CODES: Final = frozenset({6, 7, 50, 64, 89, 91, 100, 134, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436})

ACCEPTED: Final = "accepted"
APPLYING: Final = "applying"
COMPLETED: Final = "completed"
PARTIALLY_COMPLETED: Final = "partially_completed"
FAILED: Final = "failed"
REJECTED: Final = "rejected"
BATCH: Final = "batch"  # the head of an array: never published, has no places
OPEN: Final = (ACCEPTED, APPLYING)
WAITING: Final = "waiting"
WORKING: Final = "working"
PARKED: Final = "parked"
OWED: Final = "owed"
LANES: Final = (WAITING, WORKING, PARKED)  # of open mutations
TERMINAL: Final = frozenset({COMPLETED, PARTIALLY_COMPLETED, FAILED, REJECTED})


class FileEntry(TypedDict, total=False):
    """One file of a mutation, by attachment id; exactly one of url, data, staged, upload, rehearsed."""

    field: str | None  # None: an assigned upload
    filename: str | None  # None: an assigned upload keeps its own
    type: str  # attachment type, where the field or the assign says one
    declaredType: str | None
    url: str
    data: bytes  # base64 text as it came, checked by ingest; dropped at the end
    staged: dict[str, Any]  # {key, size, sha256}: large base64 text, decoded by ingest
    upload: bool  # the bytes are those of the temporary upload with this id
    rehearsed: str  # in the sandbox: the outcome code that this file shall end with


class MutationDocument(TypedDict, total=False):
    """A document of `mutations`. Times are UTC; `places` elements keep the order record, sequence."""

    _id: str  # mutation id, UUIDv7
    tenant: str
    key: str  # idempotency key; unique with tenant. Of a rejected command: "!" and its id, which no client can send
    claimedKey: str  # of a rejected command, where it had one
    fingerprint: str
    kind: str
    record: dict[str, str]  # {type, id}: what the outcome is about
    records: list[dict[str, str]]  # of an assign: all of them, in the order of `places`
    places: list[dict[str, Any]]  # [{record: "tenant/type/id", sequence}]
    fields: Document  # of the record, for create; dropped at the end
    changes: dict[str, Any]  # {set: {name: value}, clear: [name]}, for update; dropped at the end
    expectedVersion: int  # of the record, where the client sent If-Match; another one: version_conflict
    files: dict[str, FileEntry]
    fileIds: list[str]
    remove: list[str]  # attachment ids, for remove
    callbackUrl: str
    status: str
    parked: dict[str, Any] | None  # what its event brought: {files: {id: staged | error}, failure, times, at}
    decision: Document | None
    outcome: Document | None  # `data` of the callback
    owed: bool
    tries: int
    lane: str  # waiting (never published), working, parked; after the end: owed, then none. What jobs look for
    published: dict[str, Any] | None  # {at, count}
    traceparent: str
    # {published, taken, fetched, decided} on its way, where known; until the end in decision
    times: dict[str, datetime]
    askedAt: datetime  # when the request began, or the command was produced
    createdAt: datetime
    deadline: datetime
    endedAt: datetime
    expireAt: datetime  # TTL
    head: str  # of a member: the id of its head
    members: list[str]  # of a head: mutation ids


def connect(settings: EngineSettings, timeout_seconds: float = 10.0) -> Client:
    """A client of the database that the settings name, whose every operation ends within the time-out."""
    return open_client(settings.mongodb_uri.get_secret_value(), timeout_seconds, settings.mongodb_ca_file)


@asynccontextmanager
async def connected(settings: EngineSettings, timeout_seconds: float = 10.0) -> AsyncIterator[Client]:
    """The same while the block runs; an absent database does not delay its end."""
    client = connect(settings, timeout_seconds)
    try:
        yield client
    finally:
        await closed(client.close(), "mongodb")


def open_client(uri: str, timeout_seconds: float = 10.0, ca_file: Path | None = None) -> Client:
    """The same for a URI; with `ca_file` over TLS, and no other authority is trusted.

    What is set here counts, whatever the URI says: a read from a secondary would not know yet what was decided.
    """
    wanted: dict[str, Any] = {"tls": True, "tlsCAFile": str(ca_file)} if ca_file else {}
    wanted |= {"readPreference": "primary", "retryWrites": True, "tz_aware": True}
    return AsyncMongoClient(uri, timeoutMS=int(timeout_seconds * 1000), **wanted)


def open_database(client: Client, name: str) -> Database:
    """A database with the concerns that the protocol needs (SecantusDB's majority is one node, so journaled)."""
    return client.get_database(name, read_concern=READ_CONCERN, write_concern=WRITE_CONCERN)


def databases(client: Client) -> dict[str, Database]:
    """The database of each environment."""
    return {environment: open_database(client, name) for environment, name in DATABASES.items()}


@asynccontextmanager
async def translated() -> AsyncIterator[None]:
    """An absent, overtaxed or failing-over MongoDB becomes DependencyUnavailable; a refused document stays a bug."""
    try:
        yield
    except PyMongoError as error:
        if is_absence(error):
            DEPENDENCIES.failed("mongodb")
            raise DependencyUnavailable("mongodb", type(error).__name__) from error
        DEPENDENCIES.answered("mongodb")
        raise
    DEPENDENCIES.answered("mongodb")


def is_absence(error: BaseException | None) -> bool:
    """Whether an error says that the database, or its majority, is away; repeating is safe, all is compare-and-set."""
    if isinstance(error, ClientBulkWriteException):
        return is_absence(error.error) or bool(error.write_concern_errors)
    if isinstance(error, BulkWriteError):
        return bool(error.details.get("writeConcernErrors"))
    if isinstance(error, ConnectionFailure | ExecutionTimeout | WriteConcernError):
        return True
    if isinstance(error, OperationFailure) and error.code in ABSENCE_CODES:
        return True
    labels = ("RetryableWriteError", "TransientTransactionError", "UnknownTransactionCommitResult")
    return isinstance(error, PyMongoError) and (error.timeout or any(map(error.has_error_label, labels)))


def files_with(*members: str) -> Document:
    """For a projection: the files by id, each with these members only, so that its inline payload stays where it is."""
    of_each = {"k": "$$file.k", "v": {name: f"$$file.v.{name}" for name in members}}
    files = {"$objectToArray": {"$ifNull": ["$files", {}]}}
    return {"$arrayToObject": {"$map": {"input": files, "as": "file", "in": of_each}}}


# Few, because every update pays for each. The lane serves windows, deadlines and debts; the expiry tells the end.
INDEXES: Final = [
    IndexModel([("key", ASCENDING), ("tenant", ASCENDING)], name="claim", unique=True),
    IndexModel(
        [("places", ASCENDING)],
        name="places",
        unique=True,
        partialFilterExpression={"places": {"$exists": True}},
    ),
    IndexModel([("places.record", ASCENDING), ("status", ASCENDING)], name="record_status"),
    IndexModel([("lane", ASCENDING), ("tenant", ASCENDING), ("_id", ASCENDING)], name="lane"),
    IndexModel([("fileIds", ASCENDING)], name="files"),
    IndexModel([("expireAt", ASCENDING)], name="expiry", expireAfterSeconds=0),
]


TTL: Final = IndexModel([("expireAt", ASCENDING)], name="expiry", expireAfterSeconds=0)
COLLECTIONS: Final = {  # of an environment, with all their indexes
    "mutations": INDEXES,
    "records": [
        IndexModel([("tenant", ASCENDING), ("type", ASCENDING), ("_id", ASCENDING)]),
        IndexModel([("search", ASCENDING), ("tenant", ASCENDING)], name="search"),
    ],
    "attachments": [
        IndexModel([("owners.record", ASCENDING), ("removedAt", ASCENDING)], name="owners"),
        IndexModel([("tenant", ASCENDING), ("_id", ASCENDING)], name="listed"),
        TTL,
    ],
    "uploads": uploads.INDEXES,
    "deliveries": [IndexModel([("status", ASCENDING), ("nextAt", ASCENDING)], name="due"), TTL],
    "attempts": [IndexModel([("delivery", ASCENDING)], name="delivery"), TTL],
}


async def create_indexes(database: Database) -> None:
    """Create what is missing of all collections of an environment; safe to repeat."""
    for name, indexes in COLLECTIONS.items():
        await database[name].create_indexes(indexes)
