"""What the doctor makes of what servers tell, where the servers of the tests would not tell it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from deploy.admin.checks import configuration, files, kafka, letters, mongodb, services
from deploy.admin.checks.finding import Finding
from shared import topics
from shared.settings import EngineSettings
from shared.topics import TopicSpec

SPEC = TopicSpec("mutations.accepted", 4)
HEALTHY = {"max.message.bytes": str(SPEC.max_message_bytes), "retention.ms": str(topics.RETENTION_MS)}


def described(partitions: int = 4, replicas: int = 3, leader: int = 1, error_code: int = 0) -> dict[str, Any]:
    each = [{"partition": n, "leader": leader, "replicas": [*range(replicas)]} for n in range(partitions)]
    return {"topic": SPEC.name, "error_code": error_code, "partitions": each}


def codes(found: list[Finding]) -> list[str]:
    return [each.code for each in found]


def judged(there: dict[str, Any] | None, config: dict[str, str], brokers: int = 3) -> list[str]:
    return codes(list(kafka.judge(SPEC, there, {SPEC.name: config}, brokers)))


def test_a_topic_as_it_is_made_is_well_also_where_its_broker_tells_nothing() -> None:
    assert judged(described(), HEALTHY) == []
    assert judged(described(), {}) == []
    assert judged(described(partitions=12), HEALTHY) == []


@pytest.mark.parametrize(
    ("there", "config", "code"),
    [
        (None, HEALTHY, "topic_missing"),
        (described(error_code=29), HEALTHY, "topic_missing"),
        (described(partitions=3), HEALTHY, "topic_partitions"),
        (described(replicas=1), HEALTHY, "topic_replication"),
        (described(leader=-1), HEALTHY, "topic_offline"),
        (described(), HEALTHY | {"max.message.bytes": "1048588"}, "topic_message_bytes"),
        (described(), HEALTHY | {"retention.ms": "3600000"}, "topic_retention"),
        (described(), HEALTHY | {"retention.ms": "-1"}, "topic_retention"),
    ],
)
def test_a_topic_that_is_otherwise_is_named(there: dict[str, Any] | None, config: dict[str, str], code: str) -> None:
    assert judged(there, config) == [code]


@pytest.mark.parametrize(("days", "said"), [(1, "for 1 day,"), (2, "for 2 days,")])
def test_the_days_of_a_topic_are_counted(days: int, said: str) -> None:
    config = HEALTHY | {"retention.ms": str(days * 86_400_000)}
    [finding] = kafka.judge(SPEC, described(), {SPEC.name: config}, 3)
    assert said in finding.wrong


def test_one_broker_alone_can_not_replicate() -> None:
    assert judged(described(replicas=1), HEALTHY, brokers=1) == []


@pytest.mark.parametrize(
    ("hello", "code"),
    [
        ({"isWritablePrimary": True, "setName": "rs0"}, []),
        ({"isWritablePrimary": True, "msg": "isdbgrid"}, []),
        ({"isWritablePrimary": True}, ["mongodb_no_replica_set"]),
        ({"isWritablePrimary": False, "setName": "rs0"}, ["mongodb_no_primary"]),
    ],
)
def test_a_database_without_transactions_or_without_a_primary_is_named(hello: dict[str, Any], code: list[str]) -> None:
    assert codes(mongodb.primary(hello)) == code


@pytest.mark.parametrize(("seconds", "wrong"), [(0, False), (9, False), (-9, False), (11, True), (-11, True)])
@pytest.mark.parametrize("aware", [True, False])
def test_a_clock_may_differ_by_ten_seconds(seconds: int, wrong: bool, aware: bool) -> None:
    now = datetime(2026, 3, 1, 12, tzinfo=UTC)
    theirs = now + timedelta(seconds=seconds)
    found = mongodb.clock("MongoDB", theirs if aware else theirs.replace(tzinfo=None), now)
    assert codes(found) == (["clock"] if wrong else [])


@pytest.mark.parametrize(
    ("allowed", "code"),
    [
        ("", []),
        ("127.0.0.0/8,::1/128", []),
        ("10.20.0.0/16", []),
        ("::/0", ["egress_open"]),
        ("0.0.0.0/1,128.0.0.0/1", ["egress_open", "egress_open"]),
        ("169.254.169.254/32", ["egress_metadata"]),
        ("10.1.0.0/16", ["egress_own_servers"]),
        ("10.1.0.1/16", ["egress_invalid"]),
        ("example.org", ["egress_invalid"]),
    ],
)
def test_networks_that_open_too_much_are_named(allowed: str, code: list[str]) -> None:
    settings = EngineSettings.model_validate({"egress_allow": allowed, "kafka_bootstrap": "10.1.2.3:9092,broker:9092"})
    assert codes(configuration.egress(settings)) == code


def test_every_setting_of_every_service_is_known_and_a_misspelt_one_gets_the_right_name() -> None:
    known = configuration.known_variables()
    assert {
        "ENGINE_KAFKA_BOOTSTRAP",
        "ENGINE_S3_SECRET_KEY_FILE",
        "ENGINE_RELAY_SECONDS",
        "ENGINE_SWEEP_SECONDS",
    } <= known
    (found,) = configuration.misspelt(dict.fromkeys(known, "") | {"ENGINE_MONGODB_URL": "mongodb://secret@host"})
    assert "ENGINE_MONGODB_URI" in found.todo
    assert "secret" not in found.wrong + found.todo


@pytest.mark.parametrize(
    ("line", "advice"),
    [
        ("degraded: the event loop was blocked for 19 s within the last minute", "goes on"),
        ("degraded: mongodb has not answered for 34 s", "Mend what it names"),
    ],
)
async def test_what_was_is_told_apart_from_what_is_to_be_mended(line: str, advice: str) -> None:
    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text=f"{line}\n")

    app = web.Application()
    app.router.add_get("/{path}", healthz)
    async with TestServer(app) as server:
        (found,) = await services.look({"storage": str(server.make_url("/")).rstrip("/")})
    assert (found.code, advice in found.todo) == ("service_degraded", True)


def test_dead_letters_are_counted_in_words_with_the_command_that_shows_them() -> None:
    assert letters.told("mutations.accepted.dlq", 1).wrong.startswith("1 dead letter lies on mutations.accepted.dlq")
    assert letters.told("mutations.accepted.dlq", 2).wrong.startswith("2 dead letters lie on")
    assert "dlq show mutations.accepted.dlq" in letters.told("mutations.accepted.dlq", 2).todo


def test_a_key_file_of_its_owner_alone_is_well(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2U=")
    path.chmod(0o600)
    assert files.sealing_key(path) == []
    path.chmod(0o640)  # of a mounted secret
    assert files.sealing_key(path) == []
    assert codes(files.sealing_key(None)) == ["sealing_key_unset"]
