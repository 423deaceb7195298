"""What an operator may set of the projector."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class ProjectorSettings(BaseSettings):
    """Read from the environment, prefix `UPSHOT_PROJECTOR_`."""

    model_config = SettingsConfigDict(env_prefix="UPSHOT_PROJECTOR_", frozen=True, extra="ignore")

    linger_idle_seconds: float = Field(
        0.1, ge=0, le=1, description="How long a write waits for company while little happens. Commands never wait."
    )
    linger_busy_seconds: float = Field(
        0.25, ge=0, le=1, description="The same under load: a run that begins and ends in this time is written once."
    )
    busy_rows_per_second: float = Field(
        1_000, gt=0, description="So many rows a second mean load: about four hundred deliveries."
    )
    backlog_rows_max: int = Field(
        20_000, ge=100, description="With so many rows unwritten (PostgreSQL is away or slow) the log is not read on."
    )
    batch_records_max: int = Field(2_000, ge=1, description="Records of events and definitions read at once.")
    retry_seconds: float = Field(0.5, gt=0, description="How long to wait while PostgreSQL or the log is away.")
