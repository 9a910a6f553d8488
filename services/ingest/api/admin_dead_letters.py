"""For operators: records that could not be worked off, by reason; and replaying them."""

from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from services.ingest.api import answers, audit, parameters
from services.ingest.api.describe import administer, parameter
from services.ingest.api.gateway import admitted, payload_of
from services.ingest.letters import Chosen, Replayed, target_of
from services.ingest.operator_payloads import ReplayPayload
from services.ingest.problems import Problem
from shared import limits

router = APIRouter(prefix="/admin/dead-letters", tags=["administration"])
SHOWN: Final = 50
TOPIC: Final = {
    "name": "topic", "in": "path", "required": True, "schema": {"type": "string"},
    "description": "A dead-letter topic, such as mutations.accepted.dlq.",
}  # fmt: skip
REASON: Final = parameter("reason", "With exactly this reason.")
LIMIT: Final = parameter("limit", "So many.", type="integer", minimum=1, maximum=limits.PAGE_SIZE, default=SHOWN)


@router.get("", **administer("LetterTopicsAnswer", "See which topics have dead letters"))
async def list_topics(request: Request) -> Response:
    """By reason, the most frequent first. `read`: how many of `total` were looked at, the newest."""
    gateway = await admitted(request)
    return answers.found(request, {"topics": await gateway.oversight.letters.topics()})


@router.get("/{topic}", **administer("LettersAnswer", "List dead letters", 200, TOPIC, REASON, LIMIT))
async def list_letters(request: Request) -> Response:
    """The newest first, each with the beginning of its bytes; among the newest 10,000 of the topic."""
    gateway = await admitted(request)
    reason, most = parameters.text(request, "reason"), parameters.number(request, "limit", SHOWN, limits.PAGE_SIZE)
    found = await gateway.oversight.letters.letters(request.path_params["topic"], reason, most)
    if found is None:
        raise _unknown()
    return answers.found(request, {"letters": found})


@router.post("/{topic}/replay", **administer("ReplayAnswer", "Replay dead letters", 200, TOPIC, body="ReplayPayload"))
async def replay(request: Request) -> Response:
    """Key, bytes and own headers as they were, to the topic they came from. Safe to repeat: effects are idempotent.

    The letters stay where they are; what can't be worked off this time either becomes another letter. Letters of one
    record are replayed as one. An answer looks at 10,000 letters at most, the oldest first, ten seconds long: to go on,
    send its `next` as `parts`.
    """
    gateway = await admitted(request)
    payload = await payload_of(request, gateway, ReplayPayload)
    places = {(one[0], one[1]) for one in payload.offsets} if payload.offsets is not None else None
    parts = [(one[0], one[1], one[2]) for one in payload.parts] if payload.parts is not None else None
    chosen = Chosen(payload.reason, places, parts)
    topic, done = request.path_params["topic"], Replayed()
    wanted = {"reason": payload.reason, "offsets": len(payload.offsets or ()), "parts": len(parts or ())}
    broke_off = True
    try:
        known = await gateway.oversight.letters.replay(topic, chosen, payload.dry_run, done)
        broke_off = False
    finally:  # also where the broker went away or a bug of ours was met: what went out, went out
        if not payload.dry_run and (broke_off or known):
            audit.replayed(request, topic, wanted, done.letters, broke_off)
    if not known:
        raise _unknown()
    counted = {"count": done.letters, "dryRun": payload.dry_run, "target": target_of(topic)}
    return answers.found(request, counted | {"complete": not done.left, "next": done.left})


def _unknown() -> Problem:
    return Problem("not_found", "There is no such dead-letter topic; GET /admin/dead-letters lists those with letters.")
