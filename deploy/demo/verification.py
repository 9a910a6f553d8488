"""Verifies callbacks as a receiver would, with the independent package `standardwebhooks`."""

from typing import Any

from standardwebhooks import Webhook

from deploy.demo.receiver import Callback


def verified(callback: Callback, secret: str) -> dict[str, Any]:
    """The body, once its signature holds; raises standardwebhooks.WebhookVerificationError."""
    body: dict[str, Any] = Webhook(secret).verify(callback.body, callback.headers)
    return body
