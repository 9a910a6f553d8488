"""Kafka over SASL_SSL: every client that a service builds, each mechanism, and a wrong password."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiokafka import ConsumerRebalanceListener

from deploy.stack.child import Child
from deploy.stack.kafka import apache_kafka
from deploy.stack.ports import Ports
from shared import topics
from shared.broker import Record, attach, consuming_broker
from shared.errors import DependencyUnavailable
from shared.offsets import open_offsets
from shared.publisher import open_publisher
from shared.settings import EngineSettings
from shared.tenant_access import allow
from shared.tenant_topics import KafkaTopics, make_topics
from shared.topics import TopicSpec
from tests.retry import eventually
from tests.tls import Authority

pytestmark = [pytest.mark.broker, pytest.mark.kafka]
PASSWORD = "only-on-this-machine"
READY_SECONDS = 60.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def guarded(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[int, Path]]:
    """A broker that takes clients over SASL_SSL, and the file of its authority."""
    folder = tmp_path_factory.mktemp("guarded")
    authority, ports = Authority(folder), Ports(folder / "ports.json")
    plain = "org.apache.kafka.common.security.plain.PlainLoginModule required user_engine"
    scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
    outside, inside, controller = (f"127.0.0.1:{ports[name]}" for name in ("outside", "kafka", "kafka.controller"))
    listener = "listener.name.sasl_ssl"
    more = {
        "listeners": f"PLAINTEXT://{inside},SASL_SSL://{outside},CONTROLLER://{controller}",
        "advertised.listeners": f"PLAINTEXT://{inside},SASL_SSL://{outside},CONTROLLER://{controller}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT",
        "super.users": "User:ANONYMOUS;User:engine",
        "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
        f"{listener}.plain.sasl.jaas.config": f'{plain}="{PASSWORD}";',
        f"{listener}.scram-sha-256.sasl.jaas.config": scram,
        f"{listener}.scram-sha-512.sasl.jaas.config": scram,
        f"{listener}.ssl.keystore.type": "PEM",
        f"{listener}.ssl.keystore.location": authority.issue(),
    }
    users = [f"SCRAM-SHA-{bits}=[name=engine,password={PASSWORD}]" for bits in (256, 512)]
    broker = Child(apache_kafka(ports, folder / "kafka", more, users), folder)
    broker.start()
    try:
        await broker.answering(READY_SECONDS)
        yield ports["outside"], authority.ca_file
    finally:
        broker.kill()


def broker_settings(guarded: tuple[int, Path], mechanism: str, **more: Any) -> EngineSettings:
    port, ca_file = guarded
    given = {
        "kafka_bootstrap": f"127.0.0.1:{port}",
        "kafka_security": "SASL_SSL",
        "kafka_sasl_mechanism": mechanism,
        "kafka_username": "engine",
        "kafka_password": PASSWORD,
        "kafka_ca_file": ca_file,
    }
    return EngineSettings.model_validate(given | more)


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
async def test_every_client_of_a_service_works_over_sasl_ssl(guarded: tuple[int, Path], mechanism: str) -> None:
    settings, topic = broker_settings(guarded, mechanism), f"secured.{mechanism}"
    await make_topics(settings, [TopicSpec(topic, 1), TopicSpec(topics.COMPLETED, 1)], 1)
    assert await allow(settings, ["acme"]), "the broker guards its topics"
    await KafkaTopics(settings).ensure_tenant("acme")
    came: list[bytes | None] = []

    async def all_came() -> None:
        assert came == [b"hello"]

    broker = consuming_broker(settings)
    attach(broker, settings, topic, f"{topic}.readers", Keeping(came), 10)
    async with open_publisher(settings) as publisher, open_offsets(settings) as offsets:
        await publisher.send(topic, None, b"hello", [])
        assert list((await offsets.ends(topic)).values()) == [1]
        await broker.start()
        try:
            await eventually(all_came)
        finally:
            await broker.stop()


async def test_a_wrong_password_is_a_broker_that_is_away(guarded: tuple[int, Path]) -> None:
    settings = broker_settings(guarded, "SCRAM-SHA-512", kafka_password="wrong")
    with pytest.raises(DependencyUnavailable):
        async with open_publisher(settings):
            pass
    with pytest.raises(DependencyUnavailable):
        await KafkaTopics(settings).ensure_tenant("acme")


async def test_a_broker_with_another_certificate_is_not_talked_to(guarded: tuple[int, Path], tmp_path: Path) -> None:
    settings = broker_settings(guarded, "PLAIN", kafka_ca_file=Authority(tmp_path, "stranger").ca_file)
    with pytest.raises(DependencyUnavailable):
        async with open_publisher(settings):
            pass


class Keeping(ConsumerRebalanceListener):  # type: ignore[misc]
    """Keeps what comes, commits nothing."""

    def __init__(self, came: list[bytes | None]) -> None:
        self._came = came

    async def on_poll(self, positions: Any, consumer: Any) -> None: ...

    async def on_batch(self, records: tuple[Record, ...], consumer: Any) -> None:
        self._came.extend(record.value for record in records)

    async def on_partitions_revoked(self, revoked: Any) -> None: ...

    async def on_partitions_assigned(self, assigned: Any) -> None: ...
