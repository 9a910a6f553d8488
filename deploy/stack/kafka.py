"""Apache Kafka in Tansu's place (`--broker kafka`): jars from Maven, one JVM, broker and controller in one.

With `--brokers 3` two more brokers join it: clients see a cluster whose partitions have different leaders.
"""

import base64
import shutil
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from deploy.stack.answers import accepts
from deploy.stack.child import ROOT, ChildFailed, ChildSpec
from deploy.stack.ports import LOOPBACK, Ports
from deploy.stack.servers import server_env

JARS: Final = ROOT / ".kafka" / "4.3.0"
JVM: Final = ("-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
QUIET: Final = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
ONE_COPY: Final = (
    "offsets.topic.replication.factor",
    "transaction.state.log.replication.factor",
    "transaction.state.log.min.isr",
    "share.coordinator.state.topic.replication.factor",
    "share.coordinator.state.topic.min.isr",
)
FEW_PARTITIONS: Final = {"offsets.topic.num.partitions": 4, "transaction.state.log.num.partitions": 4}


def apache_kafka(
    ports: Ports, directory: Path, more: Mapping[str, object] | None = None, users: Sequence[str] = (), node: int = 1
) -> ChildSpec:
    """Fetch the jars once, format the storage once; raises ChildFailed with what is missing.

    `more` are broker settings that replace these; `users` are SCRAM users as StorageTool takes them. A `node` beyond
    the first joins it, and has its `directory` beside that one.
    """
    if not shutil.which("java"):
        raise ChildFailed("--broker kafka needs Java 17 or later: `java` was not found.")
    _fetch_jars()
    directory.mkdir(exist_ok=True)
    properties = directory / "server.properties"
    settings = _settings(ports, directory) | (_joining(ports, node) if node > 1 else {}) | dict(more or {})
    properties.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    java = ["java", *JVM, QUIET, "-cp", f"{JARS}/*"]
    if not (directory / "log" / "meta.properties").exists():
        first = ["--standalone", *(part for user in users for part in ("--add-scram", user))]
        how = first if node == 1 else ["--no-initial-controllers"]
        cluster = f"--cluster-id={_cluster(directory.with_name('kafka'))}"
        _run([*java, "kafka.tools.StorageTool", "format", cluster, "-c", str(properties), *how])
    name = _name(node)
    argv = [*java, "kafka.Kafka", str(properties)]
    return ChildSpec(name, argv, server_env(), partial(accepts, ports[name]), grace_seconds=15)


def _name(node: int) -> str:
    return "kafka" if node == 1 else f"kafka-{node}"


def _joining(ports: Ports, node: int) -> dict[str, object]:
    client = f"PLAINTEXT://{LOOPBACK}:{ports[_name(node)]}"
    return {"process.roles": "broker", "node.id": node, "listeners": client, "advertised.listeners": client}


def _cluster(first: Path) -> str:
    """The id that the first node's storage has, or a new one for it."""
    formatted = first / "log" / "meta.properties"
    if formatted.exists():
        return formatted.read_text().partition("cluster.id=")[2].split()[0]
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()


def _settings(ports: Ports, directory: Path) -> dict[str, object]:
    client, controller = f"{LOOPBACK}:{ports['kafka']}", f"{LOOPBACK}:{ports['kafka.controller']}"
    return {
        "process.roles": "broker,controller",
        "node.id": 1,
        "listeners": f"PLAINTEXT://{client},CONTROLLER://{controller}",
        "advertised.listeners": f"PLAINTEXT://{client},CONTROLLER://{controller}",
        "controller.listener.names": "CONTROLLER",
        "controller.quorum.bootstrap.servers": controller,
        "log.dirs": directory / "log",
        "auto.create.topics.enable": "false",
        "group.initial.rebalance.delay.ms": 0,
        # Clients that don't say who they are may do all, so rules of tenants can be set and looked at.
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
        # A killed broker may register again only when its old session has ended.
        "broker.session.timeout.ms": 3000,
        "broker.heartbeat.interval.ms": 500,
        **dict.fromkeys(ONE_COPY, 1),
        **FEW_PARTITIONS,
    }


def _fetch_jars() -> None:
    """Into a directory beside, renamed when complete: a kill on the way leaves nothing that looks whole."""
    if JARS.exists():
        return
    if not shutil.which("mvn"):
        raise ChildFailed("--broker kafka needs Maven for Kafka's jars: `mvn` was not found.")
    fresh = JARS.with_name(f".{uuid.uuid4().hex}")
    pom = Path(__file__).with_name("pom.xml")
    _run(["mvn", "-q", "-B", "-f", str(pom), "dependency:copy-dependencies", f"-DoutputDirectory={fresh}"])
    try:
        fresh.rename(JARS)
    except OSError:  # another stack was faster
        shutil.rmtree(fresh)


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  fixed programs
    if done.returncode:
        raise ChildFailed(
            f"{command[0]} ended with exit code {done.returncode}.\n{(done.stdout + done.stderr)[-4000:]}"
        )
