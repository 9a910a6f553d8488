"""Who calls: the tenant comes from the key, and from nothing else."""

from dataclasses import dataclass
from typing import Protocol

from services.ingest.problems import Problem


class ApiKeys(Protocol):
    """Live keys; raises DependencyUnavailable."""

    async def authenticate(self, api_key: str) -> str | None:
        """The tenant of a live key."""
        ...


@dataclass(frozen=True, slots=True)
class Caller:
    """A tenant in one of its two environments, live and sandbox."""

    tenant: str
    environment: str


async def identify(keys: ApiKeys, api_key: str | None, sandbox: bool) -> Caller:
    """The caller behind the x-api-key header. Raises Problem unauthorized."""
    tenant = await keys.authenticate(api_key) if api_key else None
    if tenant is None:
        raise Problem("unauthorized", field="x-api-key", headers={"WWW-Authenticate": 'ApiKey header="x-api-key"'})
    return Caller(tenant, "sandbox" if sandbox else "live")
