"""Settings of ingest alone: where it listens, and how long and how much it takes from one client."""

from pydantic import Field

from shared import limits
from shared.settings import EngineSettings


class IngestSettings(EngineSettings):
    """Read from ENGINE_<NAME>; sizes in bytes, times in seconds."""

    http_host: str = "127.0.0.1"
    http_port: int = Field(default=8000, ge=0, le=65535)
    http_header_seconds: float = Field(default=5.0, gt=0)
    http_connections: int = Field(default=1024, ge=1)  # beyond it connections wait in the kernel's queue
    http_bytes_in_flight: int = limits.BYTES_IN_FLIGHT
    http_body_seconds: float = limits.BODY_SECONDS
    http_body_rate: int = 16 * limits.KIB  # bytes/s that a body needs after the first five seconds
    mongodb_timeout_seconds: float = 1.5
    drain_seconds: float = 10.0  # for requests in hand and for the relay, after SIGTERM
