"""One attempt: sign, send, judge. What the answer means is decided here and nowhere else."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Final, Protocol

import structlog

from services.notifier import schedule, signing
from services.notifier.dispatch import Answer, Dispatched, FailedDispatch, PendingDispatch, SuccessfulDispatch
from shared.deliveries import AttemptError, webhook_id
from shared.errors import DependencyUnavailable
from shared.retry_after import retry_after_seconds
from shared.tracing import Span, about, requested, span

GONE: Final = 410
TOO_MANY_REQUESTS: Final = 429
TIMEOUT: Final = "timeout"
UNREACHABLE: Final = "unreachable"
BROKEN: Final = "broken"
NO_SECRET: Final = "no_secret"  # noqa: S105
BY_HUNDREDS: Final[dict[int, AttemptError]] = {3: "redirect", 4: "client_error", 5: "server_error"}
log = structlog.get_logger()


class Secrets(Protocol):
    """The tenants' live webhook secrets."""

    async def webhook_secrets(self, tenant: str) -> list[str]:
        """All of them, as `whsec_…`. Raises DependencyUnavailable."""


class Sender(Protocol):
    """Sends one signed callback; whatever a receiver does ends as an Answer, in bounded time."""

    async def send(self, url: str, headers: dict[str, str], content: bytes) -> Answer:
        """POST the bytes."""


def utc_now() -> datetime:
    """The present time."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When to try again: seconds before each attempt, and the least after a 429 or a time-out."""

    pauses: Sequence[float] = schedule.PAUSES
    least_seconds: float = schedule.LEAST_SECONDS


def error_of(answer: Answer) -> AttemptError | None:
    """Why an attempt failed, in one word of ours; None: it succeeded."""
    if answer.status is None:
        return answer.error or BROKEN
    if 200 <= answer.status < 300:
        return None
    return "gone" if answer.status == GONE else BY_HUNDREDS.get(answer.status // 100, BROKEN)


def answered(dispatched: Dispatched) -> bool | None:
    """Whether the receiver answered at all: a dead one gets less room. None: we were not there to see it."""
    return None if dispatched.answer.late else dispatched.answer.status is not None


def _step(pending: PendingDispatch) -> Span:
    what = {**requested("POST", pending.url), **about(pending.delivery, pending.lane.tenant, pending.environment)}
    return span("POST", pending.traceparent, "client", what | {"http.request.resend_count": pending.made})


def _tell(step: Span, answer: Answer) -> None:
    if answer.status is not None:
        step.note({"http.response.status_code": answer.status})
    if error := error_of(answer):
        step.failed(error)


class Courier:
    """Makes attempts; time and randomness are parameters."""

    def __init__(
        self,
        secrets: Secrets,
        sender: Sender,
        policy: RetryPolicy,
        rng: Random,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._secrets, self._sender, self._policy, self._rng, self._now = secrets, sender, policy, rng, now

    async def attempt(self, pending: PendingDispatch) -> Dispatched:
        """Attempt it once. Raises DependencyUnavailable if the secrets can't be read: then nothing was sent."""
        with _step(pending) as step:
            traceparent = step.traceparent or pending.traceparent
            dispatched = await self._attempt(pending, traceparent)
            _tell(step, dispatched.answer)
        return dispatched

    async def _attempt(self, pending: PendingDispatch, traceparent: str) -> Dispatched:
        at = self._now()
        secrets = await self._secrets.webhook_secrets(pending.lane.tenant)
        if not secrets:
            # An unsigned callback would be worth nothing to its receiver; the tenant may still get a secret in time.
            return self._judged(pending, Answer(None, 0, error=NO_SECRET), at)
        try:
            answer = await self._send(pending, traceparent, secrets, at)
        except DependencyUnavailable:
            raise
        except Exception:  # without a result it would be sent again and again, never to be exhausted
            log.exception("callback.broken", mutation=pending.delivery)
            answer = Answer(None, 0, error=BROKEN)
        return self._judged(pending, answer, at)

    async def _send(self, pending: PendingDispatch, traceparent: str, secrets: Sequence[str], at: datetime) -> Answer:
        headers = {
            "content-type": "application/json",
            "traceparent": traceparent,
            **signing.headers(secrets, webhook_id(pending.delivery), int(at.timestamp()), pending.body),
        }
        return await self._sender.send(pending.url, headers, pending.body)

    def _judged(self, pending: PendingDispatch, answer: Answer, at: datetime) -> Dispatched:
        log.info(
            "callback.attempted",
            mutation=pending.delivery,
            tenant=pending.lane.tenant,
            attempt=pending.made + 1,
            status=answer.status,
            ms=answer.milliseconds,
        )
        return self._judge(pending, answer, at)

    def _judge(self, pending: PendingDispatch, answer: Answer, at: datetime) -> Dispatched:
        error = error_of(answer)
        if error is None:
            return SuccessfulDispatch(pending, answer, at)
        if answer.status == GONE:
            return FailedDispatch(pending, answer, at, error, "gone")
        throttled = answer.status == TOO_MANY_REQUESTS or (answer.error == TIMEOUT and not answer.late)
        pause = schedule.next_pause(
            self._policy.pauses,
            pending.made + 1,
            self._rng,
            asked=retry_after_seconds(answer.retry_after, self._now()),
            least=self._policy.least_seconds if throttled else 0.0,
        )
        if pause is None:
            return FailedDispatch(pending, answer, at, error, "exhausted")
        return FailedDispatch(pending, answer, at, error, "pending", pause)
