"""Settings of the storage service; times in seconds."""

from datetime import time
from typing import Annotated

from pydantic import field_validator
from pydantic_settings import NoDecode

from shared.settings import EngineSettings


class StorageSettings(EngineSettings):
    """How much is worked off at once, and how often the sweeper looks."""

    batch_records: int = 64
    sweep_seconds: float = 5.0  # owed outcomes
    deadline_seconds: float = 30.0
    staging_sweep_seconds: float = 600.0
    staging_age_seconds: float = 3600.0  # younger staged objects may belong to a request that is under way
    reconcile_seconds: float = 3600.0
    reconcile_age_seconds: float = 3600.0  # younger objects may belong to a decision that is under way
    sandbox_reset_at: Annotated[time | None, NoDecode] = time(3)  # every night, UTC, as text: 03:00; empty: never
    sandbox_look_seconds: float = 1.0  # for resets that were asked for
    expiry_seconds: float = 60.0  # temporary uploads, second passes of erasures
    erasure_again_seconds: float = 3600.0  # whatever was under way when a record was erased has ended by then

    @field_validator("sandbox_reset_at", mode="before")
    @classmethod
    def _never(cls, value: object) -> object:
        return None if value == "" else value
