"""The command line of whoever operates the engine, against a real database and broker."""

import asyncio
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from typer.testing import CliRunner, Result

from deploy.admin.commands import app
from shared import topics
from shared.ledger import connect
from shared.sealing import ensure_key_file
from shared.settings import EngineSettings
from shared.tenants import KeyHolder, open_tenants
from tests.stacks import Handle

LAUNCHER = Path(__file__).parents[2] / "mutation-engine"
Run = Callable[..., Result]


@pytest.fixture
def run(servers: Handle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A command line with the settings of these servers."""
    ensure_key_file(tmp_path / "secrets.key")
    monkeypatch.setenv("ENGINE_MONGODB_URI", servers["mongodb"])
    monkeypatch.setenv("ENGINE_KAFKA_BOOTSTRAP", servers["kafka"])
    monkeypatch.setenv("ENGINE_KAFKA_ACCESS_RULES", "false")
    monkeypatch.setenv("ENGINE_SECRETS_KEY_FILE", str(tmp_path / "secrets.key"))
    return lambda *words: CliRunner().invoke(app, list(words))


@pytest.fixture
def tenant(run: Run) -> str:
    name = f"t-{uuid.uuid4().hex[:12]}"
    assert run("tenants", "create", name).exit_code == 0
    return name


def holder_of(key: str) -> KeyHolder | None:
    async def look() -> KeyHolder | None:
        settings = EngineSettings()
        async with connect(settings) as client:
            return await open_tenants(client, settings).authenticate(key)

    return asyncio.run(look())


def secrets_of(tenant: str) -> list[str]:
    async def look() -> list[str]:
        settings = EngineSettings()
        async with connect(settings) as client:
            return await open_tenants(client, settings).webhook_secrets(tenant)

    return asyncio.run(look())


def topics_of(bootstrap: str) -> set[str]:
    async def look() -> set[str]:
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        await admin.start()
        try:
            return set(await admin.list_topics())
        finally:
            await admin.close()

    return asyncio.run(look())


def test_a_new_tenant_has_its_topics_and_may_be_made_again(run: Run, servers: Handle, tenant: str) -> None:
    assert {spec.name for spec in topics.tenant_topics(tenant)} <= topics_of(servers["kafka"])
    again = run("tenants", "create", tenant, "--json")
    assert again.exit_code == 0
    assert json.loads(again.stdout)["topics"] == "ready"
    assert tenant in [each["name"] for each in json.loads(run("tenants", "list", "--json").stdout)]


def test_without_kafka_the_tenant_is_made_and_the_exit_code_says_unreachable(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"t-{uuid.uuid4().hex[:12]}"
    monkeypatch.setenv("ENGINE_KAFKA_BOOTSTRAP", "127.0.0.1:9")
    result = run("tenants", "create", name)
    assert result.exit_code == 3
    assert "repeat this command" in result.stderr
    assert run("keys", "create", name).exit_code == 0


def test_a_key_works_until_it_is_revoked_and_the_list_shows_no_secret(run: Run, tenant: str) -> None:
    first, second = (run("keys", "create", tenant).stdout.strip() for _ in range(2))
    assert [holder_of(key) for key in (first, second)] == [KeyHolder(tenant)] * 2
    public_id = first.split("_")[1]
    assert run("keys", "revoke", public_id).exit_code == 0
    assert [holder_of(key) for key in (first, second)] == [None, KeyHolder(tenant)]
    for listed in (run("keys", "list", tenant), run("keys", "list", tenant, "--json")):
        assert public_id in listed.stdout
        assert first[20:] not in listed.stdout
        assert "revoked" in listed.stdout


def test_a_whole_key_is_revoked_by_its_id_and_nothing_secret_is_repeated(run: Run, tenant: str) -> None:
    key = run("keys", "create", tenant).stdout.strip()
    _, public_id, secret = key.split("_", 2)
    unknown, half = run("keys", "revoke", f"me_{'0' * 16}_{secret}"), run("keys", "revoke", secret)
    assert (unknown.exit_code, half.exit_code, holder_of(key)) == (1, 2, KeyHolder(tenant))
    done = run("keys", "revoke", key)
    assert (done.exit_code, done.stdout, holder_of(key)) == (0, f"{public_id} is revoked\n", None)
    for refused in (unknown, half):
        assert "NOTHING was revoked" in refused.stderr
    assert not [result for result in (unknown, half, done) if secret in result.output]


def test_a_secret_that_is_given_for_its_id_is_not_repeated(run: Run, tenant: str) -> None:
    secret = run("secrets", "create", tenant).stdout.strip()
    result = run("secrets", "retire", tenant, secret)
    assert result.exit_code == 1
    assert secret not in result.output


def test_an_admin_key_belongs_to_no_tenant(run: Run, tenant: str) -> None:
    key = json.loads(run("keys", "create", "--admin", "--json").stdout)
    assert holder_of(key["value"]) == KeyHolder(None)
    assert key["id"] in run("keys", "list", "--admin").stdout
    assert key["id"] not in run("keys", "list", tenant).stdout
    assert run("keys", "revoke", key["id"]).exit_code == 0
    assert holder_of(key["value"]) is None


def test_a_rotation_lets_both_secrets_sign_and_retiring_ends_one(run: Run, tenant: str) -> None:
    old = run("secrets", "create", tenant).stdout.strip()
    new = run("secrets", "rotate", tenant, "--overlap", "600").stdout.strip()
    assert secrets_of(tenant) == [old, new]
    oldest, newest = json.loads(run("secrets", "list", tenant, "--json").stdout)
    assert oldest["retiredAt"] is not None
    assert newest["retiredAt"] is None
    assert run("secrets", "retire", tenant, oldest["id"]).exit_code == 0
    assert secrets_of(tenant) == [new]
    assert run("secrets", "rotate", tenant, "--overlap", "0").exit_code == 0
    assert new not in secrets_of(tenant)


def test_what_is_not_there_and_what_is_wrong_have_exit_codes_of_their_own(run: Run, tenant: str) -> None:
    for words in (("keys", "list", "nobody"), ("keys", "revoke", "0" * 16), ("secrets", "retire", tenant, "x")):
        result = run(*words)
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.startswith("There is no ")
    both, negative = ("keys", "create", tenant, "--admin"), ("secrets", "rotate", tenant, "--overlap", "-1")
    nowhere = ("--state-dir", "/nowhere", "tenants", "list")
    for wrong in (("tenants", "create", "A.b"), ("keys", "create"), both, negative, nowhere):
        assert run(*wrong).exit_code == 2


def test_an_absent_database_is_a_sentence_and_exit_code_three(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGINE_MONGODB_URI", "mongodb://127.0.0.1:9/?serverSelectionTimeoutMS=300&timeoutMS=300")
    result = run("tenants", "list")
    assert result.exit_code == 3
    assert "mongodb is unavailable" in result.stderr


def test_the_launcher_works_from_any_folder(run: Run, tenant: str, tmp_path: Path) -> None:
    env = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    command = [str(LAUNCHER), "keys", "list", tenant, "--json"]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (0, b"[]\n"), done.stderr
