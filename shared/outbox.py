"""The events that a ledger document stands for: whoever finds one missing can publish it again from here."""

from typing import Final

from shared.events import Environment, MutationAccepted, MutationCompleted, Place, UrlSource
from shared.ledger import Document

# What of a document an `accepted` or `completed` event needs: never the inline payload.
PROJECTION: Final = dict.fromkeys(
    "tenant kind places status parked published deadline traceparent outcome callbackUrl owed endedAt".split(), 1
) | {"files": 1}


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
        kind=document["kind"],
        places=tuple(Place(**place) for place in document["places"]),
        outcome=document["outcome"],
        callback=bool(document.get("callbackUrl")),
    )
