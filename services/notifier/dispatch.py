"""What is sent and what came of it. Failed and successful are two types, so they can't be mixed up."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

from shared.deliveries import AttemptError


class Lane(NamedTuple):
    """Whose room a dispatch takes: one tenant's callbacks to one host and port."""

    tenant: str
    host: str


def host_of(url: str) -> str:
    """Host and port of a callback's URL, for fairness only; what may be dialled, the egress guard decides."""
    try:
        return urlsplit(url).netloc.lower()
    except ValueError:
        return ""


@dataclass(frozen=True, slots=True)
class Notice:
    """What the ledger says of an ended mutation."""

    mutation_id: str
    environment: str
    tenant: str
    outcome: dict[str, Any]
    ended_at: datetime
    expire_at: datetime
    callback_url: str | None
    traceparent: str
    owed: bool
    scrubbed: bool = False  # a record of its was erased


@dataclass(frozen=True, slots=True)
class NewDelivery:
    """A delivery to enter: leased to this process at once, or due `pause` seconds from now for whoever has room."""

    notice: Notice
    lane: Lane
    leased: bool
    pause: float = 0.0


class Claimed(NamedTuple):
    """A delivery that is ours: how many attempts were made, and where the next one goes."""

    made: int
    url: str


class Due(NamedTuple):
    """A delivery that is due, as it was when it was looked for."""

    delivery: str
    lane: Lane


@dataclass(frozen=True, slots=True)
class PendingDispatch:
    """One attempt to make, under a lease; `made` attempts came before it."""

    delivery: str  # the mutation's id
    environment: str
    lane: Lane
    made: int
    url: str
    body: bytes
    traceparent: str
    expire_at: datetime
    scrubbed: bool = False  # of an erased record: what is answered is not kept, nor the URL in the end


@dataclass(frozen=True, slots=True)
class Answer:
    """What a receiver answered. `status` None: nothing usable came; `error` says why in one word, never where."""

    status: int | None
    milliseconds: int
    text: str = ""
    retry_after: str | None = None
    error: AttemptError | None = None
    late: bool = False  # we looked only long after its time-out, and what came until then was not read


@dataclass(frozen=True, slots=True)
class SuccessfulDispatch:
    """Answered with 2xx: the delivery has ended."""

    pending: PendingDispatch
    answer: Answer
    at: datetime


@dataclass(frozen=True, slots=True)
class FailedDispatch:
    """Anything else: tried again after `pause` seconds, or ended as `exhausted` or `gone`."""

    pending: PendingDispatch
    answer: Answer
    at: datetime
    error: AttemptError
    status: Literal["pending", "exhausted", "gone"]
    pause: float = 0.0


Dispatched = SuccessfulDispatch | FailedDispatch
