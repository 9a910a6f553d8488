"""Settings of the storage service; times in seconds."""

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
