"""`mutation-engine doctor` on real servers: each broken set-up is named with what to do, the healthy one is not."""

import asyncio
import json
import os
import re
import shutil
import socket
import threading
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from pymongo import MongoClient
from typer.testing import CliRunner, Result

from deploy.admin.commands import app
from shared import ledger, topics
from tests.stacks import Handle

pytestmark = pytest.mark.broker
Environment = dict[str, str]
Finding = dict[str, str]
Broken = Callable[["SetUp"], Environment]  # breaks one thing; the variables that change


class SetUp:
    """A healthy installation on these servers with a tenant of its own; `key_file` seals the tenant's secret."""

    def __init__(self, servers: Handle, folder: Path, tenant: str) -> None:
        self.servers, self.folder, self.tenant, self.key_file = servers, folder, tenant, folder / "secrets.key"
        self.environment: Environment = {
            "ENGINE_KAFKA_BOOTSTRAP": servers["kafka"],
            "ENGINE_KAFKA_ACCESS_RULES": "false",
            "ENGINE_MONGODB_URI": servers["mongodb"],
            "ENGINE_S3_ENDPOINT": servers["s3"]["endpoint"],
            "ENGINE_S3_BUCKET": servers["s3"]["bucket"],
            "ENGINE_S3_ACCESS_KEY": servers["s3"]["accessKey"],
            "ENGINE_S3_SECRET_KEY": servers["s3"]["secretKey"],
            "ENGINE_SECRETS_KEY_FILE": str(self.key_file),
        }


