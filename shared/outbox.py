"""The events that a ledger document stands for: whoever finds one missing can publish it again from here."""

from typing import Final

from shared.events import Environment, MutationAccepted, MutationCompleted, Place, UrlSource
from shared.ledger import Document

FIRST_PAUSE_SECONDS: Final = 5
LONGEST_PAUSE_SECONDS: Final = 300

# What of a document an event needs besides its URL sources: never the inline payload.
EVENT_MEMBERS: Final = ("tenant", "kind", "places", "deadline", "traceparent", "outcome", "callbackUrl", "owed")
STATE_MEMBERS: Final = ("status", "lane", "parked", "published", "announced", "createdAt", "endedAt")
PROJECTION: Final = dict.fromkeys(EVENT_MEMBERS + STATE_MEMBERS, 1)


def accepted_event(environment: Environment, document: Document) -> MutationAccepted:
    """The event that sets a mutation on its way."""
    files = document.get("files") or {}
    return MutationAccepted(
        mutation_id=document["_id"],
        tenant=document["tenant"],
        environment=environment,
        kind=document["kind"],
        places=tuple(Place(**place) for place in document["places"]),
        sources={name: UrlSource(url=file["url"]) for name, file in files.items() if file.get("url")},
        deadline=document["deadline"],
    )


def completed_event(environment: Environment, document: Document) -> MutationCompleted:
    """The event that announces the outcome of an ended mutation."""
    return MutationCompleted(
        mutation_id=document["_id"],
        tenant=document["tenant"],
        environment=environment,
        kind=document.get("kind"),
        places=tuple(Place(**place) for place in document.get("places", ())),
        outcome=document["outcome"],
        callback=bool(document.get("callbackUrl")),
    )


def republish_pause(count: int) -> float:
    """Seconds before the next publish of what was published `count` times: doubling from 5 s to 5 min."""
    return float(min(FIRST_PAUSE_SECONDS * 2 ** max(count - 1, 0), LONGEST_PAUSE_SECONDS))


def publish_count(document: Document) -> int:
    """How often a mutation's `accepted` event is known to have been published."""
    return int((document.get("published") or {}).get("count", 0))
