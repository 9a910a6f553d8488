"""Stands-in for what the notifier talks to: small real classes, and examples of what passes between its parts."""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from services.notifier.dispatch import Answer, Claimed, Due, Lane, NewDelivery, Notice, PendingDispatch
from services.notifier.handler import Completed, TopicOutcome
from services.notifier.recorder import Result
from shared.errors import DependencyUnavailable
from shared.events import Environment, MutationCompleted, Place

T = TypeVar("T")
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
EXPIRES = datetime(2126, 3, 1, tzinfo=UTC)  # what is over, a database deletes in the middle of a test
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
URL = "https://hooks.example.com/in"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def notice(mutation: str = "m1", **changed: Any) -> Notice:
    """An ended mutation that owes its outcome."""
    plain = Notice(
        mutation_id=mutation,
        environment="live",
        tenant="acme",
        outcome={"mutationId": mutation, "status": "completed", "sequence": 1},
        ended_at=NOW,
        expire_at=EXPIRES,
        callback_url=URL,
        traceparent=TRACE,
        owed=True,
    )
    return replace(plain, **changed)


def completed(mutation: str = "m1", environment: Environment = "live", callback: bool = True) -> Completed:
    """The event of the same mutation."""
    places = (Place(record="acme/candidate/c1", sequence=1),)
    event = MutationCompleted(
        mutation_id=mutation,
        tenant="acme",
        environment=environment,
        kind="create",
        places=places,
        outcome={"mutationId": mutation, "status": "completed", "sequence": 1},
        callback=callback,
    )
    return Completed(event, TRACE)


def pending(delivery: str = "m1", lane: Lane | None = None, made: int = 0, **changed: Any) -> PendingDispatch:
    """An attempt to make."""
    at = lane or Lane("acme", "hooks.example.com")
    url = f"https://{at.host}/in"
    plain = PendingDispatch(delivery, "live", at, made, url, b'{"test":1}', TRACE, EXPIRES)
    return replace(plain, **changed)


class InMemoryLedger:
    """Notices by mutation id."""

    def __init__(self, *notices: Notice) -> None:
        self.notices = {each.mutation_id: each for each in notices}

    async def read(self, environment: str, ids: Sequence[str]) -> dict[str, Notice]:
        found = (self.notices[each] for each in ids if each in self.notices)
        return {each.mutation_id: each for each in found if each.environment == environment}

    async def settle(self, environment: str, ids: Collection[str]) -> None:
        for each in ids:
            self.notices[each] = replace(self.notices[each], owed=False)

    @property
    def owed(self) -> set[str]:
        return {each.mutation_id for each in self.notices.values() if each.owed}


class InMemoryDeliveries:
    """Deliveries by mutation id; `away` makes the next insert fail as an absent database does."""

    def __init__(self) -> None:
        self.entered: dict[str, NewDelivery] = {}
        self.away = False

    async def insert(self, environment: str, deliveries: Sequence[NewDelivery]) -> set[str]:
        if self.away:
            raise DependencyUnavailable("mongodb")
        new = {each.notice.mutation_id: each for each in deliveries if each.notice.mutation_id not in self.entered}
        self.entered |= new
        return set(new)


class InMemoryQueue:
    """Due deliveries with their lanes; what is claimed, put off or ended is no longer due."""

    def __init__(self, due: Sequence[Due], others: Collection[str] = (), url: str = URL) -> None:
        self.url = url
        self.waiting = {each.delivery: each.lane for each in due}
        self.others = set(others)  # claimed by another notifier in the meantime
        self.claimed: list[str] = []
        self.postponed: dict[str, float] = {}
        self.ended: list[str] = []

    async def due(self, environment: str, limit: int, passed: int) -> list[Due]:
        return [Due(each, lane) for each, lane in self.waiting.items()][passed : passed + limit]

    async def claim(self, environment: str, ids: Sequence[str]) -> dict[str, Claimed]:
        mine = [each for each in ids if self.waiting.pop(each, None) and each not in self.others]
        self.claimed += mine
        return dict.fromkeys(mine, Claimed(1, self.url))

    async def postpone(self, environment: str, ids: Sequence[str], seconds: float) -> None:
        for each in ids:
            del self.waiting[each]
            self.postponed[each] = seconds

    async def end_undeliverable(self, environment: str, ids: Sequence[str]) -> None:
        self.ended += ids


class InMemoryOutcomes:
    """The tenants' topics; those of `unwritable` tenants take nothing."""

    def __init__(self, unwritable: Collection[str] = ()) -> None:
        self.values: dict[str, bytes] = {}
        self.unwritable = unwritable

    async def publish(self, outcomes: Sequence[TopicOutcome]) -> set[str]:
        taken = [each for each in outcomes if each.completed.event.tenant not in self.unwritable]
        self.values |= {each.completed.event.mutation_id: each.value for each in taken}
        return {each.completed.event.mutation_id for each in taken}


class CountingRoom:
    """A dispatcher with room for so many, that sends nothing."""

    def __init__(self, room: int = 100, failures: int = 0) -> None:
        self.room, self._failures = room, failures
        self.submitted: list[PendingDispatch] = []

    def reserve(self, lane: Lane) -> bool:
        if self.room == 0:
            return False
        self.room -= 1
        return True

    def cancel(self, lane: Lane) -> None:
        self.room += 1

    def submit(self, dispatch: PendingDispatch) -> None:
        self.submitted.append(dispatch)

    def failures(self, lane: Lane) -> int:
        return self._failures


class ScriptedSender:
    """Answers as told, and remembers what it was given to send."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.sent: list[tuple[str, dict[str, str], bytes]] = []

    async def send(self, url: str, headers: dict[str, str], content: bytes) -> Answer:
        self.sent.append((url, headers, content))
        return self.answer


class FixedSecrets:
    """The same secrets for every tenant."""

    def __init__(self, *secrets: str) -> None:
        self._secrets = list(secrets)

    async def webhook_secrets(self, tenant: str) -> list[str]:
        return self._secrets


class InMemoryAttempts:
    """Results as written, one list a request; fails first with each of the given errors."""

    def __init__(self, errors: Sequence[Exception] = (), poison: str = "") -> None:
        self.requests: list[list[Result]] = []
        self.begun = asyncio.Event()
        self.tried: list[str] = []  # ids of attempts, once for each try
        self._errors, self._poison = list(errors), poison

    async def record(self, results: Sequence[Result]) -> None:
        self.tried += [attempt for attempt, _ in results]
        self.begun.set()
        await asyncio.sleep(0)
        if self._errors:
            raise self._errors.pop(0)
        if any(dispatched.pending.delivery == self._poison for _, dispatched in results):
            raise ValueError("can't be written")
        self.requests.append(list(results))

    @property
    def written(self) -> list[str]:
        return [dispatched.pending.delivery for request in self.requests for _, dispatched in request]


class _VirtualTimeLoop(asyncio.SelectorEventLoop):
    """A loop whose clock jumps to the next timer instead of waiting for it."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        selector: Any = self._selector  # type: ignore[attr-defined]
        select = selector.select

        def jump(timeout: float | None = None) -> Any:
            self._now += timeout or 0.0
            return select(0)

        selector.select = jump

    def time(self) -> float:
        return self._now


def in_virtual_time(scenario: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a scenario to its end; its sleeps take no time."""
    with asyncio.Runner(loop_factory=_VirtualTimeLoop) as runner:
        return runner.run(scenario())


def headers_of(sent: Mapping[str, str]) -> dict[str, str]:
    """The headers that a receiver verifies."""
    return {name: value for name, value in sent.items() if name.startswith("webhook-")}
