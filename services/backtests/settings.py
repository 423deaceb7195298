"""What an operator may set of trying workflows on the past."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class BacktestsSettings(BaseSettings):
    """Read from the environment, prefix `UPSHOT_BACKTESTS_`. Each backtest runs in a process of its own."""

    model_config = SettingsConfigDict(env_prefix="UPSHOT_BACKTESTS_")

    running_max: int = Field(
        2, ge=1, le=100, description="backtests under way at once; one more is refused with 429, not queued"
    )
    running_per_tenant_max: int = Field(1, ge=1, le=100, description="of them, those of one tenant")
    kept_max: int = Field(
        200, ge=1, description="ended backtests whose reports are kept in memory; the oldest goes first"
    )
    kept_per_tenant_max: int = Field(20, ge=1, description="of them, those of one tenant")
    range_days_max: int = Field(400, ge=1, le=4000, description="days that one backtest may reach over")
    samples_max: int = Field(20, ge=0, le=100, description="matches that one report may show in full")
    samples_bytes_max: int = Field(
        1_048_576,
        ge=1024,
        description="JSON that a report's samples may come to; further ones are left out and counted",
    )
    waits_bytes_max: int = Field(
        268_435_456,
        ge=1_048_576,
        description="memory that one backtest's events may take that `absence` triggers wait after; beyond it the backtest fails",
    )
    seconds_max: float = Field(3600.0, gt=0, description="after so long a backtest ends as failed")
    cpu_share_max: float = Field(
        0.5, gt=0, le=1, description="share of one core that a backtest takes at most; it pauses between batches"
    )
    nice: int = Field(
        10, ge=0, le=19, description="how far its process stands back behind live traffic, as `nice` counts"
    )
    batch_records: int = Field(2000, ge=1, le=100_000, description="records read from the log in one go")
    progress_interval_seconds: float = Field(0.5, gt=0, le=60, description="how often a backtest tells how far it is")
    streams_max: int = Field(100, ge=1, description="progress streams open at once")
    streams_per_tenant_max: int = Field(20, ge=1, description="of them, those of one tenant")
