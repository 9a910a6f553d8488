"""Who may call, and what signs, against a real database."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deploy.admin.credentials import provide_admin, provide_tenants, read_credentials
from shared.errors import DependencyUnavailable
from shared.ledger import Database, open_client, open_database
from shared.sealing import SealBroken, Sealer
from shared.tenant_registry import NotRegistered, TenantRegistry
from shared.tenants import CACHE_SECONDS, KeyHolder, Tenants
from tests.stacks import Handle


class Clock:
    """A clock that moves when told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def database(servers: Handle) -> AsyncIterator[Database]:
    async with open_client(servers["mongodb"]) as client:
        name = f"tenants_{uuid.uuid4().hex}"
        yield open_database(client, name)
        await client.drop_database(name)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tenants(database: Database, clock: Clock) -> Tenants:
    return Tenants(database, Sealer(b"k" * 32), clock)


@pytest.fixture
async def registry(database: Database) -> TenantRegistry:
    registry = TenantRegistry(database, Sealer(b"k" * 32))
    for name in ("demo", "other"):
        await registry.create_tenant(name)
    return registry


async def test_a_key_names_its_tenant_and_a_wrong_secret_names_nobody(
    tenants: Tenants, registry: TenantRegistry
) -> None:
    key, other = (await registry.create_key("demo")).value, (await registry.create_key("other")).value
    assert await tenants.authenticate(key) == KeyHolder("demo")
    assert await tenants.authenticate(other) == KeyHolder("other")
    mixed, foreign_id = key[:20] + other[20:], f"me_{'0' * 16}{key[19:]}"
    for wrong in ("", "me_", key[:-1], key + "x", key.upper(), f" {key}", f"{key}\n", mixed, foreign_id):
        assert await tenants.authenticate(wrong) is None


async def test_an_admin_key_has_no_tenant(tenants: Tenants, registry: TenantRegistry) -> None:
    issued = await registry.create_key(None)
    assert await tenants.authenticate(issued.value) == KeyHolder(None)
    assert await registry.key_holder(issued.id) is None
    assert [key.id for key in await registry.keys(None)] == [issued.id]
    assert await registry.keys("demo") == []


async def test_the_database_holds_no_key_and_no_secret(registry: TenantRegistry, database: Database) -> None:
    key, secret = await registry.create_key("demo"), await registry.create_secret("demo")
    stored = repr(await database.api_keys.find().to_list()) + repr(await database.secrets.find().to_list())
    assert key.id in stored
    assert key.value[20:] not in stored
    assert secret.value.removeprefix("whsec_") not in stored


async def test_a_revoked_key_ends_within_five_seconds_in_every_process(
    tenants: Tenants, registry: TenantRegistry, database: Database, clock: Clock
) -> None:
    revoked, kept = await registry.create_key("demo"), await registry.create_key("demo")
    processes = [tenants, Tenants(database, None, clock)]
    for process in processes:
        assert await process.authenticate(revoked.value) == KeyHolder("demo")
    await registry.revoke_key("demo", revoked.id)
    assert CACHE_SECONDS + 1.5 < 5  # what was read before the end, in the gateway's time-out, and cached then
    clock.now += CACHE_SECONDS
    for process in processes:
        assert await process.authenticate(revoked.value) is None
        assert await process.authenticate(kept.value) == KeyHolder("demo")
    await registry.keep_key("demo", revoked.value)
    assert await tenants.authenticate(revoked.value) is None


async def test_the_first_end_of_a_key_counts_and_a_strangers_id_is_none_of_ours(registry: TenantRegistry) -> None:
    key = await registry.create_key("demo")
    for stranger in ("other", None):
        with pytest.raises(NotRegistered):
            await registry.revoke_key(stranger, key.id)
    assert [each.revoked_at for each in await registry.keys("demo")] == [None]
    await registry.revoke_key("demo", key.id)
    first = await registry.keys("demo")
    await registry.revoke_key("demo", key.id)
    assert await registry.keys("demo") == first
    assert first[0].revoked_at is not None


async def test_an_unknown_key_counts_from_the_moment_it_is_created(tenants: Tenants, registry: TenantRegistry) -> None:
    key = "me_" + "a" * 16 + "_" + "s" * 43
    assert await tenants.authenticate(key) is None
    await registry.keep_key("demo", key)
    assert await tenants.authenticate(key) == KeyHolder("demo")


async def test_every_live_secret_signs_until_it_is_retired(
    tenants: Tenants, registry: TenantRegistry, clock: Clock
) -> None:
    first = await registry.create_secret("demo")
    assert await tenants.webhook_secrets("demo") == [first.value]
    clock.now += CACHE_SECONDS
    second = await registry.create_secret("demo")
    assert sorted(await tenants.webhook_secrets("demo")) == sorted([first.value, second.value])
    with pytest.raises(NotRegistered):
        await registry.retire_secret("other", first.id)
    await registry.retire_secret("demo", first.id)
    clock.now += CACHE_SECONDS
    assert await tenants.webhook_secrets("demo") == [second.value]
    assert await tenants.webhook_secrets("other") == []


