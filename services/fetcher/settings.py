"""Settings of the fetcher alone; times in seconds."""

from pathlib import Path

from pydantic import Field

from shared import limits
from shared.settings import EngineSettings


class FetcherSettings(EngineSettings):
    """How much is worked on at once, how often offsets are committed, where downloads are spooled."""

    in_flight: int = Field(default=limits.DOWNLOADS_IN_FLIGHT, ge=1)  # mutations, and downloads, a process
    commit_seconds: float = Field(default=0.5, gt=0)
    host_wait_seconds: float = Field(default=30.0, gt=0)  # for a place at a source's host, then it is put off
    spool_directory: Path | None = None  # the system's temporary directory when not set; should be a disk
    user_agent: str = "mutation-engine-fetcher/1.0"
