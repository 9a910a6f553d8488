"""Settings of ingest alone: where it listens, and how long and how much it takes from one client."""

from pathlib import Path

from pydantic import Field

from services.ingest.uploads import UploadRules
from shared import limits
from shared.settings import EngineSettings


class IngestSettings(EngineSettings):
    """Read from ENGINE_<NAME>; sizes in bytes, times in seconds."""

    http_host: str = "127.0.0.1"
    http_port: int = Field(default=8000, ge=0, le=65535)
    http_header_seconds: float = Field(default=5.0, gt=0)
    http_connections: int = Field(default=1024, ge=1)  # beyond it connections wait in the kernel's queue
    http_header_bytes: int = Field(default=128 * limits.KIB, ge=8 * limits.KIB)  # and bytes read ahead, a connection
    http_unread_seconds: float = Field(default=8.0, gt=0)  # for a client to take, or confirm, what was sent
    # At least two of the largest bodies: a tenant's share of it takes one.
    http_bytes_in_flight: int = Field(default=limits.BYTES_IN_FLIGHT, ge=2 * limits.BODY_BYTES)
    http_body_seconds: float = Field(default=limits.BODY_SECONDS, gt=0)
    http_body_rate: int = Field(default=16 * limits.KIB, ge=1)  # bytes/s that a body needs after the first five seconds
    tenant_rate: float = Field(default=limits.TENANT_RATE, gt=0)  # requests/s of a tenant in the long run, a process
    tenant_burst: int = Field(default=limits.TENANT_BURST, ge=1)  # requests of a tenant at once, a process
    upload_kept_seconds: float = Field(default=limits.UPLOAD_KEPT_SECONDS, gt=0)  # unassigned files, then they expire
    upload_quota_bytes: int = Field(default=limits.UPLOAD_QUOTA_BYTES, ge=0)  # of unassigned files, a tenant
    upload_quota_files: int = Field(default=limits.UPLOAD_QUOTA_FILES, ge=0)
    uploads_at_once: int = Field(default=limits.UPLOADS_AT_ONCE, ge=1)  # requests; each may spool one file
    mutations_watched: int = Field(default=limits.MUTATIONS_WATCHED, ge=1)  # that clients wait for, a process
    watch_seconds: float = Field(default=0.5, gt=0)  # between two looks at those
    spool_directory: Path | None = None  # the system's temporary directory when not set; should be a disk
    # The driver looks for a server every half second, so 1.5 s would last up to 2.0; 0 would be no time-out at all.
    mongodb_timeout_seconds: float = Field(default=1.4, ge=0.1)
    relay_seconds: float = Field(default=5.0, gt=0)  # between two looks for what waits, or stands still
    notice_seconds: float = Field(default=3.0, ge=0)  # from SIGTERM on, for load balancers to see that /readyz is 503

    def upload_rules(self) -> UploadRules:
        """Those about temporary uploads."""
        return UploadRules(
            self.upload_kept_seconds, self.upload_quota_bytes, self.upload_quota_files, self.uploads_at_once,
            self.spool_directory,
        )  # fmt: skip
