"""Who calls, and what signs: keys and webhook secrets as the services read them from the control database.

A key is `me_<public id>_<secret>`; the database holds the secret's SHA-256 only. Webhook secrets must be readable
to sign, so they are sealed. Both are cached for three seconds a process: what is revoked ends within seconds.
"""

import hashlib
import hmac
import re
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, Generic, NamedTuple, TypeVar

from pymongo import ASCENDING

from shared.ledger import CONTROL_DATABASE, Client, Database, open_database, translated
from shared.sealing import Sealer
from shared.settings import EngineSettings

CACHE_SECONDS: Final = 3.0
CACHE_ENTRIES: Final = 10_000
API_KEY: Final = re.compile(r"me_([0-9a-f]{16})_([A-Za-z0-9_-]{43})")
NO_HASH: Final = "0" * 64
V = TypeVar("V")


class KeyHolder(NamedTuple):
    """Whose key it is: a tenant's; an admin key belongs to none."""

    tenant: str | None


class _Cache(Generic[V]):
    """Bounded; the oldest entry leaves first, and none outlives CACHE_SECONDS.

    They count from before the look-up: an answer that was long under way is as old as its question.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock, self._entries = clock, OrderedDict[str, tuple[float, V]]()

    def get(self, key: str) -> V | None:
        until, value = self._entries.get(key, (0.0, None))
        return value if until > self._clock() else None

    def now(self) -> float:
        return self._clock()

    def put(self, key: str, value: V, asked: float) -> None:
        self._entries.pop(key, None)
        self._entries[key] = (asked + CACHE_SECONDS, value)
        if len(self._entries) > CACHE_ENTRIES:
            self._entries.popitem(last=False)


class Tenants:
    """Who calls, and what signs; only secrets need `sealer`. Raises DependencyUnavailable when MongoDB is away."""

    def __init__(
        self, database: Database, sealer: Sealer | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._database, self._sealer = database, sealer
        self._keys, self._secrets = _Cache[KeyHolder](clock), _Cache[list[str]](clock)

    async def authenticate(self, api_key: str) -> KeyHolder | None:
        """The holder of a live key. Only right keys are cached: every wrong one costs a look-up and a comparison."""
        parts = API_KEY.fullmatch(api_key)
        if parts is None:
            return None
        digest = digest_of(api_key)
        if known := self._keys.get(digest):
            return known
        asked = self._keys.now()
        async with translated():
            document = await self._database.api_keys.find_one({"_id": parts[1], "revokedAt": {"$exists": False}})
        right = hmac.compare_digest(digest_of(parts[2]), document["hash"] if document else NO_HASH)
        if document is None or not right:
            return None
        holder = KeyHolder(None if document.get("admin") else document["tenant"])
        self._keys.put(digest, holder, asked)
        return holder

    async def webhook_secrets(self, tenant: str) -> list[str]:
        """All live secrets as `whsec_…`, oldest first; raises SealBroken when the sealing key is another."""
        if known := self._secrets.get(tenant):
            return list(known)
        asked = self._secrets.now()
        async with translated():
            found = await self._database.secrets.find({"tenant": tenant}).sort("createdAt", ASCENDING).to_list()
        now = datetime.now(UTC)
        sealed = [document["sealed"] for document in found if is_live(document.get("retiredAt"), now)]
        live = [self._seal().open(each, tenant).decode() for each in sealed]
        self._secrets.put(tenant, live, asked)
        return list(live)

    async def names(self) -> list[str]:
        """Every tenant."""
        async with translated():
            return [document["_id"] async for document in self._database.tenants.find({}, {"_id": 1})]

    def _seal(self) -> Sealer:
        if self._sealer is None:
            raise ValueError("webhook secrets need ENGINE_SECRETS_KEY_FILE")
        return self._sealer


def open_tenants(client: Client, settings: EngineSettings) -> Tenants:
    """The adapter with these settings; without ENGINE_SECRETS_KEY_FILE it can authenticate, but not sign."""
    path = settings.secrets_key_file
    return Tenants(open_database(client, CONTROL_DATABASE), Sealer.from_file(path) if path else None)


def is_live(retired: datetime | None, now: datetime) -> bool:
    """Whether a secret still signs: it never retires, or later."""
    return retired is None or retired > now


def digest_of(text: str) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(text.encode()).hexdigest()
