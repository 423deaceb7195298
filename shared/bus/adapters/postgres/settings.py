"""Every limit and period of the PostgreSQL log, with its unit."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.bus.sizes import RECORD_BYTES_MAX_DEFAULT


class BusSettings(BaseSettings):
    """Read from the environment, prefix `UPSHOT_BUS_`. Defaults suit one node and a distributed set-up alike."""

    model_config = SettingsConfigDict(env_prefix="UPSHOT_BUS_", frozen=True, extra="ignore")

    partition_count: int = Field(
        default=32, ge=1, le=1024, description="Partitions of every topic; fixed for a log's life."
    )
    segment_records: int = Field(
        default=1_000_000, ge=1, description="Offsets per table segment of a topic; fixed for a topic's life."
    )
    archive_dir: Path | None = Field(
        default=None,
        description="Folder of exported segments, where it is another than the one they were exported to.",
    )
    record_bytes_max: int = Field(
        default=RECORD_BYTES_MAX_DEFAULT, ge=1, description="Largest record (key, headers and value), in bytes."
    )
    append_records_max: int = Field(
        default=10_000, ge=1, description="Most records of one append call, which is never split over commits."
    )
    commit_records_max: int = Field(
        default=2_000, ge=1, description="Records after which a group commit takes no further caller in."
    )
    commit_bytes_max: int = Field(
        default=8 * 1024 * 1024, ge=1, description="Bytes after which a group commit takes no further caller in."
    )
    queue_records_max: int = Field(
        default=20_000, ge=1, description="Records waiting for a commit beyond which append waits before it queues."
    )
    queue_bytes_max: int = Field(
        default=64 * 1024 * 1024,
        ge=1,
        description="Bytes waiting for a commit beyond which append waits before it queues.",
    )
    fetch_bytes_max: int = Field(
        default=8 * 1024 * 1024,
        ge=1,
        description="Bytes that one read of the server brings at most, one record at least.",
    )
    tail_bytes_max: int = Field(
        default=6 * 1024 * 1024,
        ge=0,
        description="Bytes of records kept in memory at the ends of partitions, so that level readers need no query. Much more "
        "costs time: what is let go is then no longer in the processor's caches.",
    )
    read_connections: int = Field(default=2, ge=1, le=32, description="Connections shared by this bus's readers.")
    poll_interval_seconds: float = Field(
        default=0.25,
        gt=0,
        le=60,
        description="Period of asking for other processes' appends, should their notification be lost, in seconds.",
    )
    notify_interval_seconds: float = Field(
        default=0.002, ge=0, le=60, description="Least time between two notifications to other processes, in seconds."
    )
    statement_timeout_seconds: float = Field(
        default=8.0, gt=0, lt=10, description="Longest statement; no transaction on the log's server outlives 10 s."
    )
    reconnect_seconds_max: float = Field(
        default=2.0, gt=0, le=60, description="Longest pause between two attempts to connect, in seconds."
    )
    heartbeat_interval_seconds: float = Field(
        default=1.0, gt=0, le=60, description="Period of a group member's heartbeats, in seconds."
    )
    session_timeout_seconds: float = Field(
        default=6.0, gt=0, le=600, description="Silence after which a member loses its partitions, in seconds."
    )
