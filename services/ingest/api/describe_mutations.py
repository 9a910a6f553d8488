"""How the routes describe themselves that tell what became of a write."""

from typing import Any, Final

from services.ingest.api.describe import COMPONENTS, read
from shared.limits import WAIT_SECONDS

WAIT: Final = {
    "name": "wait", "in": "query",
    "schema": {"type": "integer", "minimum": 0, "maximum": WAIT_SECONDS, "default": 0},
    "description": "Seconds to wait for the end.",
}  # fmt: skip
PREFER: Final = {
    "name": "Prefer", "in": "header", "schema": {"type": "string", "examples": ["wait=30"]},
    "description": "The same (RFC 7240); wait counts more, and what can't be read is ignored.",
}  # fmt: skip
LAST_EVENT_ID: Final = {
    "name": "Last-Event-ID", "in": "header", "schema": {"type": "string", "pattern": "^[0-3]{0,10}$"},
    "description": "The id of the last event that came, to go on behind it.",
}  # fmt: skip


def mutation() -> dict[str, Any]:
    """The route that shows a mutation, at once or when it has ended."""
    described = read("MutationAnswer", "See what became of a write", "mutation_not_found", "over_capacity")
    applied = {"description": "The preference that was met", "schema": {"type": "string"}}
    described["responses"][200]["headers"] = {"Preference-Applied": applied}
    described["openapi_extra"]["parameters"] += [WAIT, PREFER]
    return described


def events() -> dict[str, Any]:
    """The route that streams the states of a mutation."""
    described = read("MutationAnswer", "Follow a write to its end", "mutation_not_found", "over_capacity")
    data = {"type": "string", "contentMediaType": "application/json"}
    members = {
        "id": {"type": "string"},
        "event": {"const": "state"},
        "data": data | {"contentSchema": {"$ref": COMPONENTS + "MutationState"}},
        "retry": {"type": "integer"},
    }
    stream = {"text/event-stream": {"schema": {"type": "object", "properties": members}}}
    described["responses"][200] = {"description": "An event for each state", "content": stream}
    described["responses"][204] = {"description": "It has ended, and the client knows all of it"}
    described["openapi_extra"]["parameters"].append(LAST_EVENT_ID)
    return described
