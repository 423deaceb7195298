"""The whole platform as a user runs it: a real `upshot up` process, its commands, and the ways in which it can be ended.

Guarantee: `running_platform` ends what it started, PostgreSQL included, however the test ends; the workspace's watchdog does
so even when the test process itself is killed. Next: `tenant_client.py`, one tenant's hands on the HTTP interface.
"""

import asyncio
import contextlib
import json
import os
import shutil
import signal
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import psutil

from shared.runtime.clock import SystemRandomness
from shared.runtime.embedded_postgres.processes import parent_among, server_processes
from shared.runtime.secret_file import jwt_secret
from shared.testing.clusters import give_cluster
from shared.testing.spawning import Process, spawned
from shared.testing.waiting import eventually
from shared.testing.warm import COMMAND, REPOSITORY
from shared.testing.workspace import Workspace

UP = (*COMMAND, "up")
START_SECONDS = 60.0
STOP_SECONDS = 30.0
COMMAND_SECONDS = 60.0
JWT_SECRET = "for-tests-only-0123456789abcdef"  # noqa: S105  so that tests can sign tokens by themselves
_LOG_TAIL_CHARACTERS = 6000


class CommandFailed(Exception):
    """A command of `upshot` ended with another status than 0."""

    def __init__(self, arguments: tuple[str, ...], status: int, output: str, errors: str) -> None:
        super().__init__(f"upshot {' '.join(arguments)} ended with {status}\n{output[-2000:]}\n{errors[-4000:]}")
        self.status = status
        self.output = output
        self.errors = errors


class RunningPlatform:
    """One data folder and, most of the time, one process on it. Made by `running_platform`.

    `warm`: where tests may fork its processes from one that has imported everything, they do (`warm.py`).
    """

    def __init__(
        self,
        data_dir: Path,
        system_dir: Path,
        environment: Mapping[str, str],
        *,
        name: str = "app",
        command: tuple[str, ...] = UP,
        port: int = 0,
        warm: bool = True,
    ) -> None:
        self.data_dir = data_dir
        self.log_path = data_dir.parent / f"{data_dir.name}-{name}.log"
        self.url = ""
        self.starts = 0
        self._command = command
        self._process: Process | None = None
        self._port = port
        self._warm = warm
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("UPSHOT_")}
        chosen = {
            **inherited,
            "UPSHOT_DATA_DIR": str(data_dir),
            "UPSHOT_POSTGRES_SYSTEM_DIR": str(system_dir),
            "UPSHOT_JWT_SECRET": JWT_SECRET,
            "PYTHONPATH": str(REPOSITORY),
            # Of what is forked it would be a copy of all that is loaded, for seconds of life.
            "UPSHOT_HUGE_PAGES": "false" if warm else "",
            **environment,
        }
        # An empty value leaves the setting to its default.
        self._environment = {name: value for name, value in chosen.items() if value}

    @property
    def environment(self) -> Mapping[str, str]:
        """What it and its commands run with."""
        return self._environment

    # ------------------------------------------------------------ its life

    async def start(self, **environment: str) -> None:
        """Run it, on the port of the last time if there was one. Returns when it has said that it is ready."""
        assert self._process is None or self._process.returncode is not None, "it runs already"
        self._environment.update(environment)
        self._process = await self._spawn(self._command, errors=self.log_path)
        try:
            async with asyncio.timeout(START_SECONDS):
                ready = await self._ready_line()
        except TimeoutError:
            raise AssertionError(f"not ready within {START_SECONDS:g} s\n{self.log_tail()}") from None
        self.starts += 1
        self.url = str(ready["url"])
        self._port = int(self.url.rpartition(":")[2])

    async def _ready_line(self) -> dict[str, object]:
        output = self.process.stdout
        assert output is not None  # started with a pipe
        while line := await output.readline():
            if line.startswith(b"{"):
                said = json.loads(line)
                if isinstance(said, dict) and "url" in said:
                    return said
        status = await self.process.wait()
        raise AssertionError(f"`upshot {self._command[-1]}` ended with {status} before it was ready\n{self.log_tail()}")

    @property
    def process(self) -> Process:
        assert self._process is not None, "start it first"
        return self._process

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def port(self) -> int:
        return self._port

    @property
    def jwt_secret(self) -> bytes:
        """What this installation signs tokens with: what it was told, else what it made for itself."""
        told = self._environment.get("UPSHOT_JWT_SECRET")
        return told.encode() if told else jwt_secret(None, self.data_dir, SystemRandomness())

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def kill9(self) -> None:
        """The process is gone at once, with no chance to tidy up. PostgreSQL goes on."""
        self.process.kill()
        await self.process.wait()

    def freeze(self) -> None:
        """SIGSTOP: the process stands still, connections open."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    async def stop(self) -> int:
        """SIGTERM, as an operator stops it; its exit status. Killed when it takes too long, which is an error."""
        if not self.alive:
            return self.process.returncode or 0
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                return await self.process.wait()
        except TimeoutError:
            await self.kill9()
            raise AssertionError(f"SIGTERM did not end it within {STOP_SECONDS:g} s\n{self.log_tail()}") from None

    async def ended(self) -> None:
        """Return when the process has ended by itself."""
        await self.process.wait()

    async def restart(self) -> None:
        """Again, on the same data folder and port, after a kill or a stop."""
        await self.start()

    def url_for(self, path: str) -> str:
        """Of whichever process answers `path`: this one."""
        del path
        return self.url

    # ------------------------------------------------------------ its PostgreSQL

    def postgres_data(self) -> Path:
        """The cluster's own folder, wherever the supervisor put it."""
        record = json.loads((self.data_dir / "postgres" / "cluster.json").read_text(encoding="utf-8"))
        return Path(record["home"]) / "data"

    def postmaster_pid(self) -> int | None:
        """The running server's pid, or None where there is none."""
        try:
            data = self.postgres_data()
        except FileNotFoundError:
            return None
        return parent_among(server_processes(data))

    def kill9_postmaster(self) -> int | None:
        """Kill the server's parent process; its backends end by themselves. The pid that it had, or None: there was none."""
        pid = self.postmaster_pid()
        if pid is None:
            return None
        try:
            psutil.Process(pid).kill()
        except psutil.NoSuchProcess:
            return None
        return pid

    # ------------------------------------------------------------ its commands

    async def cli(self, *arguments: str, timeout_seconds: float = COMMAND_SECONDS) -> str:
        """What `upshot ARGUMENTS` prints. Raises CommandFailed."""
        process = await self.spawn_cli(*arguments)
        try:
            async with asyncio.timeout(timeout_seconds):
                output, errors = await process.communicate()
        except BaseException:
            if process.returncode is None:
                process.kill()
                await process.wait()
            raise
        if process.returncode != 0:
            raise CommandFailed(arguments, process.returncode or 0, output.decode(), errors.decode())
        return output.decode()

    async def spawn_cli(self, *arguments: str) -> Process:
        """`upshot ARGUMENTS` as a process that the caller waits for."""
        return await self._spawn((*COMMAND, *arguments))

    async def _spawn(self, command: tuple[str, ...], *, errors: Path | int = PIPE) -> Process:
        environment = {**self._environment, "UPSHOT_HTTP_PORT": str(self._port)}
        return await spawned(command, environment, errors=errors, warm=self._warm)

    def log_tail(self) -> str:
        """The end of what the process wrote to standard error, for failure messages."""
        try:
            text = self.log_path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return "(no log)"
        return text[-_LOG_TAIL_CHARACTERS:]


