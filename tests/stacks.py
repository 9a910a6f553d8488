"""What tests run on: STACK=embedded|kafka|containers|external; each gives what is in stack.json."""

import json
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from deploy.stack import EmbeddedStack
from shared.settings import EngineSettings
from tests.containers import container_stack

Handle = dict[str, Any]
# Of a stack on a busy machine no write is refused for want of time; how soon a gateway refuses, torture shows.
PATIENT = {"ingest": {"ENGINE_MONGODB_TIMEOUT_SECONDS": "10"}}


@contextmanager
def _embedded(directory: Path, servers_only: bool) -> Iterator[Handle]:
    with EmbeddedStack(directory, env=PATIENT, servers_only=servers_only) as stack:
        yield stack.handle


@contextmanager
def _kafka(directory: Path, servers_only: bool) -> Iterator[Handle]:
    with EmbeddedStack(directory, broker="kafka", env=PATIENT, servers_only=servers_only) as stack:
        yield stack.handle


@contextmanager
def _external(directory: Path, servers_only: bool) -> Iterator[Handle]:
    """Somebody else's: ENGINE_* addresses, ENGINE_HTTP_URL, and the tenants of ENGINE_CREDENTIALS_FILE."""
    settings = EngineSettings()
    credentials = json.loads(Path(os.environ["ENGINE_CREDENTIALS_FILE"]).read_text())
    yield {
        "http": os.environ.get("ENGINE_HTTP_URL", "http://127.0.0.1:8080"),
        "kafka": settings.kafka_bootstrap,
        "mongodb": settings.mongodb_uri.get_secret_value(),
        "s3": {
            "endpoint": settings.s3_endpoint,
            "bucket": settings.s3_bucket,
            "accessKey": settings.s3_access_key.get_secret_value(),
            "secretKey": settings.s3_secret_key.get_secret_value(),
        },
        "tenants": credentials["tenants"],
        "admin": credentials.get("admin"),
        "processes": {},
        "logs": "",
    }


STACKS = {"embedded": _embedded, "kafka": _kafka, "containers": container_stack, "external": _external}


def running(kind: str, directory: Path, servers_only: bool = False) -> AbstractContextManager[Handle]:
    """A running stack of this kind, with its state in the directory; `servers_only`: without our services."""
    return STACKS[kind](directory, servers_only)