async def test_after_a_rotation_both_secrets_sign_until_the_overlap_is_over(
    tenants: Tenants, registry: TenantRegistry, database: Database, clock: Clock
) -> None:
    oldest = await registry.create_secret("demo")
    await registry.retire_secret("demo", oldest.id)
    old, stranger = await registry.create_secret("demo"), await registry.create_secret("other")
    await asyncio.sleep(0.002)  # so that the new one is younger: times have milliseconds
    new = await registry.rotate_secret("demo", 3600)
    assert await tenants.webhook_secrets("demo") == [old.value, new.value]
    listed = {secret.id: secret.retired_at for secret in await registry.secrets("demo")}
    assert listed[old.id] == new.created_at + timedelta(seconds=3600)
    assert listed[new.id] is None
    over = {"$set": {"retiredAt": datetime.now(UTC) - timedelta(milliseconds=1)}}
    await database.secrets.update_one({"_id": old.id}, over)
    clock.now += CACHE_SECONDS
    assert await tenants.webhook_secrets("demo") == [new.value]
    assert await tenants.webhook_secrets("other") == [stranger.value]


async def test_rotations_at_once_leave_one_secret_that_stays(registry: TenantRegistry) -> None:
    await asyncio.gather(*(registry.rotate_secret("demo", 0) for _ in range(5)))
    assert [secret for secret in await registry.secrets("demo") if secret.retired_at is None]


async def test_secrets_do_not_open_with_another_sealing_key(registry: TenantRegistry, database: Database) -> None:
    await registry.create_secret("demo")
    with pytest.raises(SealBroken):
        await Tenants(database, Sealer(b"x" * 32)).webhook_secrets("demo")


async def test_secrets_are_sealed_anew_once_and_one_that_no_key_opens_keeps_none_of_the_others_back(
    registry: TenantRegistry, database: Database
) -> None:
    values = [(await registry.create_secret(tenant)).value for tenant in ("demo", "other")]
    lost = Sealer(b"l" * 32).seal(b"whsec_lost", "demo")
    await database.secrets.insert_one({"_id": "-", "tenant": "demo", "sealed": lost, "createdAt": datetime.now(UTC)})
    fresh = TenantRegistry(database, Sealer(b"n" * 32))
    with pytest.raises(SealBroken):
        await fresh.reseal(Sealer(b"k" * 32))
    await database.secrets.delete_one({"_id": "-"})
    readers = Tenants(database, Sealer(b"n" * 32))
    assert [await readers.webhook_secrets("demo"), await readers.webhook_secrets("other")] == [[one] for one in values]
    assert await fresh.reseal(Sealer(b"k" * 32)) == 0


async def test_a_name_that_no_topic_could_have_is_refused(registry: TenantRegistry) -> None:
    for name in ("", "Demo", "a.b", "x" * 41, "demo\n"):
        with pytest.raises(ValueError, match="tenant's name"):
            await registry.create_tenant(name)


async def test_a_tenant_is_made_once_and_without_it_there_is_neither_key_nor_secret(registry: TenantRegistry) -> None:
    tenant, new = await registry.create_tenant("acme")
    assert (tenant.name, new) == ("acme", True)
    assert await registry.create_tenant("acme") == (tenant, False)
    assert [each.name for each in await registry.tenants()] == ["acme", "demo", "other"]
    for attempt in (registry.create_key, registry.create_secret, registry.keys, registry.secrets):
        with pytest.raises(NotRegistered):
            await attempt("nobody")


async def test_a_kept_credentials_file_refills_an_empty_database(
    tenants: Tenants, registry: TenantRegistry, database: Database, clock: Clock, tmp_path: Path
) -> None:
    path = tmp_path / "credentials.json"
    first = await provide_tenants(registry, ["demo"], path)
    await provide_admin(registry, path)
    admin = read_credentials(path)["admin"]["apiKey"]
    await database.api_keys.delete_many({})
    await database.secrets.delete_many({})
    clock.now += CACHE_SECONDS
    assert await tenants.authenticate(first["demo"]["apiKey"]) is None
    second = await provide_tenants(registry, ["demo", "other"], path)
    await provide_admin(registry, path)
    assert second["demo"] == first["demo"]
    assert read_credentials(path) == {"tenants": second, "admin": {"apiKey": admin}}
    assert path.stat().st_mode & 0o777 == 0o600
    assert await tenants.authenticate(first["demo"]["apiKey"]) == KeyHolder("demo")
    assert await tenants.authenticate(admin) == KeyHolder(None)
    assert await tenants.webhook_secrets("demo") == [first["demo"]["webhookSecret"]]


async def test_an_absent_database_is_a_dependency_that_is_away() -> None:
    async with open_client("mongodb://127.0.0.1:9/", timeout_seconds=0.3) as client:
        with pytest.raises(DependencyUnavailable):
            await Tenants(open_database(client, "engine")).authenticate("me_" + "a" * 16 + "_" + "s" * 43)
