"""Emptying the sandbox on demand. The path is fixed: it says `/sandbox` with and without the header."""

from datetime import UTC, datetime
from typing import Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from services.ingest.api import answers, describe
from services.ingest.api.gateway import gateway_of
from shared.resets import Reset

router = APIRouter(tags=["sandbox"])
PATH: Final = "/sandbox/reset"
NEVER: Final = {"requestedAt": None, "completedAt": None}


@router.post(PATH, **describe.reset("Empty the sandbox", 202))
async def reset(request: Request) -> Response:
    """Everything that was accepted in the caller's sandbox before `requestedAt` goes; what comes later stays."""
    gateway = gateway_of(request)
    caller = await gateway.caller(request)
    now = datetime.now(UTC)
    kept = now.replace(microsecond=now.microsecond // 1000 * 1000)  # what MongoDB keeps of it
    asked = Reset(requestedAt=kept, completedAt=None)
    await gateway.resets.request(caller.tenant, asked["requestedAt"])
    return answers.acknowledged(request, "The sandbox is going to be emptied.", dict(asked))


@router.get(PATH, **describe.reset("See how far the latest reset is", 200))
async def latest(request: Request) -> Response:
    """`completedAt` is null while it is under way; both are null when there never was one."""
    gateway = gateway_of(request)
    caller = await gateway.caller(request)
    return answers.found(request, await gateway.resets.latest(caller.tenant) or NEVER)
