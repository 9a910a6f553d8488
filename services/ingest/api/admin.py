"""For administrators: tenants, their API keys and webhook secrets. These writes answer at once: no mutations."""

import re
from typing import Any, Final

from fastapi import APIRouter
from pydantic.alias_generators import to_camel
from starlette.requests import Request
from starlette.responses import Response

from services.ingest.api import answers
from services.ingest.api.describe import OVERLAP, PUBLIC_ID, TENANT, administer
from services.ingest.api.gateway import admitted, payload_of
from services.ingest.problems import Problem
from services.ingest.schemas import TenantPayload
from shared import limits, topics
from shared.errors import DependencyUnavailable
from shared.tenant_registry import Issued

router = APIRouter(prefix="/admin/tenants", tags=["administration"])
HEX: Final = re.compile(r"[0-9a-f]{16}")
DIGITS: Final = re.compile(r"[0-9]{1,9}")


@router.get("", **administer("TenantsAnswer", "List all tenants"))
async def list_tenants(request: Request) -> Response:
    """By name."""
    gateway = await admitted(request)
    return answers.found(request, [_shown(tenant) for tenant in await gateway.registry.tenants()])


@router.post("", **administer("TenantAnswer", "Create a tenant", 201, body="TenantPayload"))
async def create_tenant(request: Request) -> Response:
    """With its topics, or while Kafka is away without them: `topics` is `pending` then, and repeating makes them."""
    gateway = await admitted(request)
    payload = await payload_of(request, gateway, TenantPayload)
    tenant, new = await gateway.registry.create_tenant(payload.name)
    try:
        await gateway.topics.ensure_tenant(payload.name)
        ready = "ready"
    except DependencyUnavailable:
        ready = "pending"
    answer = answers.created if new else answers.found
    return answer(request, _shown(tenant) | {"topics": ready})


@router.get("/{tenant}/keys", **administer("KeysAnswer", "List a tenant's keys", 200, TENANT))
async def list_keys(request: Request) -> Response:
    """By public id, live and revoked, oldest first."""
    gateway = await admitted(request)
    return answers.found(request, [_shown(key) for key in await gateway.registry.keys(_tenant(request))])


@router.post("/{tenant}/keys", **administer("KeyAnswer", "Create a key", 201, TENANT))
async def create_key(request: Request) -> Response:
    """Beside those that live. The answer is the only place where the key can be seen."""
    gateway = await admitted(request)
    return answers.created(request, _issued(await gateway.registry.create_key(_tenant(request)), "key"))


@router.delete("/{tenant}/keys/{id}", **administer(None, "Revoke a key", 204, TENANT, PUBLIC_ID))
async def revoke_key(request: Request) -> Response:
    """Within five seconds no process takes it any more. Safe to repeat."""
    gateway = await admitted(request)
    await gateway.registry.revoke_key(_tenant(request), _public_id(request))
    return answers.gone()


@router.get("/{tenant}/secrets", **administer("SecretsAnswer", "List a tenant's webhook secrets", 200, TENANT))
async def list_secrets(request: Request) -> Response:
    """By public id, live and retired, oldest first."""
    gateway = await admitted(request)
    return answers.found(request, [_shown(secret) for secret in await gateway.registry.secrets(_tenant(request))])


@router.post("/{tenant}/secrets", **administer("SecretAnswer", "Create a webhook secret", 201, TENANT))
async def create_secret(request: Request) -> Response:
    """It signs beside the others. The answer is the only place where it can be seen."""
    gateway = await admitted(request)
    return answers.created(request, _issued(await gateway.registry.create_secret(_tenant(request)), "secret"))


@router.post("/{tenant}/secrets/rotate", **administer("SecretAnswer", "Rotate webhook secrets", 201, TENANT, OVERLAP))
async def rotate_secret(request: Request) -> Response:
    """A new secret; older ones sign beside it for `overlapSeconds` and retire then."""
    gateway = await admitted(request)
    tenant, overlap = _tenant(request), _overlap(request)
    return answers.created(request, _issued(await gateway.registry.rotate_secret(tenant, overlap), "secret"))


@router.delete("/{tenant}/secrets/{id}", **administer(None, "Retire a webhook secret", 204, TENANT, PUBLIC_ID))
async def retire_secret(request: Request) -> Response:
    """It signs no more. Without any secret a tenant's callbacks wait for a new one. Safe to repeat."""
    gateway = await admitted(request)
    await gateway.registry.retire_secret(_tenant(request), _public_id(request))
    return answers.gone()


def _tenant(request: Request) -> str:
    name: str = request.path_params["tenant"]
    if not topics.TENANT_NAME.fullmatch(name):
        raise Problem("not_found", "There is no tenant with this name.")
    return name


def _public_id(request: Request) -> str:
    text: str = request.path_params["id"]
    if not HEX.fullmatch(text):
        raise Problem("not_found", "Nothing has this id; public ids are 16 hexadecimal digits.")
    return text


def _overlap(request: Request) -> int:
    sent = request.query_params.getlist("overlapSeconds")
    if not sent:
        return limits.SECRET_OVERLAP_SECONDS
    if len(sent) > 1 or not DIGITS.fullmatch(sent[0]) or int(sent[0]) > limits.SECRET_OVERLAP_MOST_SECONDS:
        most = limits.SECRET_OVERLAP_MOST_SECONDS
        raise Problem("parameter_invalid", f"overlapSeconds is one number from 0 to {most}.", field="overlapSeconds")
    return int(sent[0])


def _shown(entry: Any) -> dict[str, Any]:
    return {to_camel(name): value for name, value in entry._asdict().items()}


def _issued(issued: Issued, kind: str) -> dict[str, Any]:
    return {"id": issued.id, kind: issued.value, "createdAt": issued.created_at}