@asynccontextmanager
async def running_platform(
    space: Workspace,
    name: str,
    *,
    environment: Mapping[str, str] | None = None,
    command: tuple[str, ...] = UP,
    warm: bool = True,
) -> AsyncIterator[RunningPlatform]:
    """A platform on a new data folder, started, and ended on the way out together with its PostgreSQL."""
    platform = RunningPlatform(space.data_dir(name), space.system_dir, environment or {}, command=command, warm=warm)
    try:
        if warm and "UPSHOT_DATABASE_URL" not in platform.environment:
            await give_cluster(space, platform.data_dir)
        await platform.start()
        yield platform
    finally:
        await ended(platform)


@asynccontextmanager
async def second_process(
    platform: RunningPlatform, space: Workspace, *, environment: Mapping[str, str] | None = None
) -> AsyncIterator[RunningPlatform]:
    """Another `upshot up` on the same data folder, on a port of its own."""
    other = RunningPlatform(platform.data_dir, space.system_dir, environment or {}, name="second")
    try:
        await other.start()
        yield other
    finally:
        if other.alive:
            other.thaw()
            await other.stop()


async def ended(platform: RunningPlatform) -> None:
    """Ended in order, its PostgreSQL with it, and its data gone: a hundred megabytes, perhaps of memory."""
    try:
        if platform.alive:
            platform.thaw()
            await platform.stop()
    finally:
        if platform.alive:
            await platform.kill9()

        # After a kill -9 nobody is left to stop the server.
        async def is_gone() -> bool:
            return not platform.kill9_postmaster()

        await eventually(is_gone, "PostgreSQL has ended", timeout_seconds=STOP_SECONDS)
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(platform.postgres_data().parent, ignore_errors=True)
        shutil.rmtree(platform.data_dir, ignore_errors=True)
