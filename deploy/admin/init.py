"""One-shot initialisation, safe to repeat: topics, indexes, bucket, tenants (`python -m deploy.admin.init`)."""

import asyncio
from pathlib import Path
from typing import Annotated, Final, Self

from aiokafka.errors import KafkaError
from pydantic import Field, field_validator, model_validator
from pydantic_settings import NoDecode

from deploy.admin.bucket import create_bucket
from deploy.admin.credentials import provide_admin, provide_tenants
from deploy.admin.terminal import FAILED, CommandFailed, Json, print_json, say
from deploy.admin.topics import create_topics
from shared.errors import DependencyUnavailable
from shared.ledger import Client, connect, create_indexes, databases, translated
from shared.resets import Resets
from shared.sealing import ensure_key_file
from shared.settings import EngineSettings
from shared.tenant_access import allow
from shared.tenant_registry import open_registry
from shared.topics import all_topics

PAUSE_SECONDS: Final = 0.1
LOOK_SECONDS: Final = 2.0


class InitSettings(EngineSettings):
    """What an installation begins with; `init_tenants` is a comma-separated list."""

    topic_partitions: int = Field(default=12, ge=1)
    topic_replication: int = Field(default=3, ge=1)
    init_tenants: Annotated[tuple[str, ...], NoDecode] = ()
    credentials_file: Path | None = None  # the tenants' keys in the clear, mode 0600
    init_patience_seconds: float = 120.0  # how long to wait for each server

    @field_validator("init_tenants", mode="before")
    @classmethod
    def _names(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _keys_have_a_place(self) -> Self:
        if self.init_tenants and not (self.credentials_file and self.secrets_key_file):
            raise ValueError("ENGINE_INIT_TENANTS needs ENGINE_CREDENTIALS_FILE and ENGINE_SECRETS_KEY_FILE")
        return self


async def initialise_topics(settings: InitSettings) -> None:
    """Every topic of the pipeline and of all tenants: those of the settings, and those that were made later.

    Also what the tenants' principals may do there.
    """
    tenants = await _tenants(settings)
    specs = all_topics(tenants, settings.topic_partitions)
    await create_topics(settings, specs, settings.topic_replication, settings.init_patience_seconds)
    if settings.kafka_access_rules:
        await _allow(settings, tenants)


async def _allow(settings: InitSettings, tenants: list[str]) -> None:
    try:
        await allow(settings, tenants)
    except (KafkaError, OSError) as error:
        wrong = f"Kafka did not take the tenants' access rules ({type(error).__name__})"
        todo = "permit ALTER on the cluster to this user, or set ENGINE_KAFKA_ACCESS_RULES=false where others keep them"
        raise CommandFailed(FAILED, f"{wrong}: {todo}.") from None


async def _tenants(settings: InitSettings) -> list[str]:
    names = set(settings.init_tenants)
    try:
        async with connect(settings, LOOK_SECONDS) as client:
            names |= {tenant.name for tenant in await open_registry(client, settings).tenants()}
    except DependencyUnavailable:
        pass  # a broker that is started again can't wait for the database; the others' topics come with the next init
    return sorted(names)


async def initialise_database(settings: InitSettings) -> dict[str, dict[str, str]]:
    """Indexes of both environments, then the tenants; returns {tenant: {apiKey, webhookSecret}}."""
    if settings.secrets_key_file:
        ensure_key_file(settings.secrets_key_file)
    async with connect(settings) as client:
        await _wait_for_primary(client, settings.init_patience_seconds)
        for database in databases(client).values():
            await create_indexes(database)
        await Resets(client).create_indexes()
        registry = open_registry(client, settings)
        await registry.create_indexes()
        if not settings.init_tenants or settings.credentials_file is None:
            return {}
        await provide_admin(registry, settings.credentials_file)
        return await provide_tenants(registry, list(settings.init_tenants), settings.credentials_file)


async def _wait_for_primary(client: Client, patience_seconds: float) -> None:
    clock = asyncio.get_running_loop().time
    until = clock() + patience_seconds
    while True:
        try:
            async with translated():
                answer = await client.admin.command("hello")
            if answer.get("isWritablePrimary"):
                return
        except DependencyUnavailable:
            pass
        if clock() > until:
            raise DependencyUnavailable("mongodb", "no primary")
        await asyncio.sleep(PAUSE_SECONDS)


async def initialise(settings: InitSettings) -> dict[str, dict[str, str]]:
    """Everything; returns {tenant: {apiKey, webhookSecret}}. Each step waits for its server."""
    await create_bucket(settings, settings.init_patience_seconds)
    credentials = await initialise_database(settings)
    await initialise_topics(settings)
    return credentials


def main(as_json: Json = False) -> None:
    """Initialise from ENGINE_* variables and name what is ready: topics, indexes, bucket, tenants. Safe to repeat."""
    settings = InitSettings()
    tenants = list(asyncio.run(initialise(settings)))
    if as_json:
        print_json({"bucket": settings.s3_bucket, "tenants": tenants})
    else:
        say(f"ready: topics, bucket {settings.s3_bucket}, indexes, tenants {', '.join(tenants) or 'none'}")


if __name__ == "__main__":
    from deploy.admin.__main__ import run  # which has a sentence and an exit code for every failure

    run(["init"])
