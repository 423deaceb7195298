"""Making the cluster, and judging one that is there.

Guarantee: `data` is either whole or absent. It is made beside itself under another name and renamed when it is durable,
so a kill or a power cut in the midst leaves rubbish that the next start removes, never half a cluster.
Next: `server.py`.
"""

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from shared.domain.clock import Clock
from shared.runtime.embedded_postgres.binaries import Installation
from shared.runtime.embedded_postgres.errors import EmbeddedPostgresError
from shared.runtime.embedded_postgres.folders import (
    give_tree,
    make_private_folder,
    remove_named,
    remove_tree,
    sync_folder,
)
from shared.runtime.embedded_postgres.identity import Identity, initdb_identity
from shared.runtime.embedded_postgres.keeping import Record
from shared.runtime.embedded_postgres.tools import run

SUPERUSER = "upshot"
DATABASE = "upshot"
_BUILTIN_LOCALE_SINCE = 17
_WAL_SEGMENT_MB = 16  # initdb's choice
_USE_UP_SEGMENT = "SELECT pg_logical_emit_message(true, '', ''), pg_switch_wal()"  # to switch, there must be a record


def check_version(data: Path, installation: Installation) -> None:
    """Refuse data that these programs cannot read, before they do it in more words."""
    try:
        made_by = (data / "PG_VERSION").read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        raise EmbeddedPostgresError(f"{data} is no PostgreSQL cluster any more: PG_VERSION cannot be read") from error
    if made_by != str(installation.major):
        raise EmbeddedPostgresError(
            f"data folder {data} was made by PostgreSQL {made_by}, these binaries are {installation.version}: "
            f"take a dump with the Upshot that made it, or run a PostgreSQL {made_by} on it and set UPSHOT_DATABASE_URL"
        )


async def make_cluster(
    record: Record,
    installation: Installation,
    password: str,
    clock: Clock,
    *,
    min_wal_size_mb: int,
    deadline: float,
    pass_fds: Sequence[int],
) -> None:
    """Make `record.data`. The caller holds the guard, and `pass_fds` carries the server lock into initdb:
    while an initdb that outlived its starter still writes, nobody takes its folder from under it."""
    home = Path(record.home)
    remove_named(home, "initializing")
    remove_named(home, "secret")
    maker = initdb_identity(record.identity)
    draft, secret = home / "initializing", home / "secret"
    make_private_folder(draft, maker.uid, maker.gid)
    try:
        _write_secret(secret, password, maker)
        for argv, stdin in _recipe(draft, secret, installation, min_wal_size_mb):
            outcome = await run(argv, maker, clock, deadline=deadline, stdin=stdin, pass_fds=pass_fds)
            # A stand-alone backend ends well after a failed statement, too.
            if outcome.returncode != 0 or any("ERROR:" in line for line in outcome.lines):
                raise EmbeddedPostgresError(f"could not make a cluster in {home}", log_lines=outcome.lines)
        if maker.uid != record.uid:
            give_tree(draft, maker.uid, record.uid, record.gid)
        draft.rename(record.data)
        sync_folder(home)
    finally:
        remove_tree(secret)
        with suppress(OSError):  # a child of a killed initdb may be writing its last: the next start removes the rest
            remove_tree(draft)


def _recipe(
    draft: Path, secret: Path, installation: Installation, min_wal_size_mb: int
) -> list[tuple[list[str | Path], str]]:
    """Command lines with their input. The last makes all of it durable at once."""
    locale = ["--encoding=UTF8", "--locale=C"]
    if installation.major >= _BUILTIN_LOCALE_SINCE:
        # Sorts by code point like C, the same on every system, and knows upper and lower case beyond ASCII.
        locale += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    initdb: list[str | Path] = [
        installation.program("initdb"),
        f"--pgdata={draft}",
        f"--username={SUPERUSER}",
        f"--pwfile={secret}",
        "--auth=scram-sha-256",
        "--data-checksums",
        "--no-instructions",
        "--no-sync",
        *locale,
    ]
    single: list[str | Path] = [
        installation.program("postgres"),
        "--single",
        "-D",
        draft,
        "-c",
        "fsync=off",
        "-c",
        f"min_wal_size={min_wal_size_mb}MB",
        "template1",
    ]
    # A commit that needs a new file of the write-ahead log waits until it is filled with zeros and flushed: tens of
    # milliseconds. So as many as are kept anyway are used up here, and the checkpoint makes them the next ones.
    segments = min_wal_size_mb // _WAL_SEGMENT_MB
    # What may fail comes last: of what is printed only the end is kept, and looked at.
    statements = [*[_USE_UP_SEGMENT] * segments, "CHECKPOINT", f"CREATE DATABASE {DATABASE}"]
    sync: list[str | Path] = [installation.program("initdb"), "--sync-only", f"--pgdata={draft}"]
    return [(initdb, ""), (single, "\n".join(statements) + "\n"), (sync, "")]


def _write_secret(path: Path, password: str, maker: Identity) -> None:
    """initdb reads the password from a file, as its own user; a pipe of ours it could not open again."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(password + "\n")
        if maker.uid != os.geteuid():
            os.fchown(file.fileno(), maker.uid, maker.gid)
