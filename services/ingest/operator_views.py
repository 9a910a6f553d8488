"""What operators see of a mutation beside its time line: a row of a list, files, callbacks. Functions of documents."""

from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

from shared.deliveries import ATTEMPT_ERRORS, webhook_id
from shared.errors import explained
from shared.ledger import REJECTED, Document
from shared.outbox import publish_count

STATES: Final = {"pending": "open", "delivered": "delivered", "exhausted": "failed", "gone": "failed"}


def row(environment: str, document: Document) -> dict[str, Any]:
    """A mutation as lists show it."""
    record = (document.get("outcome") or {}).get("record") or document.get("record") or {}
    return {
        "environment": environment,
        "tenant": document["tenant"],
        "mutationId": document["_id"],
        "idempotencyKey": document.get("claimedKey") if document["status"] == REJECTED else document["key"],
        "kind": document.get("kind"),
        "type": record.get("type"),
        "recordId": record.get("id"),
        "status": document["status"],
        "acceptedAt": document["createdAt"],
        "endedAt": document.get("endedAt"),
    }


def whole(environment: str, document: Document, behind: str | None) -> dict[str, Any]:
    """A mutation with what only its own page shows; `behind` is the mutation that it waits for, if any."""
    error = (document.get("outcome") or (document.get("decision") or {}).get("outcome") or {}).get("error")
    return row(environment, document) | {
        "deadline": document.get("deadline"),
        "tries": document.get("tries", 0),
        "published": publish_count(document),
        "parkedBehind": behind,
        # The URL goes when the notifier has taken the callback over; until then nothing shows it but this.
        "callbackOwed": "callbackUrl" in document,
        "error": told(error["code"], error["message"]) if error else None,
        "errors": (error or {}).get("errors") or [],
    }


def told(code: str, message: str) -> dict[str, Any]:
    """A code in plain words; where more was said of the very case than the table's advice, that stands for them."""
    reason, advice = explained(code)
    if advice and message.lower().endswith(advice.lower()):  # at the end of a sentence, too
        case = message[: len(message) - len(advice)].rstrip(" ;.")
        message = f"{case}." if case else ""
    return {"code": code, "reason": message or reason, "advice": advice}


def files(document: Document) -> list[dict[str, Any]]:
    """Each file with where it came from, what became of it, and what to do about it."""
    outcome = document.get("outcome") or (document.get("decision") or {}).get("outcome") or {}
    ends = {file["id"]: file for file in outcome.get("attachments") or ()}
    entries = document.get("files") or {}
    return [_file(name, entries.get(name) or {}, ends.get(name)) for name in document.get("fileIds", ())]


def _file(name: str, entry: Document, end: Document | None) -> dict[str, Any]:
    error = (end or {}).get("error")
    said = told(error["code"], error["message"]) if error else {"code": None, "reason": None, "advice": None}
    return {
        "fileId": name,
        "field": (end or entry).get("field"),
        "name": (end or entry).get("filename"),
        "source": _source(entry),
        "state": end["status"] if end else "pending",
        **said,
        "bytes": (end or {}).get("size"),
        "sha256": (end or {}).get("sha256"),
    }


def _source(entry: Document) -> str | None:
    """`inline`, `upload`, `rehearsed`, or scheme and host of the URL; None: of an erased record nothing is kept."""
    if entry.get("url"):
        return origin(entry["url"])
    if "rehearsed" in entry:
        return "rehearsed"
    if entry.get("upload"):
        return "upload"
    return "inline" if "filename" in entry else None


def origin(url: str) -> str:
    """Scheme, host and port of a URL: the rest may be a secret."""
    try:
        parts = urlsplit(url)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
        return f"{parts.scheme}://{host}{f':{parts.port}' if parts.port else ''}"
    except ValueError:
        return ""


def in_flight(delivery: Document, now: datetime) -> bool:
    """Whether a notifier has an attempt of it in hand."""
    leased_until = delivery.get("leaseUntil")
    return leased_until is not None and leased_until > now


def delivery(found: Document, now: datetime) -> dict[str, Any]:
    """A callback: to whom, how it stands, and every attempt with what was answered."""
    url = found.get("url")
    waits = found["status"] == "pending" and not in_flight(found, now)
    return {
        "webhookId": webhook_id(found["_id"]),
        "receiver": (origin(url).partition("://")[2] if url else found.get("host")) or None,
        "state": STATES[found["status"]],
        "status": found["status"],
        "nextAttemptAt": found.get("nextAt") if waits else None,
        "createdAt": found.get("createdAt"),
        "endedAt": found.get("endedAt"),
        "resendable": found["status"] in ("pending", "exhausted") and bool(url),
        "attempts": [
            {
                "at": attempt["at"], "ms": attempt["ms"], "status": attempt["status"], "error": attempt.get("error"),
                "meaning": ATTEMPT_ERRORS.get(attempt["error"]) if attempt.get("error") else None,
                "excerpt": attempt.get("answer") or "",
            }
            for attempt in found.get("attempts", ())
        ],
    }  # fmt: skip