@pytest.fixture
def set_up(servers: Handle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SetUp:
    for name in [name for name in os.environ if name.startswith("ENGINE_")]:
        monkeypatch.delenv(name)
    made = SetUp(servers, tmp_path, f"t-{uuid.uuid4().hex[:12]}")
    made.key_file.write_bytes(b"a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2U=\n")
    made.key_file.chmod(0o600)
    for words in (("tenants", "create", made.tenant), ("secrets", "create", made.tenant)):
        result = run(made.environment, *words)
        assert result.exit_code == 0, result.output
    return made


def run(environment: Environment, *words: str) -> Result:
    return CliRunner(env=environment).invoke(app, list(words))


def doctor(set_up: SetUp, environment: Environment, tenant: str = "") -> tuple[int, list[Finding]]:
    result = run(environment, "doctor", "--tenant", tenant or set_up.tenant, "--json")
    assert result.stdout, result.output
    secret = set_up.servers["s3"]["secretKey"]
    assert secret not in result.output
    return result.exit_code, json.loads(result.stdout)["findings"]


def nothing_listens() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"


def exposed(set_up: SetUp) -> Environment:
    set_up.key_file.chmod(0o644)
    return {}


def missing_key(set_up: SetUp) -> Environment:
    set_up.key_file.unlink()
    return {}


def short_key(set_up: SetUp) -> Environment:
    set_up.key_file.write_bytes(b"a2V5\n")
    return {}


def other_key(set_up: SetUp) -> Environment:
    set_up.key_file.write_bytes(b"b3RoZXJvdGhlcm90aGVyb3RoZXJvdGhlcm90aGVyb3Q=\n")
    return {}


def away(variable: str, scheme: str = "", options: str = "") -> Broken:
    return lambda _: {variable: f"{scheme}{nothing_listens()}{options}"}


def given(**changed: str) -> Broken:
    return lambda _: changed


SETTINGS: dict[str, tuple[Broken, str, str]] = {
    "kafka away": (away("ENGINE_KAFKA_BOOTSTRAP"), "kafka_away", "ENGINE_KAFKA_BOOTSTRAP"),
    "mongodb away": (away("ENGINE_MONGODB_URI", "mongodb://"), "mongodb_away", "ENGINE_MONGODB_URI"),
    "store away": (away("ENGINE_S3_ENDPOINT", "http://"), "s3_away", "ENGINE_S3_ENDPOINT"),
    "bucket missing": (given(ENGINE_S3_BUCKET="nothing-here"), "s3_bucket_missing", "ENGINE_S3_BUCKET"),
    "wrong store key": (given(ENGINE_S3_SECRET_KEY="wrong"), "s3_denied", "ENGINE_S3_SECRET_KEY"),
    "sealing key missing": (missing_key, "sealing_key_missing", "backup"),
    "sealing key too short": (short_key, "sealing_key_invalid", "right file"),
    "another sealing key": (other_key, "sealing_key_other", "secrets create"),
    "sealing key exposed": (exposed, "sealing_key_exposed", "chmod 600"),
    "setting misspelt": (given(ENGINE_KAFKA_BOOTSTRAPS="x"), "setting_unknown", "ENGINE_KAFKA_BOOTSTRAP"),
    "setting invalid": (given(ENGINE_CALLBACK_SECONDS="45"), "setting_invalid", "Correct it"),
    "egress open": (given(ENGINE_EGRESS_ALLOW="0.0.0.0/0"), "egress_open", "partners"),
    "egress to metadata": (given(ENGINE_EGRESS_ALLOW="169.254.0.0/16"), "egress_metadata", "169.254"),
}


def test_a_healthy_set_up_has_no_findings_and_nothing_is_left_behind(set_up: SetUp) -> None:
    assert doctor(set_up, set_up.environment) == (0, [])
    words = run(set_up.environment, "doctor", "--tenant", set_up.tenant)
    assert "Nothing is wrong" in words.stdout
    with MongoClient[dict[str, Any]](set_up.servers["mongodb"]) as client:
        assert client["engine"].leases.count_documents({"_id": {"$regex": "^doctor"}}) == 0
        assert client["engine_live"].attempts.count_documents({"_id": {"$regex": "^doctor"}}) == 0


@pytest.mark.parametrize(("broken", "code", "advice"), SETTINGS.values(), ids=SETTINGS)
def test_each_broken_set_up_is_named_alone_with_what_to_do(
    set_up: SetUp, broken: Broken, code: str, advice: str
) -> None:
    environment = set_up.environment | broken(set_up)
    exit_code, found = doctor(set_up, environment)
    assert (exit_code, [each["code"] for each in found]) == (1, [code])
    assert advice in found[0]["todo"]


def test_a_tenant_without_topics_and_a_topic_that_is_too_narrow_are_named(set_up: SetUp) -> None:
    name = f"t-{uuid.uuid4().hex[:12]}"
    asyncio.run(make_topic(set_up.servers["kafka"], topics.commands(name), 1))
    with MongoClient[dict[str, Any]](set_up.servers["mongodb"]) as client:
        client["engine"].tenants.insert_one({"_id": name, "createdAt": datetime.now(UTC)})
    exit_code, found = doctor(set_up, set_up.environment, name)
    narrow = [each for each in found if each["code"] == "topic_partitions"]
    assert exit_code == 1
    assert [each["wrong"] for each in narrow] == [f"The topic {topics.commands(name)} has 1 partition, not 3."]
    lacking = {each["wrong"].split()[4].rstrip(",") for each in found if each["code"] == "topic_missing"}
    assert lacking == {topics.dead_letter(topics.commands(name)), topics.outcomes(name)}


def test_a_tenant_that_does_not_exist_is_named(set_up: SetUp) -> None:
    exit_code, found = doctor(set_up, set_up.environment, "nobody")
    assert (exit_code, [each["code"] for each in found]) == (1, ["tenant_unknown"])


def test_a_missing_index_is_named(set_up: SetUp) -> None:
    with MongoClient[dict[str, Any]](set_up.servers["mongodb"]) as client:
        attempts = client[ledger.DATABASES["sandbox"]].attempts
        attempts.drop_index("delivery")
        try:
            exit_code, found = doctor(set_up, set_up.environment)
        finally:
            attempts.create_index("delivery", name="delivery")
    assert (exit_code, [each["code"] for each in found]) == (1, ["mongodb_index"])
    assert "engine_sandbox.attempts lacks the index delivery" in found[0]["wrong"]


@pytest.mark.parametrize("hours", [1, -1])
def test_a_clock_that_is_wrong_is_named(set_up: SetUp, hours: int) -> None:
    with skewed(set_up.servers["s3"]["endpoint"], timedelta(hours=hours)) as endpoint:
        exit_code, found = doctor(set_up, set_up.environment | {"ENGINE_S3_ENDPOINT": endpoint})
    assert (exit_code, [each["code"] for each in found]) == (1, ["clock"])
    assert ("ahead of" if hours > 0 else "behind") in found[0]["wrong"]


def test_dead_letters_are_told_of_and_are_nothing_wrong(set_up: SetUp) -> None:
    asyncio.run(write(set_up.servers["kafka"], topics.dead_letter(topics.FETCHED)))
    result = run(set_up.environment, "doctor", "--tenant", set_up.tenant, "--json")
    told = json.loads(result.stdout)
    assert (result.exit_code, told["findings"]) == (0, [])
    assert [topics.dead_letter(topics.FETCHED) in each["wrong"] for each in told["warnings"]].count(True) == 1
    words = run(set_up.environment, "doctor", "--tenant", set_up.tenant).stdout
    assert "Nothing is wrong, but look at the dead letters." in words


def test_services_that_are_away_or_say_that_they_are_ill_are_named(set_up: SetUp) -> None:
    ill = ("fetcher=http://" + nothing_listens(), "storage=http://" + nothing_listens())
    words = [word for one in ill for word in ("--service", one)]
    result = run(set_up.environment, "doctor", "--tenant", set_up.tenant, "--json", *words)
    found = json.loads(result.stdout)["findings"]
    assert [(each["code"], each["wrong"].split()[0]) for each in found] == [
        ("service_away", "fetcher"),
        ("service_away", "storage"),
    ]


async def write(bootstrap: str, topic: str) -> None:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        await producer.send_and_wait(topic, b"no event")


async def make_topic(bootstrap: str, name: str, partitions: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics(
            [NewTopic(name, partitions, 1, topic_configs={"retention.ms": str(topics.RETENTION_MS)})]
        )
    finally:
        await admin.close()


@asynccontextmanager
async def proxy(endpoint: str, apart: timedelta) -> AsyncIterator[str]:
    """The same store, whose answers tell another time: every Date is moved."""
    host, _, port = endpoint.removeprefix("http://").rpartition(":")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        store_reader, store_writer = await asyncio.open_connection(host, int(port))

        async def forth() -> None:
            while piece := await reader.read(65536):
                store_writer.write(piece)
            store_writer.close()

        async def back() -> None:
            told = format_datetime(datetime.now(UTC) + apart, usegmt=True).encode()
            while piece := await store_reader.read(65536):
                writer.write(re.sub(rb"\r\nDate: [^\r]*", b"\r\nDate: " + told, piece))
            writer.close()

        await asyncio.gather(forth(), back(), return_exceptions=True)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()


@contextmanager
def skewed(endpoint: str, apart: timedelta) -> Iterator[str]:
    """The proxy in a thread of its own, as the command has a loop of its own."""
    loop, told, stop = asyncio.new_event_loop(), threading.Event(), asyncio.Event()
    address = ""

    async def serve() -> None:
        nonlocal address
        async with proxy(endpoint, apart) as address:
            told.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert told.wait(10)
    yield address
    loop.call_soon_threadsafe(stop.set)
    thread.join()


def test_a_stack_of_this_machine_is_looked_at_with_the_key_beside_it(set_up: SetUp) -> None:
    folder = set_up.folder / "state"
    folder.mkdir()
    shutil.copy(set_up.key_file, folder / "secrets.key")
    handle = set_up.servers | {"processes": {"mongodb": os.getpid()}}
    (folder / "stack.json").write_text(json.dumps(handle))
    result = run({}, "doctor", "--tenant", set_up.tenant, "--state-dir", str(folder))
    assert (result.exit_code, "Nothing is wrong" in result.stdout) == (0, True), result.output
