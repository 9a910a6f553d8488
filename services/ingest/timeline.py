"""The time line of a mutation, from the request to the last attempt of its callback. Pure functions of documents.

A time that nobody kept is null; no time is guessed from another one.
"""

from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from services.ingest.operator_views import in_flight, told
from shared.deliveries import ATTEMPT_ERRORS
from shared.ledger import ACCEPTED, APPLYING, BATCH, PARKED, REJECTED, TERMINAL, WAITING, Document
from shared.outbox import publish_count

DONE: Final = "done"
NOW: Final = "now"
UNKNOWN: Final = "unknown"
NOT_KEPT: Final = "Its times were not kept."
SKIPPED: Final = "There was no such step, or the time of it was not kept."


class Step(NamedTuple):
    """One step between two times, and what the operator should know of it."""

    name: str
    service: str
    began: datetime | None
    ended: datetime | None
    detail: str


def steps(document: Document, delivery: Document | None, now: datetime) -> list[dict[str, Any]]:
    """From the request to the last attempt of its callback, in order."""
    way = _way(document)
    return [_shown(step, reached) for step, reached in way] + [
        _shown(step, NOW if step.ended is None else DONE) for step in _callbacks(delivery, now)
    ]


def _way(document: Document) -> list[tuple[Step, str]]:
    every, current = _steps(document), _current(document)
    names = [step.name for step in every]
    if current is None:
        return [(step, DONE if step.began and step.ended else UNKNOWN) for step in every]
    at = names.index(current)
    before = [(step, DONE if step.began and step.ended else UNKNOWN) for step in every[:at]]
    return [*before, (every[at]._replace(ended=None), NOW)]


def _steps(document: Document) -> list[Step]:
    status, created, ended = document["status"], document["createdAt"], document.get("endedAt")
    asked = Step("request", "ingest", document.get("askedAt"), created, _request(document))
    if status == BATCH:
        return [asked]
    end = _end(document)
    if status == REJECTED:
        return [asked, Step("ended", "ingest", created, ended, end)]
    parked = document.get("parked") or {}
    times = document.get("times") or (document.get("decision") or {}).get("times") or parked.get("times") or {}
    published = times.get("published") or (document.get("published") or {}).get("at")
    taken, fetched, decided = times.get("taken"), times.get("fetched"), times.get("decided")
    way = [
        asked,
        Step("accepted", "ingest", created, published, _accepted(document)),
        Step("published", "kafka", published, taken, _published(document)),
        Step("fetched", "fetcher", taken, fetched, _fetched(document)),
    ]
    if parked:
        way.append(Step("parked", "storage", parked.get("at"), decided, "An earlier mutation of its record was open."))
    began = None if parked else fetched  # nobody keeps when a parked one's turn came: its wait is no work
    way.append(Step("decided", "storage", began, decided, "Its turn is checked, its files are judged and stored."))
    way.append(Step("ended", "storage", decided, ended, end))
    return way


def _current(document: Document) -> str | None:
    """The step that lasts; None after the end."""
    status, lane = document["status"], document.get("lane")
    if status in TERMINAL or status == BATCH:
        return None
    if status == APPLYING:
        return "ended"
    if status == ACCEPTED and lane == PARKED:
        return "parked" if document.get("parked") else "decided"
    return "accepted" if lane == WAITING else "published"


def _request(document: Document) -> str:
    record = document.get("record") or {}
    what = f"{document.get('kind') or 'command'} of a {record['type']}" if record else document.get("kind") or "command"
    if document["status"] == BATCH:
        return f"{_counted(len(document.get('members', ())), 'record')} in one request"
    return f"{what}, {_counted(len(document.get('fileIds', ())), 'file')}"


def _counted(count: int, one: str) -> str:
    return f"{count} {one}{'' if count == 1 else 's'}"


def _accepted(document: Document) -> str:
    if document.get("lane") == WAITING:
        return "It waits in the ledger for its turn to be published, or was published a moment ago."
    return "From here on it ends, whatever is killed."


def _published(document: Document) -> str:
    count = publish_count(document)
    if document["status"] in TERMINAL or document.get("lane") == PARKED:
        return f"Published {count} times, for its event was lost." if count > 1 else "It waits in the broker."
    again = f" It was published {count} times." if count > 1 else ""
    return f"It is in the broker, with the fetcher, or on its way to storage.{again}"


def _fetched(document: Document) -> str:
    urls = sum(1 for file in (document.get("files") or {}).values() if file.get("url"))
    return f"{_counted(urls, 'file')} by URL" if urls else "Nothing to download: it is passed on."


def _end(document: Document) -> str:
    if document["status"] == APPLYING:
        return "It is decided; the decision is being carried out, by whoever is there."
    error = (document.get("outcome") or {}).get("error")
    if error:
        said = told(error["code"], error["message"])
        return f"{document['status']}: {said['reason']} {said['advice']}"
    return str(document["status"])


def _callbacks(delivery: Document | None, now: datetime) -> list[Step]:
    if delivery is None:
        return []
    made = [_attempted(attempt) for attempt in delivery.get("attempts", ())]
    if delivery["status"] != "pending":
        return made
    since = made[-1].ended if made else delivery.get("createdAt")
    number, due = delivery.get("attempt", 0) + 1, delivery.get("nextAt")
    if in_flight(delivery, now) or due is None:
        detail = f"Attempt {number} is under way."
    else:
        detail = f"Attempt {number} is due at {due:%Y-%m-%dT%H:%M:%SZ}."
    return [*made, Step("callback", "notifier", since, None, detail)]


def _attempted(attempt: Document) -> Step:
    at, error = attempt["at"], attempt.get("error")
    answered = f"{attempt['status']}" if attempt.get("status") else "no answer"
    meaning = f": {ATTEMPT_ERRORS.get(error, error)}" if error else ""
    detail = f"Attempt {attempt['n']}: {answered}{meaning}"
    return Step("callback", "notifier", at, at + timedelta(milliseconds=attempt["ms"]), detail)


def _shown(step: Step, state: str) -> dict[str, Any]:
    detail = step.detail
    if state == UNKNOWN and step.name != "request":
        detail = f"{detail} {SKIPPED if step.began is None and step.ended is None else NOT_KEPT}"
    times = {"from": step.began, "to": step.ended}
    return {"name": step.name, "service": step.service, **times, "state": state, "detail": detail}
