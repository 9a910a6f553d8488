"""What one attempt sends, and what its answer means."""

from random import Random

import pytest
from standardwebhooks import Webhook
from structlog.testing import capture_logs

from services.notifier.courier import Courier, RetryPolicy, answered
from services.notifier.dispatch import Answer, Dispatched, FailedDispatch, SuccessfulDispatch
from tests.fakes_notifier import NOW, SECRET, TRACE, FixedSecrets, ScriptedSender, headers_of, pending


async def attempt(answer: Answer, made: int = 0, *secrets: str) -> tuple[Dispatched, ScriptedSender]:
    sender = ScriptedSender(answer)
    courier = Courier(FixedSecrets(*(secrets or (SECRET,))), sender, RetryPolicy(), Random(1), now=lambda: NOW)
    return await courier.attempt(pending(made=made)), sender


@pytest.mark.parametrize("status", [200, 201, 204, 299])
async def test_any_2xx_is_success(status: int) -> None:
    dispatched, _ = await attempt(Answer(status, 5))
    assert isinstance(dispatched, SuccessfulDispatch)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        *((status, "redirect") for status in (301, 304, 307)),
        *((status, "client_error") for status in (400, 404, 409)),
        *((status, "server_error") for status in (500, 503)),
        *((status, "broken") for status in (101, 600)),
    ],
)
async def test_anything_else_is_a_failure_that_is_tried_again(status: int, error: str) -> None:
    dispatched, _ = await attempt(Answer(status, 5))
    assert isinstance(dispatched, FailedDispatch)
    assert (dispatched.status, dispatched.error) == ("pending", error)
    assert 4 <= dispatched.pause <= 6


async def test_410_ends_the_delivery_as_gone() -> None:
    dispatched, _ = await attempt(Answer(410, 5))
    assert isinstance(dispatched, FailedDispatch)
    assert dispatched.status == "gone"


async def test_the_tenth_failure_exhausts_the_delivery() -> None:
    ninth, _ = await attempt(Answer(500, 5), made=8)
    tenth, _ = await attempt(Answer(500, 5), made=9)
    assert isinstance(ninth, FailedDispatch)
    assert isinstance(tenth, FailedDispatch)
    assert (ninth.status, tenth.status) == ("pending", "exhausted")


async def test_a_throttling_receiver_gets_at_least_a_minute() -> None:
    dispatched, _ = await attempt(Answer(429, 5, retry_after="3"))
    assert isinstance(dispatched, FailedDispatch)
    assert dispatched.pause == 60


async def test_a_receiver_that_timed_out_gets_at_least_a_minute() -> None:
    dispatched, _ = await attempt(Answer(None, 15_000, error="timeout"))
    assert isinstance(dispatched, FailedDispatch)
    assert dispatched.pause == 60
    assert answered(dispatched) is False


async def test_a_time_out_that_ended_late_says_nothing_about_the_receiver() -> None:
    dispatched, _ = await attempt(Answer(None, 40_000, error="timeout", late=True))
    assert isinstance(dispatched, FailedDispatch)
    assert 4 <= dispatched.pause <= 6
    assert answered(dispatched) is None


async def test_retry_after_stretches_the_pause_at_most_twofold() -> None:
    dispatched, _ = await attempt(Answer(503, 5, retry_after="86400"), made=1)
    plain, _ = await attempt(Answer(503, 5), made=1)
    assert isinstance(dispatched, FailedDispatch)
    assert isinstance(plain, FailedDispatch)
    assert dispatched.pause == 2 * plain.pause


async def test_what_is_sent_verifies_and_carries_id_time_and_trace() -> None:
    _, sender = await attempt(Answer(204, 5), 3, SECRET)
    url, headers, content = sender.sent[0]
    assert url == "https://hooks.example.com/in"
    assert headers["webhook-id"] == "msg_m1"
    assert headers["webhook-timestamp"] == str(int(NOW.timestamp()))
    assert headers["traceparent"] == TRACE
    assert headers["content-type"] == "application/json"
    assert Webhook(SECRET).sign("msg_m1", NOW, content.decode()) == headers_of(headers)["webhook-signature"]


async def test_without_a_live_secret_nothing_unsigned_leaves() -> None:
    sender = ScriptedSender(Answer(200, 5))
    courier = Courier(FixedSecrets(), sender, RetryPolicy(), Random(1))
    dispatched = await courier.attempt(pending())
    assert isinstance(dispatched, FailedDispatch)
    assert (dispatched.status, dispatched.error) == ("pending", "no_secret")
    assert sender.sent == []


async def test_an_attempt_that_meets_a_bug_is_a_failed_attempt() -> None:
    with capture_logs() as logged:
        dispatched, _ = await attempt(Answer(200, 5), 0, "whsec_not base64")
    assert isinstance(dispatched, FailedDispatch)
    assert (dispatched.status, dispatched.error) == ("pending", "broken")
    assert [entry["mutation"] for entry in logged if entry["event"] == "callback.broken"] == ["m1"]


async def test_every_attempt_is_logged_by_the_mutation_and_without_its_url() -> None:
    with capture_logs() as logged:
        await attempt(Answer(503, 5), 2)
    [entry] = logged
    assert entry == {
        "event": "callback.attempted", "log_level": "info",
        "mutation": "m1", "tenant": "acme", "attempt": 3, "status": 503, "ms": 5,
    }  # fmt: skip
