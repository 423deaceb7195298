"""The embedded server's settings; each is read from `UPSHOT_POSTGRES_<NAME>`.

Durability (fsync, synchronous commit, checksums, scram) is no setting: it is what the product promises.
Next: `configuration.py`, which writes them as PostgreSQL's configuration.
"""

from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

Seconds = Annotated[float, Field(gt=0)]


class EmbeddedPostgresSettings(BaseSettings):
    """How the PostgreSQL that Upshot runs itself is set up. Changes apply when the server next starts."""

    model_config = SettingsConfigDict(env_prefix="UPSHOT_POSTGRES_", frozen=True, extra="ignore")

    port: int = Field(
        5432,
        ge=1,
        le=65535,
        description="Names the socket file of a new data folder: the server listens on no network.",
    )
    max_connections: int = Field(100, ge=10, le=10_000, description="Connections that the server accepts at once.")
    shared_buffers_mb: int = Field(128, ge=16, description="Memory for PostgreSQL's own page cache, in MiB.")
    max_wal_size_mb: int = Field(
        1024,
        ge=64,
        description="Write-ahead log between two checkpoints, in MiB: it bounds crash recovery (2 GB took 10 s).",
    )
    min_wal_size_mb: int = Field(
        128,
        ge=32,
        le=1024,
        description=(
            "Write-ahead log for which files are always ready, in MiB, in a new data folder too: a commit that needs a new "
            "file waits 15-30 ms for it. An event takes about 14 KB until the next checkpoint makes its file a new one."
        ),
    )
    log_bytes_max: int = Field(
        16_000_000, ge=100_000, description="Beyond this the server's log is moved to postgresql.log.1, replacing it."
    )
    start_timeout_seconds: Seconds = Field(120.0, description="Longest wait for a start, crash recovery included.")
    stop_timeout_seconds: Seconds = Field(
        30.0,
        description="Longest wait for a clean stop; then the server is stopped hard, and recovers at its next start.",
    )
    restart_delay_seconds_max: Seconds = Field(
        30.0, description="A server that keeps dying is restarted after 0, 0.5, 1, 2, … seconds, at most this."
    )
    server_uid: int = Field(
        60806,
        ge=1,
        le=65533,
        description=(
            "Only when Upshot runs as root, as which PostgreSQL refuses to run: the server's numeric user, unless the "
            "system has a user named upshot. A number with an entry in /etc/passwd is passed over for the next without."
        ),
    )
    system_dir: Path = Field(
        Path("/var/lib/upshot"),
        description=(
            "Only when Upshot runs as root: where clusters and binaries are kept that the server's user could not "
            "reach in the data folder or in Python's site-packages."
        ),
    )
