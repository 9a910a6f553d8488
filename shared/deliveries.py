"""What a delivery can be, and why an attempt can fail: words for notifier, API and docs/callbacks.md, in one table."""

from typing import Final, Literal

WEBHOOK_PREFIX: Final = "msg_"

DeliveryStatus = Literal["pending", "delivered", "exhausted", "gone"]
AttemptError = Literal[
    "client_error", "server_error", "redirect", "gone", "timeout", "unreachable", "broken", "no_secret"
]

DELIVERY_STATUSES: Final[dict[DeliveryStatus, str]] = {
    "pending": "An attempt is under way (`inFlight`), or the next one is due at `nextAt`.",
    "delivered": "Your receiver answered with a 2xx.",
    "exhausted": "The last attempt failed, too; no more will be made unless an operator sends it again.",
    "gone": "Your receiver answered 410, or there is nothing left to send or nowhere to send it; no more will be made.",
}
ATTEMPT_ERRORS: Final[dict[AttemptError, str]] = {
    "client_error": "Your receiver answered with a 4xx other than 410.",
    "server_error": "It answered with a 5xx.",
    "redirect": "It answered with a 3xx; redirects are not followed.",
    "gone": "It answered 410, which ends the delivery.",
    "timeout": "No answer came within the time allowed.",
    "unreachable": "No connection: the name, the address or TLS failed, or the address is one that is not called.",
    "broken": "The connection broke before an answer came, or the answer was no HTTP of 200 to 599.",
    "no_secret": "Your tenant has no live webhook secret, so nothing was sent: have one created.",
}


def webhook_id(mutation_id: str) -> str:
    """The id of a callback, the same in every attempt: receivers de-duplicate by it."""
    return WEBHOOK_PREFIX + mutation_id
