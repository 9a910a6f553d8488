"""What operators are answered, as models for the API's description; a test holds real answers against them."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from services.ingest.api.schemas_out import Answer, Meta, ProblemError
from shared.deliveries import AttemptError, DeliveryStatus

Environment = Literal["live", "sandbox"]
State = Literal["open", "delivered", "failed"]


class Row(Answer):
    """A mutation as lists show it. `idempotencyKey` is null for a rejected command without one."""

    environment: Environment
    tenant: str
    mutation_id: str
    idempotency_key: str | None
    kind: str | None
    type: str | None
    record_id: str | None
    status: str
    accepted_at: datetime
    ended_at: datetime | None


class Told(Answer):
    """A code in plain words."""

    code: str
    reason: str
    advice: str


class Whole(Row):
    """With what only its own page shows; `published`: how often it is known to have been, beside the first time.

    `callbackOwed`: a callback was asked for that the notifier does not know of yet. `errors` of a rejected command.
    """

    deadline: datetime | None
    tries: int
    published: int
    parked_behind: str | None
    callback_owed: bool
    error: Told | None
    errors: list[ProblemError]


class TimelineStep(Answer):
    """One step. `now`: it lasts, and `to` is null; `unknown`: it was skipped, or a time of it was not kept."""

    name: Literal["request", "accepted", "published", "fetched", "parked", "decided", "ended", "callback"]
    service: Literal["ingest", "kafka", "fetcher", "storage", "notifier"]
    from_: datetime | None = Field(alias="from")
    to: datetime | None
    state: Literal["done", "now", "unknown"]
    detail: str


class File(Answer):
    """A file. `source`: inline, upload, rehearsed, scheme and host of its URL, or null of an erased record."""

    file_id: str
    field: str | None
    name: str | None
    source: str | None
    state: Literal["pending", "stored", "failed"]
    code: str | None
    reason: str | None
    advice: str | None
    bytes: int | None
    sha256: str | None


class Attempt(Answer):
    """One attempt of a callback: when it began, milliseconds, the receiver's status, and the start of its answer."""

    at: datetime
    ms: int
    status: int | None
    error: AttemptError | None
    meaning: str | None
    excerpt: str


class Callback(Answer):
    """A callback and its attempts; `receiver` is host and port, for of an ended one no more is kept."""

    webhook_id: str
    receiver: str | None
    state: State
    status: DeliveryStatus
    next_attempt_at: datetime | None
    created_at: datetime | None
    ended_at: datetime | None
    resendable: bool
    attempts: list[Attempt]


class Rows(Answer):
    """Mutations, newest first."""

    mutations: list[Row]


class Timeline(Answer):
    """All that is known of a mutation."""

    mutation: Whole
    steps: list[TimelineStep]
    files: list[File]
    deliveries: list[Callback]


class GroupLag(Answer):
    """How far a group is behind in a partition; `ageSeconds` of the first record to work off, null if unknown."""

    group: str
    topic: str
    partition: int
    committed: int
    end: int
    lag: int
    age_seconds: float | None


class Counts(Answer):
    """Mutations of both environments: open ones by where they are, and ended ones whose outcome is to be passed on."""

    open: int
    waiting: int
    working: int
    parked: int
    owed: int


class Oldest(Answer):
    """One of the few that are under way for the longest, `since` their 202; each lane has its own."""

    environment: Environment
    tenant: str
    mutation_id: str
    lane: Literal["waiting", "working"]
    since: datetime | None


class OpenCallbacks(Answer):
    """Callbacks of both environments that have not ended: under way, or to be tried again."""

    open: int


class Parked(Answer):
    """A mutation that waits for another one."""

    environment: Environment
    tenant: str
    mutation_id: str
    since: datetime | None
    why: str


class Standing(Answer):
    """How the engine stands; what could not be asked is named in `away`, and null."""

    lag: list[GroupLag] | None
    mutations: Counts | None
    callbacks: OpenCallbacks | None
    oldest: list[Oldest] | None
    parked: list[Parked] | None
    away: list[Literal["kafka", "mongodb"]]
    at: datetime


class Enveloped(Answer):
    """What every answer to operators comes in."""

    status_code: Literal[200]
    message: str
    meta: Meta


class SearchAnswer(Enveloped):
    """What a search has found."""

    data: Rows


class TimelineAnswer(Enveloped):
    """A mutation's time line."""

    data: Timeline


class StateAnswer(Enveloped):
    """How the engine stands."""

    data: Standing


ANSWERS = (SearchAnswer, TimelineAnswer, StateAnswer)
