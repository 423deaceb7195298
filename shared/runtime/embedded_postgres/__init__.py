"""A real PostgreSQL of our own: the binaries that pip installs, under a supervisor that this package is.

Guarantee: one data folder has at most one server, whoever starts it and however its starters die; the last live
process that uses the folder stops it; its address and password never change. What holds that are kernel locks
(`locks.py`), never the word of a pid file.
Next: `server.py` (start, attach, stop), then `handle.py` (what callers hold).
"""

from shared.runtime.embedded_postgres.binaries import Installation, locate
from shared.runtime.embedded_postgres.errors import EmbeddedPostgresError
from shared.runtime.embedded_postgres.handle import ServerHandle, ensure_server
from shared.runtime.embedded_postgres.keeping import has_cluster
from shared.runtime.embedded_postgres.places import default_data_dir
from shared.runtime.embedded_postgres.server import ConnectionParameters
from shared.runtime.embedded_postgres.settings import EmbeddedPostgresSettings

__all__ = [
    "ConnectionParameters",
    "EmbeddedPostgresError",
    "EmbeddedPostgresSettings",
    "Installation",
    "ServerHandle",
    "default_data_dir",
    "ensure_server",
    "has_cluster",
    "locate",
]
