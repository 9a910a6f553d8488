"""Tenants, their API keys and webhook secrets: the adapter over the control database.

A key is `me_<public id>_<secret>`; the database holds the secret's SHA-256 only. Webhook secrets must be readable
to sign, so they are sealed. Both are cached for three seconds a process: what is revoked ends within seconds.
"""

import base64
import hashlib
import hmac
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, Generic, TypeVar

from pymongo import ASCENDING, IndexModel

from shared.ledger import CONTROL_DATABASE, Client, Database, open_database, translated
from shared.sealing import Sealer
from shared.settings import EngineSettings
from shared.topics import TENANT_NAME

CACHE_SECONDS: Final = 3.0
CACHE_ENTRIES: Final = 10_000
API_KEY: Final = re.compile(r"me_([0-9a-f]{16})_([A-Za-z0-9_-]{43})")
SECRET_PREFIX: Final = "whsec_"  # noqa: S105  Standard Webhooks
NO_HASH: Final = "0" * 64
V = TypeVar("V")


class _Cache(Generic[V]):
    """Bounded; the oldest entry leaves first, and none outlives CACHE_SECONDS."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock, self._entries = clock, OrderedDict[str, tuple[float, V]]()

    def get(self, key: str) -> V | None:
        until, value = self._entries.get(key, (0.0, None))
        return value if until > self._clock() else None

    def put(self, key: str, value: V) -> None:
        self._entries.pop(key, None)
        self._entries[key] = (self._clock() + CACHE_SECONDS, value)
        if len(self._entries) > CACHE_ENTRIES:
            self._entries.popitem(last=False)


class Tenants:
    """Who calls, and what signs; only secrets need `sealer`. Raises DependencyUnavailable when MongoDB is away."""

    def __init__(
        self, database: Database, sealer: Sealer | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._database, self._sealer = database, sealer
        self._keys, self._secrets = _Cache[str](clock), _Cache[list[str]](clock)

    async def authenticate(self, api_key: str) -> str | None:
        """The tenant of a live key. Only right keys are cached: every wrong one costs a look-up and a comparison."""
        parts = API_KEY.fullmatch(api_key)
        if parts is None:
            return None
        digest = _digest(api_key)
        if known := self._keys.get(digest):
            return known
        async with translated():
            document = await self._database.api_keys.find_one({"_id": parts[1], "revokedAt": {"$exists": False}})
        right = hmac.compare_digest(_digest(parts[2]), document["hash"] if document else NO_HASH)
        if document is None or not right:
            return None
        self._keys.put(digest, document["tenant"])
        return str(document["tenant"])

    async def webhook_secrets(self, tenant: str) -> list[str]:
        """All live secrets as `whsec_…`, oldest first; raises SealBroken when the sealing key is another."""
        if known := self._secrets.get(tenant):
            return list(known)
        async with translated():
            query = {"tenant": tenant, "retiredAt": {"$exists": False}}
            found = [document async for document in self._database.secrets.find(query).sort("createdAt", ASCENDING)]
        live = [self._seal().open(document["sealed"], tenant).decode() for document in found]
        self._secrets.put(tenant, live)
        return list(live)

    async def create_tenant(self, name: str) -> None:
        """Safe to repeat; raises ValueError for a name that can't be part of a topic's name."""
        if not TENANT_NAME.fullmatch(name):
            raise ValueError(f"a tenant's name has 1 to 40 of a-z, 0-9 and -, not {name!r}")
        async with translated():
            await self._database.tenants.update_one(
                {"_id": name}, {"$setOnInsert": {"createdAt": datetime.now(UTC)}}, upsert=True
            )

    async def names(self) -> list[str]:
        """Every tenant."""
        async with translated():
            return [document["_id"] async for document in self._database.tenants.find({}, {"_id": 1})]

    async def create_key(self, tenant: str) -> str:
        """A new API key; the only time that it can be seen."""
        key = f"me_{secrets.token_hex(8)}_{secrets.token_urlsafe(32)}"
        await self.keep_key(tenant, key)
        return key

    async def create_secret(self, tenant: str) -> str:
        """A new webhook secret `whsec_…`; from now on it signs beside the others."""
        secret = SECRET_PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()
        await self.keep_secret(tenant, secret)
        return secret

    async def keep_key(self, tenant: str, api_key: str) -> None:
        """Enter a key that exists already; one that was revoked stays revoked."""
        parts = API_KEY.fullmatch(api_key)
        if parts is None:
            raise ValueError("not an API key")
        entry = {"tenant": tenant, "hash": _digest(parts[2]), "createdAt": datetime.now(UTC)}
        async with translated():
            await self._database.api_keys.update_one({"_id": parts[1]}, {"$setOnInsert": entry}, upsert=True)

    async def keep_secret(self, tenant: str, secret: str) -> None:
        """Enter a secret that exists already, sealed anew with the present key; one that was retired stays retired."""
        update = {
            "$set": {"tenant": tenant, "sealed": self._seal().seal(secret.encode(), tenant)},
            "$setOnInsert": {"createdAt": datetime.now(UTC)},
        }
        async with translated():
            await self._database.secrets.update_one({"_id": _digest(secret)[:16]}, update, upsert=True)

    async def create_indexes(self) -> None:
        """Safe to repeat."""
        async with translated():
            await self._database.api_keys.create_indexes([IndexModel([("tenant", ASCENDING)], name="tenant")])
            await self._database.secrets.create_indexes([IndexModel([("tenant", ASCENDING)], name="tenant")])

    def _seal(self) -> Sealer:
        if self._sealer is None:
            raise ValueError("webhook secrets need ENGINE_SECRETS_KEY_FILE")
        return self._sealer


def open_tenants(client: Client, settings: EngineSettings) -> Tenants:
    """The adapter with these settings; without ENGINE_SECRETS_KEY_FILE it can authenticate, but not sign."""
    path = settings.secrets_key_file
    return Tenants(open_database(client, CONTROL_DATABASE), Sealer.from_file(path) if path else None)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
