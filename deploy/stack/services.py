"""The four services of the embedded stack: one process each, configured by ENGINE_* variables only."""

import os
import sys
from collections.abc import Mapping
from functools import partial
from typing import Final, Protocol

from deploy.admin.init import InitSettings
from deploy.stack.answers import says_ok
from deploy.stack.child import ChildSpec
from deploy.stack.ports import LOOPBACK
from deploy.stack.state import StateDir

SERVICES: Final = ("ingest", "fetcher", "storage", "notifier")
TENANTS: Final = ("demo", "other")
BUCKET: Final = "mutation-engine"
PARTITIONS: Final = 4
GRACE_SECONDS: Final = 15
ALLOWED_LOOPBACK: Final = "127.0.0.0/8,::1/128"


class PortNumbers(Protocol):
    """Ports by name."""

    def __getitem__(self, name: str, /) -> int: ...


def engine_env(state: StateDir, ports: PortNumbers, allow_loopback: bool, idempotence: bool) -> dict[str, str]:
    """The settings that all services and the initialisation share."""
    access_key, secret_key = state.s3_keys()
    return {
        "ENGINE_KAFKA_BOOTSTRAP": f"{LOOPBACK}:{ports['kafka']}",
        "ENGINE_KAFKA_IDEMPOTENCE": str(idempotence).lower(),
        "ENGINE_KAFKA_ACCESS_RULES": str(idempotence).lower(),
        "ENGINE_MONGODB_URI": f"mongodb://{LOOPBACK}:{ports['mongodb']}",
        "ENGINE_S3_ENDPOINT": f"http://{LOOPBACK}:{ports['s3']}",
        "ENGINE_S3_BUCKET": BUCKET,
        "ENGINE_S3_ACCESS_KEY": access_key,
        "ENGINE_S3_SECRET_KEY": secret_key,
        "ENGINE_SECRETS_KEY_FILE": str(state.secrets_key),
        "ENGINE_EGRESS_ALLOW": ALLOWED_LOOPBACK if allow_loopback else "",
        "ENGINE_HEALTH_HOST": LOOPBACK,
        "ENGINE_GRACE_SECONDS": str(GRACE_SECONDS),
    }


def init_settings(env: Mapping[str, str], state: StateDir, patience_seconds: float) -> InitSettings:
    """The same settings for the initialisation."""
    given = {name.removeprefix("ENGINE_").lower(): value for name, value in env.items()}
    return InitSettings.model_validate(
        given
        | {
            "topic_partitions": PARTITIONS,
            "topic_replication": 1,
            "init_tenants": TENANTS,
            "credentials_file": state.credentials,
            "init_patience_seconds": patience_seconds,
        }
    )


def health_port(name: str, ports: PortNumbers) -> int:
    """Where it answers /healthz and /readyz: ingest on its public port, the others on one of their own."""
    return ports["http"] if name == "ingest" else ports[f"{name}.health"]


def service_spec(name: str, env: Mapping[str, str], ports: PortNumbers, extra: Mapping[str, str]) -> ChildSpec:
    """One service, told where to answer /readyz."""
    port = health_port(name, ports)
    own = {"ENGINE_HTTP_PORT" if name == "ingest" else "ENGINE_HEALTH_PORT": str(port)}
    if name == "ingest":
        own["ENGINE_NOTICE_SECONDS"] = "0"  # there is no load balancer
    # Variables of other programs must not change ours: an AWS profile here, for instance.
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "ENGINE_"))}
    tuning = {key: value for key, value in os.environ.items() if key == "ENGINE_LOG_LEVEL"}
    argv = [sys.executable, "-m", f"services.{name}.main"]
    given = {**inherited, **tuning, **env, **own, **extra}
    return ChildSpec(name, argv, given, partial(says_ok, port, "/readyz"), GRACE_SECONDS + 2)
