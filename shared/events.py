"""The events between services: frozen models, small bodies, CloudEvents 1.0 headers (binary mode).

Changes only add; a new meaning is a new type name; unknown members are ignored. File bytes never travel in events.
"""

from datetime import UTC, datetime
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from shared.errors import Undecodable

Environment = Literal["live", "sandbox"]
Kind = Literal["create", "update", "append", "remove", "assign", "erase"]
E = TypeVar("E", bound="_Event")
Header = tuple[str, bytes]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True)


class Place(_Model):
    """A mutation's place in one record's order; record is `tenant/type/id`, sequence counts from 1."""

    record: str
    sequence: int


class UrlSource(_Model):
    """A file that the fetcher has to download."""

    url: str


class StagedObject(_Model):
    """Bytes under `staging/`: key, size in bytes, SHA-256 in hex."""

    key: str
    size: int
    sha256: str
    content_type: str | None = None  # as the source declared it


class FileError(_Model):
    """Why a file could not be had: a code of shared/errors.py and a sentence."""

    code: str
    message: str


class _Event(_Model):
    mutation_id: str
    tenant: str
    environment: Environment
    kind: Kind | None  # None: a rejected command whose operation we don't know
    places: tuple[Place, ...]

    @property
    def message_key(self) -> bytes:
        """Locality, not order: environment/tenant/record_type/record_id of the first record, if there is one."""
        record = self.places[0].record if self.places else f"{self.tenant}//{self.mutation_id}"
        return f"{self.environment}/{record}".encode()


class MutationAccepted(_Event):
    """A mutation has its 202; `sources` are its URL files by attachment id."""

    sources: dict[str, UrlSource] = Field(default_factory=dict)
    deadline: datetime


class FetchTimes(_Model):
    """When an event was published, taken by the fetcher, and worked off there: for whoever reads the time line."""

    published: datetime | None = None
    taken: datetime
    fetched: datetime


class MutationFetched(_Event):
    """The same with each URL source replaced by a staged object or an error. `error`: a bug in the fetcher."""

    files: dict[str, StagedObject | FileError] = Field(default_factory=dict)
    error: FileError | None = None
    times: FetchTimes | None = None
    deadline: datetime


class MutationCompleted(_Event):
    """A mutation has ended: `outcome` is the `data` of the callback (design §5). A rejected command has no places."""

    kind: Kind | None = None
    outcome: dict[str, Any]
    callback: bool  # whether somebody asked to be called back


EVENT_TYPES: dict[type[_Event], str] = {
    MutationAccepted: "mutation.accepted.v1",
    MutationFetched: "mutation.fetched.v1",
    MutationCompleted: "mutation.completed.v1",
}
SOURCES = {MutationAccepted: "ingest", MutationFetched: "fetcher", MutationCompleted: "storage"}


def headers(event: _Event, traceparent: str) -> list[Header]:
    """CloudEvents headers; `ce_id` is mutation id + stage, so anyone can de-duplicate what is published again."""
    kind = EVENT_TYPES[type(event)]
    pairs = {
        "ce_specversion": "1.0",
        "ce_id": f"{event.mutation_id}.{kind.split('.')[1]}",
        "ce_source": f"/mutation-engine/{SOURCES[type(event)]}",
        "ce_type": kind,
        "ce_time": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "ce_subject": event.places[0].record if event.places else event.mutation_id,
        "content-type": "application/json",
        "traceparent": traceparent,
    }
    return [(name, value.encode()) for name, value in pairs.items()]


def encode(event: _Event) -> bytes:
    """The JSON body, in camelCase."""
    return event.model_dump_json(by_alias=True, exclude_none=True).encode()


def decode(kind: type[E], body: bytes | None) -> E:
    """The event in a record's value; raises Undecodable."""
    try:
        return kind.model_validate_json(body or b"")
    except ValidationError as error:
        count = error.error_count()
        raise Undecodable(f"not a {EVENT_TYPES[kind]}: {count} {'error' if count == 1 else 'errors'}") from None
