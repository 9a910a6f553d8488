"""Candidates: create one or several, read one, and what an update may not do."""

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from services.ingest.api import answers, describe
from services.ingest.api.gateway import checked, controls, gateway_of, path_id
from services.ingest.drafts import CANDIDATE
from services.ingest.fingerprint import CONTROL_MEMBERS
from services.ingest.problems import FieldError, Problem, invalid
from services.ingest.schemas import CANDIDATE_FILES, CandidatePayload
from services.ingest.validation import token, validated
from shared import limits
from shared.addresses import EgressPolicy

router = APIRouter(tags=["candidates"])
CONTROLS = frozenset(CONTROL_MEMBERS)


@router.post("/candidates", **describe.write("CreateCandidates", "Create one candidate, or up to ten"))
async def create(request: Request) -> Response:
    """One candidate, an array of up to 10, or {"candidates": [...]}; the 202 already carries the new ids."""
    gateway = gateway_of(request)
    caller = await gateway.caller(request)
    async with gateway.bodies.read(request) as body:
        errors: list[FieldError] = []
        steering = controls(request, body.value, gateway.policy, errors)
        payloads = await checked(body.size, _candidates, body.value, gateway.policy, errors)
        if errors:
            raise invalid(errors)
        write = steering.write(request, caller, "create", CANDIDATE, body.value)
        if _listed(body.value) is None:
            result = await gateway.intake.create(write, payloads[0])
        else:
            result = await gateway.intake.create_many(write, payloads)
    return answers.accepted(request, write.key, result)


@router.get("/candidates/{id}", **describe.read("CandidateAnswer", "Read a candidate", "record_not_found"))
async def read(request: Request) -> Response:
    """The candidate's fields, version and times."""
    gateway = gateway_of(request)
    caller = await gateway.caller(request)
    candidate = path_id(request)
    record = await gateway.reads.candidate(caller.environment, caller.tenant, candidate) if candidate else None
    if record is None:
        raise await not_found(request, candidate)
    times = {name: record.get(name) for name in ("createdAt", "updatedAt")}
    fields = record.get("fields") or {}
    return answers.found(request, fields | {"id": record["_id"], "version": record["version"]} | times)


@router.patch("/candidates/{id}", **describe.refused_update())
async def update(request: Request) -> Response:
    """Files have an endpoint of their own; other members can't be updated yet."""
    gateway = gateway_of(request)
    await gateway.caller(request)
    async with gateway.bodies.read(request) as body:
        members = body.value if isinstance(body.value, dict) else {}
        message = "Files are not updated here: use POST /candidates/{id}/attachments to add some."
        errors = [FieldError(f"/{name}", "wrong_endpoint", message) for name in CANDIDATE_FILES if name in members]
    if errors:
        raise invalid(errors)
    raise Problem("method_not_allowed", "Updates of candidates are not offered yet.", headers={"Allow": "GET"})


async def not_found(request: Request, candidate: str | None) -> Problem:
    """404, with a hint when the create is still open."""
    gateway = gateway_of(request)
    caller = await gateway.caller(request)
    open_create = candidate and await gateway.ledger.record_known(
        caller.environment, caller.tenant, CANDIDATE, candidate
    )
    hint = "It is still on its way: GET /mutations/{idempotencyKey} with the key of its create tells its state."
    return Problem("record_not_found", hint if open_create else "There is no candidate with this id.")


def _listed(body: Any) -> list[Any] | None:
    """The candidates of a request for several; None when it is for one."""
    members = body.get("candidates") if isinstance(body, dict) else body
    return members if isinstance(members, list) else None


def _candidates(body: Any, policy: EgressPolicy, errors: list[FieldError]) -> list[CandidatePayload]:
    """Every candidate of the body that is valid; the rest is in `errors`."""
    listed = _listed(body)
    if listed is None and isinstance(body, dict) and "candidates" in body:
        errors.append(FieldError("/candidates", "invalid_type", "Send an array."))
        return []
    if listed is None:
        one = validated(CandidatePayload, body, policy, errors, ignored=CONTROLS)
        return [one] if one else []
    prefix = "/candidates" if isinstance(body, dict) else ""
    if isinstance(body, dict):
        strangers = [name for name in body if name not in (*CONTROL_MEMBERS, "candidates")]
        errors += [FieldError(token(name), "unknown_field", "Remove this member.") for name in strangers[:100]]
    if not listed:
        errors.append(FieldError(prefix, "empty_request", "Send at least one candidate."))
    if len(listed) > limits.RECORDS_PER_REQUEST:
        message = f"Send at most {limits.RECORDS_PER_REQUEST} candidates in one request."
        errors.append(FieldError(prefix, "too_many_items", message))
    several = (
        validated(CandidatePayload, item, policy, errors, f"{prefix}/{n}")
        for n, item in enumerate(listed[: limits.RECORDS_PER_REQUEST])
    )
    return [one for one in several if one]
