"""Tenants, their keys and webhook secrets as an administrator sees them: create, list, revoke, rotate, retire."""

import base64
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from pymongo import ASCENDING, IndexModel

from shared.ledger import CONTROL_DATABASE, Client, Database, open_database, translated
from shared.sealing import SealBroken, Sealer
from shared.settings import EngineSettings
from shared.tenants import API_KEY, digest_of
from shared.topics import TENANT_NAME

SECRET_PREFIX: Final = "whsec_"  # noqa: S105  Standard Webhooks


class NotRegistered(Exception):
    """There is no such tenant, key or secret; says so in a sentence."""


class NoSealingKey(Exception):
    """This process can't seal secrets: it runs without ENGINE_SECRETS_KEY_FILE."""


class Tenant(NamedTuple):
    """A tenant by its name, which is part of its topics' names."""

    name: str
    created_at: datetime


class Key(NamedTuple):
    """An API key by its public id; live while `revoked_at` is None."""

    id: str
    created_at: datetime
    revoked_at: datetime | None


class Secret(NamedTuple):
    """A webhook secret by its public id; it signs until `retired_at`."""

    id: str
    created_at: datetime
    retired_at: datetime | None


class Issued(NamedTuple):
    """A new key or secret: the only time that `value` can be seen."""

    id: str
    value: str
    created_at: datetime


