"""What an operator may set of ingest."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.bus.published import DATA_BYTES_MAX


class IngestSettings(BaseSettings):
    """Read from the environment, prefix `UPSHOT_INGEST_`."""

    model_config = SettingsConfigDict(env_prefix="UPSHOT_INGEST_")

    hook_body_bytes_max: int = Field(1_048_576, ge=1, description="of one vendor delivery")
    events_body_bytes_max: int = Field(4_194_304, ge=1, description="of one POST /events")
    event_bytes_max: int = Field(DATA_BYTES_MAX, ge=1, description="of one published event's data")
    batch_events_max: int = Field(1000, ge=1, description="events in one POST /events")
    dedup_window_seconds: int = Field(
        3600, ge=1, description="how long the same bytes, of a vendor that names no delivery, are one delivery"
    )
    tenant_events_per_second: float = Field(2000.0, gt=0, description="sustained rate of one tenant; beyond: 429")
    tenant_burst_events: int = Field(10_000, ge=1, description="events that one tenant may send at once")
    tenant_backlog_events_max: int = Field(5000, ge=1, description="events of one tenant on their way to the log")
    sources_kept_max: int = Field(10_000, ge=1, description="sources whose settings and secrets are kept ready")
    events_remembered_max: int = Field(
        100_000,
        ge=1,
        description="ids of published events remembered, for as long as the read model may not hold them yet",
    )
    waiting_callers_max: int = Field(
        200, ge=0, description="callers of hooks that wait for their run, each with a connection; beyond: 503"
    )
    tenant_waiting_callers_max: int = Field(
        50, ge=0, description="of one tenant, so that others can wait too; beyond: 503"
    )
    rejections_kept_max: int = Field(50, ge=0, description="refused requests remembered per source, newest kept")
    rejecting_sources_max: int = Field(10_000, ge=1, description="sources whose refused requests are remembered")
