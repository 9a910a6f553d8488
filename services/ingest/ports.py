"""What acceptance needs from outside: the ledger, the relay, the object store, and what the read side looks up."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, BinaryIO, Protocol

from shared.ledger import MutationDocument
from shared.resets import Reset
from shared.tenant_registry import Issued, Key, Secret, Tenant


class Ledger(Protocol):
    """Claims of keys and places; raises DependencyUnavailable when the fate of a claim is unknown."""

    async def claim(self, environment: str, document: MutationDocument, records: list[str]) -> MutationDocument:
        """Insert with the next sequence in each record; the document that holds the key: this one, or the winner's."""
        ...

    async def claim_array(
        self, environment: str, head: MutationDocument, members: list[MutationDocument]
    ) -> MutationDocument:
        """Insert all or none; the head that holds the key."""
        ...

    async def find(self, environment: str, tenant: str, key: str) -> MutationDocument | None:
        """The document that holds the key, without its payload."""
        ...

    async def members(self, environment: str, ids: list[str]) -> list[MutationDocument]:
        """The documents with these ids, in their order, without their payload."""
        ...

    async def record_known(self, environment: str, tenant: str, record_type: str, record_id: str) -> bool:
        """Whether the tenant has this record, not erased, or an open create of it."""
        ...

    async def record_version(self, environment: str, tenant: str, record_type: str, record_id: str) -> int | None:
        """The present version of the tenant's record, unless it was erased or is not stored yet."""
        ...


class Keeps(Protocol):
    """Temporary uploads, as far as an assign must know them; raises DependencyUnavailable."""

    async def keep(self, environment: str, tenant: str, uploads: Sequence[str], until: datetime) -> None:
        """Let none of the tenant's free uploads among these expire before this time (72 h after its upload at most)."""
        ...


class Relay(Protocol):
    """Publishes in the background; what it does not get to, it finds in the ledger later."""

    def offer(self, environment: str, document: MutationDocument) -> None:
        """Take a mutation that the ledger holds."""
        ...


class Staging(Protocol):
    """The object store, under `staging/` only."""

    async def put(self, key: str, body: bytes | BinaryIO, size: int) -> None:
        """Store these bytes, so many; a file of the operating system whole, wherever it stands."""
        ...

    async def delete(self, keys: Sequence[str]) -> None:
        """Delete what is there of these."""
        ...


class Reads(Protocol):
    """Look-ups of the read side, each within one tenant; raises DependencyUnavailable."""

    async def record(self, environment: str, tenant: str, record_type: str, record_id: str) -> dict[str, Any] | None:
        """The record's document, unless it was erased."""
        ...

    async def attachments(self, environment: str, record: str) -> list[dict[str, Any]]:
        """Live attachments that `tenant/type/id` owns, oldest first."""
        ...

    async def attachment(self, environment: str, tenant: str, attachment_id: str) -> dict[str, Any] | None:
        """One live attachment."""
        ...

    async def pending_key(self, environment: str, tenant: str, attachment_id: str) -> str | None:
        """The idempotency key of the open mutation that brings this file."""
        ...

    async def deliveries(self, environment: str, tenant: str, mutation_ids: list[str]) -> dict[str, dict[str, Any]]:
        """By mutation id: the delivery's document, with its attempts in order as `attempts`."""
        ...


class Lists(Protocol):
    """Pages of the read side, each within one tenant, newest first; raises DependencyUnavailable."""

    async def records(
        self,
        environment: str,
        tenant: str,
        record_type: str,
        before: str | None,
        most: int,
        names: Sequence[str] | None,
    ) -> list[dict[str, Any]]:
        """Records with ids smaller than `before`; of their fields those in `names`, or all."""
        ...

    async def records_by_key(
        self, environment: str, tenant: str, record_type: str, key: str, most: int
    ) -> list[dict[str, Any]]:
        """Records with this key of shared/search.py."""
        ...

    async def attachments(
        self, environment: str, tenant: str, owners: Sequence[str], kind: str | None, skip: int, most: int
    ) -> tuple[list[dict[str, Any]], int]:
        """Live attachments that all of `owners` (`tenant/type/id`) own, and how many there are."""
        ...


class Downloads(Protocol):
    """Signs downloads for the store's public endpoint."""

    async def presign_get(self, key: str, seconds: int, filename: str, content_type: str) -> str:
        """A URL that works so many seconds."""
        ...


class Resets(Protocol):
    """Requests to empty a tenant's sandbox; raises DependencyUnavailable."""

    async def request(self, tenant: str, at: datetime) -> None:
        """Ask for a reset as of this time."""
        ...

    async def latest(self, tenant: str) -> Reset | None:
        """The tenant's latest request."""
        ...


class Registry(Protocol):
    """Tenants, their keys and webhook secrets; raises NotRegistered, DependencyUnavailable, NoSealingKey."""

    async def create_tenant(self, name: str) -> tuple[Tenant, bool]:
        """The tenant, and whether it is new."""
        ...

    async def tenants(self) -> list[Tenant]:
        """All of them, by name."""
        ...

    async def create_key(self, tenant: str) -> Issued:
        """A new API key."""
        ...

    async def keys(self, tenant: str) -> list[Key]:
        """Live and revoked, oldest first."""
        ...

    async def revoke_key(self, tenant: str, key_id: str) -> None:
        """End a key."""
        ...

    async def create_secret(self, tenant: str) -> Issued:
        """A new webhook secret beside the others."""
        ...

    async def rotate_secret(self, tenant: str, overlap_seconds: float) -> Issued:
        """A new webhook secret; those before it retire after so long."""
        ...

    async def secrets(self, tenant: str) -> list[Secret]:
        """Live and retired, oldest first."""
        ...

    async def retire_secret(self, tenant: str, secret_id: str) -> None:
        """Let a secret sign no more."""
        ...


class TenantTopics(Protocol):
    """Where a tenant's topics are made."""

    async def ensure_tenant(self, tenant: str) -> None:
        """Have them exist, and the tenant's access to them; raises DependencyUnavailable."""
        ...
