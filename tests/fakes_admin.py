"""In-memory ports of the administration: a registry of tenants, and where their topics are made."""

from datetime import UTC, datetime, timedelta

from shared.errors import DependencyUnavailable
from shared.tenant_registry import Issued, Key, NotRegistered, Secret, Tenant
from shared.topics import tenant_topics

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


class InMemoryRegistry:
    """Tenants, keys and secrets in dictionaries; ids count upwards."""

    def __init__(self) -> None:
        self.names: dict[str, Tenant] = {}
        self.of_keys: dict[str, dict[str, Key]] = {}
        self.of_secrets: dict[str, dict[str, Secret]] = {}
        self._issued = 0

    async def create_tenant(self, name: str) -> tuple[Tenant, bool]:
        new = name not in self.names
        self.of_keys.setdefault(name, {})
        self.of_secrets.setdefault(name, {})
        return self.names.setdefault(name, Tenant(name, NOW)), new

    async def tenants(self) -> list[Tenant]:
        return [self.names[name] for name in sorted(self.names)]

    async def create_key(self, tenant: str) -> Issued:
        issued = self._issue(tenant, "me_")
        self.of_keys[tenant][issued.id] = Key(issued.id, NOW, None)
        return issued

    async def keys(self, tenant: str) -> list[Key]:
        self._known(tenant)
        return list(self.of_keys[tenant].values())

    async def revoke_key(self, tenant: str, key_id: str) -> None:
        keys = self.of_keys.get(tenant, {})
        if key_id not in keys:
            raise NotRegistered("There is no such key.")
        keys[key_id] = keys[key_id]._replace(revoked_at=NOW)

    async def create_secret(self, tenant: str) -> Issued:
        issued = self._issue(tenant, "whsec_")
        self.of_secrets[tenant][issued.id] = Secret(issued.id, NOW, None)
        return issued

    async def rotate_secret(self, tenant: str, overlap_seconds: float) -> Issued:
        issued = await self.create_secret(tenant)
        secrets = self.of_secrets[tenant]
        until = NOW + timedelta(seconds=overlap_seconds)
        secrets |= {one: old._replace(retired_at=until) for one, old in secrets.items() if one != issued.id}
        return issued

    async def secrets(self, tenant: str) -> list[Secret]:
        self._known(tenant)
        return list(self.of_secrets[tenant].values())

    async def retire_secret(self, tenant: str, secret_id: str) -> None:
        secrets = self.of_secrets.get(tenant, {})
        if secret_id not in secrets:
            raise NotRegistered("There is no such secret.")
        secrets[secret_id] = secrets[secret_id]._replace(retired_at=NOW)

    def _issue(self, tenant: str, prefix: str) -> Issued:
        self._known(tenant)
        self._issued += 1
        return Issued(f"{self._issued:016x}", f"{prefix}{self._issued}", NOW)

    def _known(self, tenant: str) -> None:
        if tenant not in self.names:
            raise NotRegistered(f"There is no tenant {tenant!r}.")


class InMemoryTopics:
    """The names of topics that were made."""

    def __init__(self) -> None:
        self.made: set[str] = set()
        self.away = False

    async def ensure_tenant(self, tenant: str) -> None:
        if self.away:
            raise DependencyUnavailable("kafka")
        self.made |= {spec.name for spec in tenant_topics(tenant)}
