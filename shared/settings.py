"""Settings that every service shares, read from the environment as ENGINE_<NAME>; sizes in bytes, times in seconds."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


class EngineSettings(BaseSettings):
    """Where the outside systems are, and what the egress guard lets through."""

    model_config = SettingsConfigDict(env_prefix="ENGINE_", frozen=True)

    kafka_bootstrap: str = "127.0.0.1:9092"
    kafka_idempotence: bool = True  # the embedded broker has no idempotent producer
    kafka_access_rules: bool = True  # the embedded broker takes none
    kafka_session_seconds: float = 10.0
    kafka_instance_id: str | None = None  # static membership, for rolling restarts
    mongodb_uri: str = "mongodb://127.0.0.1:27017"
    s3_endpoint: str = "http://127.0.0.1:8333"
    s3_public_endpoint: str | None = None  # what presigned URLs are signed for; the same when not set
    s3_bucket: str = "mutation-engine"
    s3_region: str = "us-east-1"
    s3_access_key: SecretStr = SecretStr("")
    s3_secret_key: SecretStr = SecretStr("")
    secrets_key_file: Path | None = None  # 32 bytes, base64; seals the webhook secrets
    # Networks that the egress guard allows on any port, beyond public addresses; empty by default.
    egress_allow: Annotated[tuple[str, ...], NoDecode] = ()
    health_host: str = "127.0.0.1"
    health_port: int = Field(default=0, ge=0, le=65535)  # 0: any free port
    log_level: str = "info"

    @field_validator("egress_allow", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value
