"""What a process holds of the server: its address, a watch over it, and the duty to let go.

`ensure_server` → use `connection` → `release`. Meanwhile one task runs `watch`, which brings the server back when it
dies. Of several processes on one data folder each watches; the guard lets one restart, the others find it running.
Next: `server.py` for how it starts and stops.
"""

import asyncio
import logging
from asyncio import FIRST_COMPLETED
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from shared.domain.clock import Clock
from shared.runtime.clock import SystemClock
from shared.runtime.embedded_postgres.binaries import Installation, locate
from shared.runtime.embedded_postgres.errors import EmbeddedPostgresError
from shared.runtime.embedded_postgres.folders import make_folders
from shared.runtime.embedded_postgres.keeping import Keeping
from shared.runtime.embedded_postgres.locks import FileLock
from shared.runtime.embedded_postgres.places import restart_delay_seconds
from shared.runtime.embedded_postgres.processes import wait_for_exit
from shared.runtime.embedded_postgres.server import Cluster, ConnectionParameters, Running
from shared.runtime.embedded_postgres.settings import EmbeddedPostgresSettings

_LOG = logging.getLogger(__name__)

# A server that lived this long died of something new: its restart does not wait.
_STEADY_SECONDS = 60.0
_LOG_CHECK_SECONDS = 60.0


async def ensure_server(
    data_dir: Path,
    settings: EmbeddedPostgresSettings,
    *,
    installation: Installation | None = None,
    clock: Clock | None = None,
) -> "ServerHandle":
    """The data folder's server, started or attached to; the folder is made where it is missing.

    Raises EmbeddedPostgresError, which names the log and its last lines. Being cancelled leaves nothing behind that the
    next call would not take up.
    """
    clock = clock or SystemClock()
    keeping = Keeping.of(data_dir)
    make_folders(keeping.data_dir)
    make_folders(keeping.folder)
    cluster = Cluster(keeping=keeping, settings=settings, installation=installation or locate(), clock=clock)
    guard, users = FileLock(keeping.lock_file("guard")), FileLock(keeping.lock_file("users"))
    handle = ServerHandle(cluster, guard, users)
    try:
        await handle.enter()
    except BaseException:
        guard.close()
        users.close()
        raise
    return handle


class ServerHandle:
    """One user's hold on a running server. `running` is clear while the server is down and being brought back."""

    def __init__(self, cluster: Cluster, guard: FileLock, users: FileLock) -> None:
        self._cluster = cluster
        self._guard = guard
        self._users = users
        self._server: Running | None = None
        self._released = asyncio.Event()
        self._turn = asyncio.Lock()
        self.running = asyncio.Event()
        self.restarts = 0
        """How often `watch` brought the server back, by its own start or another process's."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.release()

    @property
    def connection(self) -> ConnectionParameters:
        """The superuser's connection; the same over all restarts."""
        return self._known.connection

    @property
    def pid(self) -> int:
        """The postmaster's pid, as last known."""
        return self._known.pid

    @property
    def attached(self) -> bool:
        """Whether the server was found running, rather than started by this process."""
        return self._known.attached

    @property
    def log_path(self) -> Path:
        """The server's log file."""
        return self._cluster.keeping.log

    async def enter(self) -> None:
        """Become a user of the server, and have it run. Called once, by `ensure_server`."""
        async with self._guarded():
            if not self._users.try_shared():
                raise EmbeddedPostgresError(f"{self._users.path} is locked by another program")
            self._server = await self._cluster.ensure()
        self.running.set()

    async def watch(self, on_restart: Callable[["ServerHandle"], None] | None = None) -> None:
        """Bring the server back whenever it dies, until the handle is released; a boundary loop for a task of its own.

        `running` is cleared on a death and set on the return, after which `on_restart` is called. Callers' connections
        are broken by then; the address is the same.
        """
        failures = 0
        while not self._released.is_set():
            up_since = self._cluster.clock.monotonic()
            await self._await_death()
            if self._released.is_set():
                return
            self.running.clear()
            self._known.reap()
            if self._cluster.clock.monotonic() - up_since > _STEADY_SECONDS:
                failures = 0
            _LOG.error("the PostgreSQL server (pid %d) died; its log is %s", self.pid, self.log_path)
            while not self._released.is_set() and not await self._bring_back(failures):
                failures += 1
            failures += 1
            if not self._released.is_set() and on_restart is not None:
                on_restart(self)

    async def release(self) -> None:
        """Let go; the last user of the data folder stops the server. Doing it again does nothing."""
        if self._released.is_set():
            return
        self._released.set()
        try:
            async with self._guarded():
                self.running.clear()
                if self._users.try_exclusive():
                    await self._cluster.stop(self._known)
                else:
                    self._known.leave()
        finally:
            self._users.close()
            self._guard.close()

    @property
    def _known(self) -> Running:
        assert self._server is not None, "ensure_server returns handles of running servers only"
        return self._server

    async def _await_death(self) -> None:
        """Return when the server is dead or the handle released; look after the log's size meanwhile."""
        death = asyncio.ensure_future(wait_for_exit(self._known.pid, self._known.data))
        release = asyncio.ensure_future(self._released.wait())
        try:
            while not (await asyncio.wait({death, release}, timeout=_LOG_CHECK_SECONDS, return_when=FIRST_COMPLETED))[
                0
            ]:
                async with self._turn:
                    if not self._released.is_set() and self._guard.try_exclusive():
                        self._cluster.bound_log()
                        self._guard.unlock()
        finally:
            death.cancel()
            release.cancel()

    async def _bring_back(self, failures: int) -> bool:
        """One try, after its delay; true also when there is nothing left to do."""
        delay = restart_delay_seconds(failures, self._cluster.settings.restart_delay_seconds_max)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._released.wait(), delay)
        try:
            async with self._guarded():
                if self._released.is_set():
                    return True
                dead = self._known
                self._server = await self._cluster.ensure()
                dead.reap()  # it may not have been quite dead when its death was noticed
        except EmbeddedPostgresError:
            _LOG.exception("the PostgreSQL server could not be brought back; trying again")
            return False
        self.restarts += 1
        self.running.set()
        _LOG.warning("the PostgreSQL server is back (pid %d)", self.pid)
        return True

    @asynccontextmanager
    async def _guarded(self) -> AsyncIterator[None]:
        """The guard, held against other processes by the kernel and against our own tasks by an asyncio lock."""
        clock, timeout = self._cluster.clock, self._cluster.settings.start_timeout_seconds
        async with self._turn:
            if self._guard.closed:  # released meanwhile: the caller will find that out
                yield
                return
            if not await self._guard.exclusive(clock, clock.monotonic() + timeout):
                raise EmbeddedPostgresError(
                    f"another process has been starting or stopping the server of {self._cluster.keeping.data_dir} "
                    f"for {timeout:g} s",
                    log_path=self.log_path,
                )
            try:
                yield
            finally:
                self._guard.unlock()