class TenantRegistry:
    """The control database for administrators; `sealer` is for secrets. Raises DependencyUnavailable, NotRegistered.

    Where a method takes `tenant: str | None`, None stands for the admin keys, which belong to no tenant.
    """

    def __init__(self, database: Database, sealer: Sealer | None = None) -> None:
        self._database, self._sealer = database, sealer

    async def create_tenant(self, name: str) -> tuple[Tenant, bool]:
        """The tenant, and whether it is new; safe to repeat. Raises ValueError for a name that no topic could have."""
        if not TENANT_NAME.fullmatch(name):
            raise ValueError(f"a tenant's name has 1 to 40 of a-z, 0-9 and -, not {name!r}")
        async with translated():
            result = await self._database.tenants.update_one(
                {"_id": name}, {"$setOnInsert": {"createdAt": _now()}}, upsert=True
            )
        return await self._tenant(name), result.upserted_id is not None

    async def tenants(self) -> list[Tenant]:
        """All of them, by name."""
        async with translated():
            found = await self._database.tenants.find().sort("_id", ASCENDING).to_list()
        return [Tenant(document["_id"], document["createdAt"]) for document in found]

    async def create_key(self, tenant: str | None) -> Issued:
        """A new API key beside those that live."""
        if tenant is not None:
            await self._tenant(tenant)
        key = f"me_{secrets.token_hex(8)}_{secrets.token_urlsafe(32)}"
        return await self.keep_key(tenant, key)

    async def keep_key(self, tenant: str | None, api_key: str) -> Issued:
        """Enter a key that exists already; one that was revoked stays revoked."""
        parts = API_KEY.fullmatch(api_key)
        if parts is None:
            raise ValueError("not an API key")
        entry = _of(tenant) | {"hash": digest_of(parts[2]), "createdAt": _now()}
        async with translated():
            await self._database.api_keys.update_one({"_id": parts[1]}, {"$setOnInsert": entry}, upsert=True)
        return Issued(parts[1], api_key, entry["createdAt"])

    async def keys(self, tenant: str | None) -> list[Key]:
        """Live and revoked, oldest first."""
        if tenant is not None:
            await self._tenant(tenant)
        async with translated():
            found = await self._database.api_keys.find(_of(tenant)).sort("createdAt", ASCENDING).to_list()
        return [Key(document["_id"], document["createdAt"], document.get("revokedAt")) for document in found]

    async def key_holder(self, key_id: str) -> str | None:
        """Whose key has this public id; None: it is an admin key."""
        async with translated():
            document = await self._database.api_keys.find_one({"_id": key_id})
        if document is None:
            raise NotRegistered(f"There is no key {key_id!r}.")
        return document.get("tenant")

    async def revoke_key(self, tenant: str | None, key_id: str) -> None:
        """End a key: no process takes it any more within seconds. Safe to repeat."""
        mine = {"_id": key_id} | _of(tenant)
        async with translated():
            result = await self._database.api_keys.update_one(mine, {"$min": {"revokedAt": _now()}})
        if not result.matched_count:
            raise NotRegistered(f"There is no key {key_id!r} of {tenant or 'administrators'}.")

    async def create_secret(self, tenant: str) -> Issued:
        """A new webhook secret; from now on it signs beside the others. Raises NoSealingKey."""
        await self._tenant(tenant)
        return await self.keep_secret(tenant, SECRET_PREFIX + base64.b64encode(secrets.token_bytes(32)).decode())

    async def keep_secret(self, tenant: str, secret: str) -> Issued:
        """Enter a secret that exists already, sealed anew with the present key; one that was retired stays retired."""
        if self._sealer is None:
            raise NoSealingKey("webhook secrets need ENGINE_SECRETS_KEY_FILE")
        identity, now = digest_of(secret)[:16], _now()
        update = {
            "$set": {"tenant": tenant, "sealed": self._sealer.seal(secret.encode(), tenant)},
            "$setOnInsert": {"createdAt": now},
        }
        async with translated():
            await self._database.secrets.update_one({"_id": identity}, update, upsert=True)
        return Issued(identity, secret, now)

    async def rotate_secret(self, tenant: str, overlap_seconds: float) -> Issued:
        """A new secret; those before it sign beside it for so long, and retire then. Raises NoSealingKey.

        A kill in between leaves one secret more that signs, which nobody knows: rotate again. Only what was created
        before the new one retires, so that of two rotations at once one secret stays.
        """
        issued = await self.create_secret(tenant)
        older = {"tenant": tenant, "createdAt": {"$lt": issued.created_at}}
        until = issued.created_at + timedelta(seconds=overlap_seconds)
        async with translated():
            await self._database.secrets.update_many(older, {"$min": {"retiredAt": until}})
        return issued

    async def reseal(self, old: Sealer) -> int:
        """Seal with the present key what was sealed with the old one; how many. Raises NoSealingKey.

        Safe to repeat: a kill in between leaves some of each, and those of the present key stay as they are. Raises
        SealBroken for one that neither key opens, when all others are done.
        """
        if self._sealer is None:
            raise NoSealingKey("webhook secrets need ENGINE_SECRETS_KEY_FILE")
        done, broken = 0, None
        async with translated():
            for document in await self._database.secrets.find().to_list():
                try:
                    sealed = _resealed(document["sealed"], document["tenant"], old, self._sealer)
                except SealBroken as error:
                    broken = error
                    continue
                if sealed:  # only what is still as it was read: a rotation at the same time stands
                    mine = {"_id": document["_id"], "sealed": document["sealed"]}
                    result = await self._database.secrets.update_one(mine, {"$set": {"sealed": sealed}})
                    done += result.modified_count
        if broken:
            raise broken
        return done

    async def secrets(self, tenant: str) -> list[Secret]:
        """Live and retired, oldest first."""
        await self._tenant(tenant)
        async with translated():
            found = await self._database.secrets.find({"tenant": tenant}).sort("createdAt", ASCENDING).to_list()
        return [Secret(document["_id"], document["createdAt"], document.get("retiredAt")) for document in found]

    async def retire_secret(self, tenant: str, secret_id: str) -> None:
        """Let a secret sign no more, within seconds; a tenant without one gets no callbacks. Safe to repeat."""
        mine = {"_id": secret_id, "tenant": tenant}
        async with translated():
            result = await self._database.secrets.update_one(mine, {"$min": {"retiredAt": _now()}})
        if not result.matched_count:
            raise NotRegistered(f"There is no secret with this public id of {tenant}.")

    async def create_indexes(self) -> None:
        """Safe to repeat."""
        async with translated():
            await self._database.api_keys.create_indexes([IndexModel([("tenant", ASCENDING)], name="tenant")])
            await self._database.secrets.create_indexes([IndexModel([("tenant", ASCENDING)], name="tenant")])

    async def _tenant(self, name: str) -> Tenant:
        async with translated():
            document = await self._database.tenants.find_one({"_id": name})
        if document is None:
            raise NotRegistered(f"There is no tenant {name!r}.")
        return Tenant(name, document["createdAt"])


def open_registry(client: Client, settings: EngineSettings) -> TenantRegistry:
    """The registry with these settings; without ENGINE_SECRETS_KEY_FILE it makes no secrets."""
    path = settings.secrets_key_file
    return TenantRegistry(open_database(client, CONTROL_DATABASE), Sealer.from_file(path) if path else None)


def _resealed(sealed: bytes, tenant: str, old: Sealer, new: Sealer) -> bytes | None:
    """None: it is sealed with the new one already. Raises SealBroken."""
    try:
        new.open(sealed, tenant)
    except SealBroken:
        return new.seal(old.open(sealed, tenant), tenant)
    return None


def _of(tenant: str | None) -> dict[str, Any]:
    return {"admin": True} if tenant is None else {"tenant": tenant}


def _now() -> datetime:
    """With the precision that the database keeps."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)
