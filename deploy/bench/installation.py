"""The stack under load: an embedded stack started for the bench, and the settings to look into its stores."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import SecretStr

from deploy.stack import EmbeddedStack
from shared.settings import EngineSettings

TENANT: Final = "demo"
SERVICES: Final = ("ingest", "fetcher", "storage", "notifier")


@dataclass(frozen=True, slots=True)
class Installation:
    """A running stack; `handle` is what stack.json held at the start."""

    stack: EmbeddedStack
    handle: dict[str, Any]
    tenant: str = TENANT

    @property
    def api(self) -> str:
        """The gateway."""
        return str(self.handle["http"])

    @property
    def api_key(self) -> str:
        """The tenant's."""
        return str(self.handle["tenants"][self.tenant]["apiKey"])

    @property
    def webhook_secret(self) -> str:
        """The tenant's."""
        return str(self.handle["tenants"][self.tenant]["webhookSecret"])

    @property
    def settings(self) -> EngineSettings:
        """As the services have them, as far as looking into the stores needs."""
        objects = self.handle["s3"]
        return EngineSettings(
            mongodb_uri=self.handle["mongodb"],
            s3_endpoint=objects["endpoint"],
            s3_bucket=objects["bucket"],
            s3_access_key=SecretStr(objects["accessKey"]),
            s3_secret_key=SecretStr(objects["secretKey"]),
        )

    def pids(self) -> dict[str, int]:
        """The present process of each service: stack.json is written again when one is restarted."""
        processes = self.stack.handle["processes"]
        return {name: int(processes[name]) for name in SERVICES}


@asynccontextmanager
async def open_installation(state_dir: Path, broker: Literal["tansu", "kafka"]) -> AsyncIterator[Installation]:
    """Start a stack on its own state directory; it ends with the block."""
    async with EmbeddedStack(state_dir, port=0, allow_loopback=True, broker=broker) as stack:
        yield Installation(stack, stack.handle)
