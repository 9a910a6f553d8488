"""Who may call, and what signs, against a real database."""

import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from deploy.admin.credentials import provide_tenants, read_credentials
from shared.errors import DependencyUnavailable
from shared.ledger import Database, open_client, open_database
from shared.sealing import SealBroken, Sealer
from shared.tenants import CACHE_SECONDS, Tenants
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
async def tenants(database: Database, clock: Clock) -> Tenants:
    tenants = Tenants(database, Sealer(b"k" * 32), clock)
    await tenants.create_tenant("demo")
    return tenants


async def test_a_key_names_its_tenant_and_a_wrong_secret_names_nobody(tenants: Tenants) -> None:
    key, other = await tenants.create_key("demo"), await tenants.create_key("other")
    assert await tenants.authenticate(key) == "demo"
    assert await tenants.authenticate(other) == "other"
    mixed, foreign_id = key[:20] + other[20:], f"me_{'0' * 16}{key[19:]}"
    for wrong in ("", "me_", key[:-1], key + "x", key.upper(), f" {key}", f"{key}\n", mixed, foreign_id):
        assert await tenants.authenticate(wrong) is None


async def test_the_database_holds_no_key_and_no_secret(tenants: Tenants, database: Database) -> None:
    key, secret = await tenants.create_key("demo"), await tenants.create_secret("demo")
    stored = repr(await database.api_keys.find().to_list()) + repr(await database.secrets.find().to_list())
    assert key[20:] not in stored
    assert secret.removeprefix("whsec_") not in stored


async def test_a_revoked_key_ends_within_seconds(tenants: Tenants, database: Database, clock: Clock) -> None:
    key = await tenants.create_key("demo")
    assert await tenants.authenticate(key) == "demo"
    await database.api_keys.update_one({"_id": key.split("_")[1]}, {"$set": {"revokedAt": datetime.now(UTC)}})
    assert await tenants.authenticate(key) == "demo"
    clock.now += CACHE_SECONDS
    assert await tenants.authenticate(key) is None
    await tenants.keep_key("demo", key)
    assert await tenants.authenticate(key) is None


async def test_an_unknown_key_counts_from_the_moment_it_is_created(tenants: Tenants) -> None:
    key = "me_" + "a" * 16 + "_" + "s" * 43
    assert await tenants.authenticate(key) is None
    await tenants.keep_key("demo", key)
    assert await tenants.authenticate(key) == "demo"


async def test_every_live_secret_signs_until_it_is_retired(tenants: Tenants, database: Database, clock: Clock) -> None:
    first = await tenants.create_secret("demo")
    assert await tenants.webhook_secrets("demo") == [first]
    clock.now += CACHE_SECONDS
    second = await tenants.create_secret("demo")
    assert sorted(await tenants.webhook_secrets("demo")) == sorted([first, second])
    oldest = await database.secrets.find_one({}, sort=[("createdAt", 1)])
    assert oldest is not None
    await database.secrets.update_one({"_id": oldest["_id"]}, {"$set": {"retiredAt": datetime.now(UTC)}})
    clock.now += CACHE_SECONDS
    assert len(await tenants.webhook_secrets("demo")) == 1
    assert await tenants.webhook_secrets("other") == []


async def test_secrets_do_not_open_with_another_sealing_key(tenants: Tenants, database: Database) -> None:
    await tenants.create_secret("demo")
    with pytest.raises(SealBroken):
        await Tenants(database, Sealer(b"x" * 32)).webhook_secrets("demo")


async def test_a_name_that_no_topic_could_have_is_refused(tenants: Tenants) -> None:
    for name in ("", "Demo", "a.b", "x" * 41):
        with pytest.raises(ValueError, match="tenant's name"):
            await tenants.create_tenant(name)


async def test_a_kept_credentials_file_refills_an_empty_database(
    tenants: Tenants, database: Database, clock: Clock, tmp_path: Path
) -> None:
    path = tmp_path / "credentials.json"
    first = await provide_tenants(tenants, ["demo"], path)
    await database.api_keys.delete_many({})
    await database.secrets.delete_many({})
    clock.now += CACHE_SECONDS
    assert await tenants.authenticate(first["demo"]["apiKey"]) is None
    second = await provide_tenants(tenants, ["demo", "other"], path)
    assert second["demo"] == first["demo"]
    assert read_credentials(path)["tenants"] == second
    assert path.stat().st_mode & 0o777 == 0o600
    assert await tenants.authenticate(first["demo"]["apiKey"]) == "demo"
    assert await tenants.webhook_secrets("demo") == [first["demo"]["webhookSecret"]]


async def test_an_absent_database_is_a_dependency_that_is_away() -> None:
    async with open_client("mongodb://127.0.0.1:9/", timeout_seconds=0.3) as client:
        with pytest.raises(DependencyUnavailable):
            await Tenants(open_database(client, "engine")).authenticate("me_" + "a" * 16 + "_" + "s" * 43)
