"""PostgreSQL's configuration, rendered from ours. Pure.

Written anew at each start, on top of what initdb chose for this machine; `ALTER SYSTEM` still overrules it, except for
the address, which is given on the command line: it may not change while the data folder lives.
Next: `server.py`.
"""

from pathlib import Path

from shared.runtime.embedded_postgres.settings import EmbeddedPostgresSettings

# No trust, no network: whoever gets as far as the socket in its private folder still needs the password.
PG_HBA = """\
# Written by Upshot at each start.
local all         all scram-sha-256
local replication all scram-sha-256
"""


def render_configuration(settings: EmbeddedPostgresSettings, data: Path) -> str:
    """The server's configuration file."""
    values = {
        # durability: an acknowledged commit survives the loss of power
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "wal_level": "replica",  # so that pg_basebackup can copy a running server
        "min_wal_size": f"{settings.min_wal_size_mb}MB",
        "max_wal_size": f"{settings.max_wal_size_mb}MB",
        # size
        "max_connections": str(settings.max_connections),
        "shared_buffers": f"{settings.shared_buffers_mb}MB",
        # who may
        "password_encryption": "scram-sha-256",
        "unix_socket_permissions": "0700",
        # the same everywhere
        "timezone": "UTC",
        "log_timezone": "UTC",
        "jit": "off",  # compiling costs more than it saves in short queries, and its first use stalls one
        "log_line_prefix": "%m [%p] %q%u@%d ",
        "logging_collector": "off",  # stderr is our log file, bounded by the supervisor
        "cluster_name": "upshot",
    }
    lines = ["# Written by Upshot at each start: set UPSHOT_POSTGRES_* or ALTER SYSTEM instead of editing."]
    lines.append(f"include {quote(str(data / 'postgresql.conf'))}")
    lines += [f"{name} = {quote(value)}" for name, value in values.items()]
    return "\n".join(lines) + "\n"


def server_arguments(*, data: Path, configuration: Path, hba: Path, socket_dir: Path, port: int) -> list[str]:
    """The postmaster's arguments: what must hold whatever any file says."""
    pinned = {
        "config_file": str(configuration),
        "hba_file": str(hba),
        "listen_addresses": "",
        "unix_socket_directories": quote_folder(socket_dir),
        "port": str(port),
    }
    return ["-D", str(data), *(part for name, value in pinned.items() for part in ("-c", f"{name}={value}"))]


def quote(value: str) -> str:
    """A string of PostgreSQL's configuration files."""
    escaped = value.replace("\\", "\\\\").replace("'", "''").replace("\n", "\\n")
    return f"'{escaped}'"


def quote_folder(folder: Path) -> str:
    """One folder in a setting that lists folders: commas and spaces in its name stay part of it."""
    doubled = str(folder).replace('"', '""')
    return f'"{doubled}"'
