"""STACK=containers: the real servers in containers on the host's network, our services as processes beside them."""

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.errors import DockerException
from pymongo import MongoClient
from pymongo.errors import PyMongoError
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer

from deploy.admin.init import initialise
from deploy.stack.child import Child
from deploy.stack.ports import LOOPBACK, Ports
from deploy.stack.servers import seaweedfs
from deploy.stack.services import BUCKET, SERVICES, engine_env, init_settings, service_spec
from deploy.stack.state import StateDir

KAFKA = "apache/kafka:4.3.0"
MONGODB = "mongo:8.0"
STORE = "chrislusf/seaweedfs:4.48"


@contextmanager
def container_stack(directory: Path, servers_only: bool) -> Iterator[dict[str, Any]]:
    """Skips when no Docker answers."""
    try:
        docker.from_env(timeout=5).ping()
    except DockerException:
        pytest.skip("STACK=containers needs a Docker daemon, and none answers")
    testcontainers_config.ryuk_disabled = True  # the containers end with the fixture
    state = StateDir(directory)
    state.lock()
    ports = Ports(state.root / "ports.json")
    env = engine_env(state, ports, allow_loopback=True, idempotence=True)
    env["ENGINE_MONGODB_URI"] = f"mongodb://{LOOPBACK}:{ports['mongodb']}/?directConnection=true"
    with ExitStack() as running:
        for container in (_kafka(ports), _mongodb(ports), _store(ports, state)):
            running.enter_context(container.with_kwargs(network_mode="host"))
        _initiate(env["ENGINE_MONGODB_URI"])
        tenants = asyncio.run(initialise(init_settings(env, state, 120)))
        services = [] if servers_only else _services(running, env, ports, state)
        yield _handle(env, ports, tenants, services, state)


def _kafka(ports: Ports) -> DockerContainer:
    client, controller = f"{LOOPBACK}:{ports['kafka']}", f"{LOOPBACK}:{ports['kafka.controller']}"
    settings = {
        "KAFKA_NODE_ID": "1",
        "KAFKA_PROCESS_ROLES": "broker,controller",
        "KAFKA_LISTENERS": f"PLAINTEXT://{client},CONTROLLER://{controller}",
        "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://{client}",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "KAFKA_CONTROLLER_QUORUM_VOTERS": f"1@{controller}",
        "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
        "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
        "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
    }
    return DockerContainer(KAFKA).with_envs(**settings)


def _mongodb(ports: Ports) -> DockerContainer:
    return DockerContainer(MONGODB).with_command(f"--replSet rs0 --bind_ip {LOOPBACK} --port {ports['mongodb']}")


def _store(ports: Ports, state: StateDir) -> DockerContainer:
    spec = seaweedfs(ports, state.root / "unused", *state.s3_keys())
    arguments = ["-dir=/data" if part.startswith("-dir=") else part for part in spec.argv[1:]]
    keys = {name: value for name, value in spec.env.items() if name.startswith("AWS_")}
    return DockerContainer(STORE).with_envs(**keys).with_command(arguments)


def _initiate(uri: str) -> None:
    """Make it a replica set of one, as soon as it answers."""
    until = time.monotonic() + 60
    with MongoClient[dict[str, Any]](uri, serverSelectionTimeoutMS=1000) as client:
        while True:
            try:
                host = uri.removeprefix("mongodb://").partition("/")[0]
                client.admin.command("replSetInitiate", {"_id": "rs0", "members": [{"_id": 0, "host": host}]})
                return
            except PyMongoError:
                if time.monotonic() > until:
                    raise


def _services(running: ExitStack, env: dict[str, str], ports: Ports, state: StateDir) -> list[Child]:
    children = [Child(service_spec(name, env, ports, {}), state.logs) for name in SERVICES]

    async def stop() -> None:
        await asyncio.gather(*(child.stop() for child in children))

    async def answer() -> None:
        await asyncio.gather(*(child.answering(60) for child in children))

    running.callback(lambda: asyncio.run(stop()))
    for child in children:
        child.start()
    asyncio.run(answer())
    return children


def _handle(
    env: dict[str, str], ports: Ports, tenants: dict[str, dict[str, str]], services: list[Child], state: StateDir
) -> dict[str, Any]:
    store = json.loads(state.credentials.read_text())["s3"]
    return {
        "http": f"http://{LOOPBACK}:{ports['http']}",
        "kafka": env["ENGINE_KAFKA_BOOTSTRAP"],
        "mongodb": env["ENGINE_MONGODB_URI"],
        "s3": {"endpoint": env["ENGINE_S3_ENDPOINT"], "bucket": BUCKET, **store},
        "tenants": tenants,
        "admin": state.admin(),
        "processes": {child.name: child.pid for child in services},
        "logs": str(state.logs),
    }
