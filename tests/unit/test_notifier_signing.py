"""Receivers can verify every callback with a library that is not ours."""

import json
import time
from datetime import timedelta

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from services.notifier import body, signing
from tests.fakes_notifier import NOW, SECRET

OTHER = "whsec_dGhpcnR5LXR3byBvdGhlciBieXRlcyBmb3IgYSBrZXk="


def test_the_published_vector_is_met() -> None:
    made = signing.signature([SECRET], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("secret", [SECRET, OTHER])
def test_while_secrets_rotate_each_of_them_verifies(secret: str) -> None:
    content = '{"name": "Zoë"}'.encode()
    made = signing.headers([SECRET, OTHER], "msg_1", int(time.time()), content)
    assert Webhook(secret).verify(content, made) == {"name": "Zoë"}


def test_a_changed_byte_is_noticed() -> None:
    made = signing.headers([SECRET], "msg_1", int(time.time()), b'{"a":1}')
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(b'{"a":2}', made)


def test_a_retired_secret_verifies_nothing() -> None:
    made = signing.headers([OTHER], "msg_1", int(time.time()), b"{}")
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(b"{}", made)


def test_the_body_is_the_same_bytes_in_every_attempt() -> None:
    outcome = {"mutationId": "m1", "status": "completed", "sequence": 3}
    first = body.build(outcome, NOW, "sandbox")
    assert body.build(dict(outcome), NOW, "sandbox") == first
    assert json.loads(first) == {
        "type": "mutation.completed",
        "timestamp": "2026-03-01T12:00:00.000Z",
        "data": outcome,
        "meta": {"sandboxEnabled": True},
    }


def test_the_body_says_when_the_mutation_ended_to_the_millisecond() -> None:
    made = json.loads(body.build({}, NOW + timedelta(milliseconds=7, microseconds=9), "live"))
    assert made["timestamp"] == "2026-03-01T12:00:00.007Z"
    assert made["meta"] == {"sandboxEnabled": False}
