"""What an operator may set of the matcher."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class MatcherSettings(BaseSettings):
    """Read from the environment, prefix `UPSHOT_MATCHER_`."""

    model_config = SettingsConfigDict(env_prefix="UPSHOT_MATCHER_")

    batch_records_max: int = Field(1000, ge=1, description="events handled in one go")
    busy_records: int = Field(8, ge=1, description="a batch of so many events means load")
    linger_seconds: float = Field(0.01, ge=0, le=1, description="under load, how long the next batch may gather")
    conditions_max: int = Field(
        200, ge=1, description="CEL conditions evaluated for one event; the rest: reason budget"
    )
    conditions_seconds_max: float = Field(
        0.02,
        gt=0,
        description="CPU time for one event's conditions, cooldowns' keys and approvals; the rest: reason budget. The keys of "
        "counts and waits have ten times as much",
    )
    matches_max: int = Field(100, ge=1, description="workflows that one event may start")
    windows_max: int = Field(
        100_000, ge=1, description="counts and waits that a tenant may have open; a further one: reason windows_max"
    )
    append_records_max: int = Field(
        1000,
        ge=1,
        le=10_000,
        description="what a batch leads to is appended in pieces of so many records, before more is matched",
    )
    append_bytes_max: int = Field(
        8_388_608, ge=1, description="the same in bytes; one larger record is a piece by itself"
    )
    retry_seconds: float = Field(0.5, gt=0, description="how long to wait while the log or the definitions are away")
    unplaced_seconds_max: float = Field(
        86_400,
        ge=0,
        description="on Kafka: where the group has no place in a partition (Kafka drops a group's offsets after "
        "`offsets.retention.minutes` without members) and its first event was recorded longer ago than this, nothing of it is "
        "matched until somebody says where to begin",
    )
    commit_interval_seconds: float = Field(0.2, gt=0, description="how often the next offsets to read are committed")
