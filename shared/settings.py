"""Settings that every service shares, read from the environment as ENGINE_<NAME>; sizes in bytes, times in seconds.

Secrets may be in files: ENGINE_<NAME>_FILE (shared/secret_files.py).
"""

import re
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from shared.secret_files import SecretFiles

# Options of a URI by which the driver would talk to whoever answers.
UNCHECKED_TLS: Final = re.compile(r"(?i)[?&;](tlsInsecure|tlsAllowInvalid\w+)=true")

OTLP_ENDPOINT: Final = re.compile(r"https?://[^@?#\s]+")


class EngineSettings(BaseSettings):
    """Where the outside systems are and who we are there, and what the egress guard lets through.

    A file with certificate authorities (PEM) replaces those that the system trusts.
    """

    # Settings hold secrets, so no error shows what was set.
    model_config = SettingsConfigDict(env_prefix="ENGINE_", frozen=True, hide_input_in_errors=True)

    kafka_bootstrap: str = "127.0.0.1:9092"
    kafka_security: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    kafka_username: str = ""
    kafka_password: SecretStr = SecretStr("")
    kafka_ca_file: Path | None = None
    kafka_idempotence: bool = True  # the embedded broker has no idempotent producer
    kafka_access_rules: bool = True  # the embedded broker takes none
    kafka_session_seconds: float = Field(default=10.0, gt=0)
    kafka_send_seconds: float = Field(default=10.0, gt=0)  # for the acknowledgement of what is published
    kafka_instance_id: str | None = None  # static membership, for rolling restarts
    mongodb_uri: SecretStr = SecretStr("mongodb://127.0.0.1:27017")  # with its options; may hold a password
    mongodb_ca_file: Path | None = None  # with it, TLS is on
    s3_endpoint: str = "http://127.0.0.1:8333"
    s3_ca_file: Path | None = None
    s3_public_endpoint: str | None = None  # what presigned URLs are signed for; the same when not set
    s3_bucket: str = "mutation-engine"
    s3_region: str = "us-east-1"
    s3_access_key: SecretStr = SecretStr("")
    s3_secret_key: SecretStr = SecretStr("")
    secrets_key_file: Path | None = None  # 32 bytes, base64; seals the webhook secrets
    lease_seconds: float = Field(default=30.0, gt=0)  # of a job that one replica does at a time; renewed at every round
    # Networks that the egress guard allows on any port, beyond public addresses; empty by default.
    egress_allow: Annotated[tuple[str, ...], NoDecode] = ()
    health_host: str = "127.0.0.1"
    health_port: int = Field(default=0, ge=0, le=65535)  # 0: any free port
    log_level: str = "info"
    otlp_endpoint: str = ""  # of an OpenTelemetry collector, as http://127.0.0.1:4318; empty: no traces
    otlp_headers: SecretStr = SecretStr("")  # sent with them, as name=value,name=value; may hold a key
    otlp_ca_file: Path | None = None
    otlp_sample_ratio: float = Field(default=1.0, ge=0, le=1)  # the share of traces that is recorded
    grace_seconds: float = Field(default=25.0, gt=0)  # from SIGTERM to the end; less than whoever stops us allows
    loop_blocked_seconds: float = Field(default=30.0, ge=2)  # an event loop that stands still so long ends the process

    @property
    def kafka_drain_seconds(self) -> float:
        """How long a rebalance waits for what is in hand: within its time-out, which is the session time-out."""
        return 0.6 * self.kafka_session_seconds

    @property
    def otlp_header_fields(self) -> dict[str, str]:
        """The headers for the collector, by name."""
        given = self.otlp_headers.get_secret_value()
        pairs = [pair.partition("=") for pair in given.split(",") if pair.strip()]
        return {name.strip(): value.strip() for name, _, value in pairs}

    @field_validator("egress_allow", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        """What would not be used is refused: somebody believes that it protects."""
        named = bool(self.kafka_username), bool(self.kafka_password.get_secret_value())
        if any(each != self.kafka_security.startswith("SASL_") for each in named):
            raise ValueError("ENGINE_KAFKA_USERNAME and ENGINE_KAFKA_PASSWORD go with ENGINE_KAFKA_SECURITY=SASL_…")
        if self.kafka_ca_file and not self.kafka_security.endswith("SSL"):
            raise ValueError("ENGINE_KAFKA_CA_FILE needs ENGINE_KAFKA_SECURITY=SSL or SASL_SSL")
        if UNCHECKED_TLS.search(self.mongodb_uri.get_secret_value()):
            raise ValueError("ENGINE_MONGODB_URI must leave certificates checked: name ENGINE_MONGODB_CA_FILE instead")
        if self.s3_ca_file and not self.s3_endpoint.startswith("https://"):
            raise ValueError("ENGINE_S3_CA_FILE needs an ENGINE_S3_ENDPOINT that begins with https://")
        if self.otlp_endpoint and not OTLP_ENDPOINT.fullmatch(self.otlp_endpoint):
            raise ValueError("ENGINE_OTLP_ENDPOINT is http(s)://host:port; a key belongs into ENGINE_OTLP_HEADERS")
        if self.otlp_ca_file and not self.otlp_endpoint.startswith("https://"):
            raise ValueError("ENGINE_OTLP_CA_FILE needs an ENGINE_OTLP_ENDPOINT that begins with https://")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, the environment, and files that it names: no .env file, no directory of secrets."""
        return init_settings, env_settings, SecretFiles(settings_cls)
