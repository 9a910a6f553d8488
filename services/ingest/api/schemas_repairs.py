"""What operators are answered about callbacks and dead letters, as models for the API's description."""

from datetime import datetime

from services.ingest.api.schemas_out import Answer
from services.ingest.api.schemas_oversight import Callback, Enveloped, Environment


class ListedCallback(Callback):
    """A callback as lists show it."""

    environment: Environment
    tenant: str
    mutation_id: str


class Callbacks(Answer):
    """Those of the latest ended mutations first."""

    deliveries: list[ListedCallback]


class Count(Answer):
    """How many it was done to, or would have been."""

    count: int
    dry_run: bool


class LetterGroup(Answer):
    """Dead letters with the same reason."""

    reason: str
    count: int
    oldest: datetime | None
    newest: datetime | None


class LetterTopic(Answer):
    """A topic with dead letters; `groups` are of the newest `read` ones."""

    topic: str
    total: int
    read: int
    groups: list[LetterGroup]


class LetterTopics(Answer):
    """Every topic with dead letters."""

    topics: list[LetterTopic]


class Letter(Answer):
    """A record that could not be worked off: where it lies, why, and the beginning of its bytes."""

    partition: int
    offset: int
    at: datetime | None
    reason: str
    tries: int | None
    source_topic: str | None
    key: str | None
    bytes: int
    excerpt: str


class Letters(Answer):
    """Dead letters, the newest first."""

    letters: list[Letter]


class Replay(Count):
    """Where to; `complete`: all were looked at within time and number; `next`: the parts that were not."""

    target: str
    complete: bool
    next: list[list[int]]


class DeliveriesAnswer(Enveloped):
    """Callbacks."""

    data: Callbacks


class CountAnswer(Enveloped):
    """How many callbacks are sent again."""

    data: Count


class LetterTopicsAnswer(Enveloped):
    """Which topics have dead letters."""

    data: LetterTopics


class LettersAnswer(Enveloped):
    """Dead letters of a topic."""

    data: Letters


class ReplayAnswer(Enveloped):
    """How many dead letters are replayed."""

    data: Replay


ANSWERS = (DeliveriesAnswer, CountAnswer, LetterTopicsAnswer, LettersAnswer, ReplayAnswer)
