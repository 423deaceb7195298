"""Starting, finding and stopping the one server of a data folder. Callers hold the guard lock throughout.

The server lock (see `locks.py`) says whether any process of the server lives; postmaster.pid and `processes.py` say
which one is the postmaster.
Next: `handle.py`, which watches it.
"""

import asyncio
import logging
import os
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlencode

from shared.domain.clock import Clock
from shared.runtime.embedded_postgres.binaries import Installation, reachable_by
from shared.runtime.embedded_postgres.cluster import DATABASE, SUPERUSER, check_version, make_cluster
from shared.runtime.embedded_postgres.configuration import PG_HBA, render_configuration, server_arguments
from shared.runtime.embedded_postgres.errors import EmbeddedPostgresError
from shared.runtime.embedded_postgres.folders import barrier, give_to_folders_owner, write_whole
from shared.runtime.embedded_postgres.keeping import Keeping, Record, make_home, prepare_socket_folder, settle
from shared.runtime.embedded_postgres.locks import POLL_SECONDS, FileLock
from shared.runtime.embedded_postgres.pidfile import PidFile, parse_pid_file
from shared.runtime.embedded_postgres.processes import (
    is_server_process,
    parent_among,
    server_processes,
    signal_server_process,
)
from shared.runtime.embedded_postgres.settings import EmbeddedPostgresSettings
from shared.runtime.embedded_postgres.tools import log_lines, spawn

_LOG = logging.getLogger(__name__)

