"""Who calls: the tenant comes from the key, and from nothing else."""

from dataclasses import dataclass
from typing import Protocol

from services.ingest.problems import Problem
from shared.tenants import KeyHolder


class ApiKeys(Protocol):
    """Live keys; raises DependencyUnavailable."""

    async def authenticate(self, api_key: str) -> KeyHolder | None:
        """The holder of a live key."""
        ...


@dataclass(frozen=True, slots=True)
class Caller:
    """A tenant in one of its two environments, live and sandbox."""

    tenant: str
    environment: str


def caller_of(holder: KeyHolder, sandbox: bool) -> Caller:
    """The caller with this key. Raises Problem forbidden for an admin key."""
    if holder.tenant is None:
        raise Problem("forbidden", "An admin key has no tenant: use a tenant's key here.", field="x-api-key")
    return Caller(holder.tenant, "sandbox" if sandbox else "live")


def require_admin(holder: KeyHolder) -> None:
    """Let admin keys pass. Raises Problem forbidden for a tenant's key."""
    if holder.tenant is not None:
        raise Problem("forbidden", "This needs an admin key.", field="x-api-key")


async def authenticated(keys: ApiKeys, api_key: str | None) -> KeyHolder:
    """The holder of the key in the x-api-key header. Raises Problem unauthorized."""
    holder = await keys.authenticate(api_key) if api_key else None
    if holder is None:
        raise Problem("unauthorized", field="x-api-key", headers={"WWW-Authenticate": 'ApiKey header="x-api-key"'})
    return holder
