"""Running PostgreSQL's programs: as whom, in which environment, and what they said.

Next: `cluster.py` and `server.py`.
"""

import asyncio
import os
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from shared.domain.clock import Clock
from shared.runtime.embedded_postgres.errors import EmbeddedPostgresError
from shared.runtime.embedded_postgres.identity import Identity

_POLL_SECONDS = 0.005
LOG_LINES_SHOWN = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a program ended and the last of what it wrote to either stream."""

    returncode: int
    lines: tuple[str, ...]


def spawn(
    argv: Sequence[str | Path],
    identity: Identity,
    *,
    output: int | IO[bytes],
    stdin: int | IO[bytes] = subprocess.DEVNULL,
    pass_fds: Sequence[int] = (),
    new_session: bool = False,
) -> subprocess.Popen[bytes]:
    """Start a program as that user, with nothing of our environment but the loader's search path.

    No HOME, no PG* variables: neither is needed, and the latter would change what the programs do.
    """
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
    if (library_path := os.environ.get("LD_LIBRARY_PATH")) is not None:
        environment["LD_LIBRARY_PATH"] = library_path
    switch = os.geteuid() == 0 and identity.uid != 0
    try:
        return subprocess.Popen(
            [*identity.prefix, *map(str, argv)],
            stdin=stdin,
            stdout=output,
            stderr=output,
            cwd="/",
            env=environment,
            pass_fds=pass_fds,
            start_new_session=new_session,
            umask=0o077,
            user=identity.uid if switch else None,
            group=identity.gid if switch else None,
            extra_groups=() if switch else None,
        )
    except (OSError, subprocess.SubprocessError) as error:
        whom = f" as user {identity.uid}" if switch else ""
        raise EmbeddedPostgresError(
            f"cannot run {argv[0]}{whom}: {error}; run Upshot as an ordinary user, or set UPSHOT_DATABASE_URL"
        ) from error


async def run(
    argv: Sequence[str | Path],
    identity: Identity,
    clock: Clock,
    *,
    deadline: float,
    stdin: str = "",
    pass_fds: Sequence[int] = (),
) -> Outcome:
    """Run a program to its end; past the deadline, or when cancelled, it is killed."""
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as told:
        told.write(stdin.encode())
        told.seek(0)
        process = spawn(argv, identity, output=said, stdin=told, pass_fds=pass_fds, new_session=True)
        try:
            while process.poll() is None:
                if clock.monotonic() > deadline:
                    raise EmbeddedPostgresError(f"{argv[0]} did not end in time", log_lines=_last_lines(said))
                await asyncio.sleep(_POLL_SECONDS)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)  # initdb's own children with it
                process.wait()
        return Outcome(returncode=process.returncode, lines=_last_lines(said))


def log_lines(path: Path, since: int) -> tuple[str, ...]:
    """The last lines of the log that were written after the byte `since`."""
    try:
        with path.open("rb") as file:
            return _last_lines(file, since)
    except OSError:
        return ()


def _last_lines(file: IO[bytes], since: int = 0) -> tuple[str, ...]:
    end = file.seek(0, os.SEEK_END)
    file.seek(max(since if since <= end else 0, end - 16_384))
    text = file.read().decode(errors="replace")
    return tuple(line for line in text.splitlines() if line.strip())[-LOG_LINES_SHOWN:]
