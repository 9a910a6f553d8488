"""Settings of the notifier, read from the environment as ENGINE_<NAME>; times in seconds."""

from typing import Annotated

from pydantic import Field, field_validator, model_validator
from pydantic_settings import NoDecode

from services.notifier import schedule
from shared import limits
from shared.settings import EngineSettings


class NotifierSettings(EngineSettings):
    """How callbacks are sent and retried. A lease must outlive one attempt, or every notifier would repeat it."""

    callback_pauses: Annotated[tuple[float, ...], NoDecode] = schedule.PAUSES  # as text: 0,5,300
    callback_least_pause_seconds: float = schedule.LEAST_SECONDS  # after a 429 or a time-out
    callback_seconds: float = limits.CALLBACK_SECONDS
    callbacks_in_flight: int = Field(default=256, gt=0)
    callbacks_per_tenant: int = Field(default=128, gt=0)
    callbacks_per_host: int = Field(default=8, gt=0)  # of one tenant
    callbacks_waiting: int = Field(default=2048, gt=0)  # in memory, with those in flight
    callbacks_waiting_per_host: int = Field(default=256, gt=0)
    delivery_lease_seconds: float = 60.0
    delivery_poll_seconds: float = 2.0
    result_linger_seconds: float = 0.1  # results that end meanwhile are written together
    completed_batch: int = 500

    @field_validator("callback_pauses", mode="before")
    @classmethod
    def _numbers(cls, value: object) -> object:
        return tuple(float(part) for part in value.split(",")) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _lease_outlives_attempt(self) -> "NotifierSettings":
        if self.delivery_lease_seconds < 2 * self.callback_seconds:
            raise ValueError("delivery_lease_seconds must be at least twice callback_seconds")
        return self

    @property
    def longest_wait_seconds(self) -> float:
        """How long a leased dispatch may wait in memory and still end well before its lease does."""
        return self.delivery_lease_seconds - 1.5 * self.callback_seconds