# Backends notice the postmaster's death at their next wait, most within milliseconds; one deep in a query does not.
_ORPHANS_GRACE_SECONDS = 1.0
_QUIT_GRACE_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionParameters:
    """How to reach the server as its superuser; equal over restarts. `host` is the socket's folder."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)
    database: str

    def dsn(self) -> str:
        """The same as a URL, as asyncpg, psycopg and libpq read it. Holds the password: not for logs."""
        where = urlencode({"host": self.host, "port": self.port}, quote_via=quote)
        return f"postgresql://{quote(self.user)}:{quote(self.password, safe='')}@/{quote(self.database)}?{where}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A server that is ready. `child` where this process started it, so that it can be reaped."""

    pid: int
    data: Path
    connection: ConnectionParameters
    child: subprocess.Popen[bytes] | None

    @property
    def attached(self) -> bool:
        return self.child is None

    def reap(self) -> None:
        """Take notice of a child's end, lest it stays a zombie."""
        if self.child is not None:
            self.child.poll()

    def leave(self) -> None:
        """The server outlives our interest in it: its Popen must not complain about that when collected."""
        if self.child is not None and self.child.poll() is None:
            self.child.returncode = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """One data folder's server, as its settings want it."""

    keeping: Keeping
    settings: EmbeddedPostgresSettings
    installation: Installation
    clock: Clock

    async def ensure(self) -> Running:
        """Attach to the live server, else start it, else make the cluster first."""
        deadline = self.clock.monotonic() + self.settings.start_timeout_seconds
        try:
            return await self._ensure(deadline)
        except OSError as error:  # no space, no permission, no folder any more
            raise EmbeddedPostgresError(f"cannot have a server on {self.keeping.data_dir}: {error}") from error

    async def _ensure(self, deadline: float) -> Running:
        record = settle(self.keeping, self.settings)
        lock = FileLock(self.keeping.lock_file("server"))
        try:
            if (pid := await self._await_silence_or_ready(lock, record, deadline)) is not None:
                return self._running(record, pid, child=None)
            return await self._start(lock, record, deadline)
        finally:
            lock.close()

    async def stop(self, last_known: Running) -> None:
        """Stop it cleanly: sessions ended, a checkpoint written; harder where that takes too long."""
        data, lock = last_known.data, FileLock(self.keeping.lock_file("server"))
        timeouts = (self.settings.stop_timeout_seconds, _QUIT_GRACE_SECONDS, _QUIT_GRACE_SECONDS)
        try:
            for number, timeout in zip((signal.SIGINT, signal.SIGQUIT, signal.SIGKILL), timeouts, strict=True):
                # Another process may have restarted it since; a postmaster passes a clean stop on to its backends.
                hint = _pid_file(data)
                clean = number == signal.SIGINT and hint is not None and is_server_process(hint.pid, data)
                for pid in [hint.pid] if hint is not None and clean else server_processes(data):
                    signal_server_process(pid, data, number)
                if await lock.exclusive(self.clock, self.clock.monotonic() + timeout, meanwhile=last_known.reap):
                    self._remove_short_folder(last_known)
                    return
                _LOG.warning("the server did not stop on %s within %g s", number.name, timeout)
            raise self._error(f"the server of {data} cannot be stopped")
        finally:
            last_known.leave()
            lock.close()

    def bound_log(self) -> None:
        """Move the log aside once it is large. The server appends, so it goes on at the emptied file's beginning."""
        log = self.keeping.log
        if log.exists() and log.stat().st_size > self.settings.log_bytes_max:
            kept = log.with_name(f"{log.name}.1")
            kept.unlink(missing_ok=True)
            with log.open("r+b") as file, kept.open("xb") as copy:
                os.fchmod(copy.fileno(), 0o600)
                while chunk := file.read(1_048_576):
                    copy.write(chunk)
                file.truncate(0)

    async def _await_silence_or_ready(self, lock: FileLock, record: Record, deadline: float) -> int | None:
        """None, with the lock taken: no process of the server lives. A pid: that postmaster is ready."""
        orphaned_since: float | None = None
        while not lock.try_exclusive():
            now = self.clock.monotonic()
            hint = _pid_file(record.data)
            if hint is not None and is_server_process(hint.pid, record.data):
                orphaned_since = None
                if hint.ready:
                    return hint.pid
                if now > deadline:
                    raise self._error(
                        f"the server (pid {hint.pid}) is still {hint.status or 'starting'}; it is left to go on"
                    )
            elif now > deadline:
                raise self._error(
                    f"a process holds {lock.path}, and it is no server process of {record.data} that "
                    "can be seen from here: an initdb that hangs, or a server in another container"
                )
            else:
                orphaned_since = now if orphaned_since is None else orphaned_since
                if now - orphaned_since > _ORPHANS_GRACE_SECONDS:
                    remaining = server_processes(record.data)
                    if (postmaster := parent_among(remaining)) is not None:
                        return postmaster  # its pid file was damaged, it was not
                    self._end_orphans(remaining, record.data, now - orphaned_since)
            await asyncio.sleep(POLL_SECONDS)
        return None

    def _end_orphans(self, pids: list[int], data: Path, waited_seconds: float) -> None:
        """The postmaster is dead, backends are not, though they had their chance: they would write beside a new one."""
        number = signal.SIGQUIT if waited_seconds < 2 * _ORPHANS_GRACE_SECONDS else signal.SIGKILL
        for pid in pids:
            if signal_server_process(pid, data, number):
                _LOG.warning("sent %s to process %d, which outlived its postmaster", number.name, pid)

    async def _start(self, lock: FileLock, record: Record, deadline: float) -> Running:
        """Start a server that inherits the taken lock."""
        installation = await reachable_by(
            self.installation, record.identity, self.settings.system_dir, self.clock, deadline
        )
        make_home(record, self.keeping)
        home = Path(record.home)
        if (blocked := barrier(home, record.uid, record.gid)) is not None:
            raise self._error(f"user {record.uid}, whom the server runs as, cannot pass {blocked} on the way to {home}")
        password = self.keeping.password(cluster_exists=record.data.exists())
        if record.data.exists():
            check_version(record.data, installation)
            self._remove_stale_pid_files(record)
        else:
            await make_cluster(
                record,
                installation,
                password,
                self.clock,
                min_wal_size_mb=self.settings.min_wal_size_mb,
                deadline=deadline,
                pass_fds=[lock.descriptor],
            )
        record = prepare_socket_folder(record, self.keeping)
        configuration, hba = home / "postgresql.conf", home / "pg_hba.conf"
        write_whole(configuration, render_configuration(self.settings, record.data), mode=0o644)
        write_whole(hba, PG_HBA, mode=0o644)
        self.bound_log()
        arguments = server_arguments(
            data=record.data, configuration=configuration, hba=hba, socket_dir=Path(record.socket_dir), port=record.port
        )
        log = os.open(self.keeping.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            give_to_folders_owner(log, self.keeping.folder)
            log_start = os.fstat(log).st_size
            child = spawn(
                [installation.program("postgres"), *arguments],
                record.identity,
                output=log,
                pass_fds=[lock.descriptor],
                new_session=True,
            )
        finally:
            os.close(log)
        try:
            await self._await_ready(child, record, deadline, log_start)
        except BaseException:
            # Cancelled or failed: a server that nobody asked for any more goes down in its own time, locks held.
            if child.poll() is None:
                child.send_signal(signal.SIGINT)
                child.returncode = 0
            raise
        return self._running(record, child.pid, child=child)

    async def _await_ready(
        self, child: subprocess.Popen[bytes], record: Record, deadline: float, log_start: int
    ) -> None:
        while True:
            hint = _pid_file(record.data)
            if hint is not None and hint.pid == child.pid and hint.ready:
                return
            if child.poll() is not None:
                raise self._error(f"the server ended while starting, with code {child.returncode}", since=log_start)
            if self.clock.monotonic() > deadline:
                raise self._error(
                    f"the server did not become ready within {self.settings.start_timeout_seconds:g} s "
                    "(UPSHOT_POSTGRES_START_TIMEOUT_SECONDS)",
                    since=log_start,
                )
            await asyncio.sleep(POLL_SECONDS)

    def _remove_stale_pid_files(self, record: Record) -> None:
        """No server of ours lives, but its pid may belong to another program by now, or to a zombie that its parent has
        not reaped: PostgreSQL would take either for a live postmaster. It leaves two such files, data and socket."""
        hint = _pid_file(record.data)
        if hint is not None and is_server_process(hint.pid, record.data):
            raise self._error(
                f"a PostgreSQL (pid {hint.pid}) that Upshot did not start runs on {record.data}; stop it first"
            )
        (record.data / "postmaster.pid").unlink(missing_ok=True)
        (Path(record.socket_dir) / f".s.PGSQL.{record.port}.lock").unlink(missing_ok=True)

    def _running(self, record: Record, pid: int, *, child: subprocess.Popen[bytes] | None) -> Running:
        connection = ConnectionParameters(
            host=record.socket_dir,
            port=record.port,
            user=SUPERUSER,
            password=self.keeping.password(cluster_exists=True),
            database=DATABASE,
        )
        return Running(pid=pid, data=record.data, connection=connection, child=child)

    def _remove_short_folder(self, running: Running) -> None:
        """What lies in /run or /tmp goes with the server; its name stays on record, and is taken again if free."""
        folder = Path(running.connection.host)
        if folder.parent != running.data.parent:
            try:
                folder.rmdir()
            except OSError as error:
                _LOG.warning("left the socket's folder %s: %s", folder, error.strerror)

    def _error(self, detail: str, *, since: int = 0) -> EmbeddedPostgresError:
        lines = log_lines(self.keeping.log, since)
        return EmbeddedPostgresError(detail, log_path=self.keeping.log, log_lines=lines)


def _pid_file(data: Path) -> PidFile | None:
    try:
        return parse_pid_file((data / "postmaster.pid").read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return None
