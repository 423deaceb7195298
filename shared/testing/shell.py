"""Shell commands with `upshot` among them, each call of which is a warm process.

Next: `warm.py`; `warm_client.py` for what the shell really runs; `markdown.py` for the documents' commands.
"""

import asyncio
import contextlib
import json
import os
import shlex
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from shared.testing import warm_client
from shared.testing.platform import RunningPlatform
from shared.testing.warm import COMMAND, REPOSITORY, WarmProcess, can_be_warm

_ASKING_SECONDS_MAX = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Shell:
    """`folder` holds the executable `upshot`, and is put first on PATH. Made by `shell_with_upshot`."""

    folder: Path

    def path(self) -> str:
        return f"{self.folder}:{os.environ['PATH']}"

    async def run(self, platform: RunningPlatform, commands: str, **environment: str) -> str:
        """What they print, errors included, on the platform's data folder. They must end well."""
        process = await asyncio.create_subprocess_exec(
            *("bash", "-euc", commands),
            cwd=REPOSITORY,
            env={**os.environ, **platform.environment, "UPSHOT_HTTP_PORT": "0", **environment, "PATH": self.path()},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        assert process.returncode == 0, output.decode()
        return output.decode()


@asynccontextmanager
async def shell_with_upshot(folder: Path) -> AsyncIterator[Shell]:
    """`folder` is new, its path short. While a shell runs, the event loop must, too."""
    address = _make_launcher(folder)
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(address))
        listener.listen()
        async with asyncio.TaskGroup() as group:
            loop.add_reader(listener, lambda: group.create_task(_serve(listener.accept()[0])))
            try:
                yield Shell(folder=folder)
            finally:
                loop.remove_reader(listener)


def _make_launcher(folder: Path) -> Path:
    """The address that it will ask at."""
    folder.mkdir()
    address = folder / "socket"
    client = shlex.join([sys.executable, "-SE", warm_client.__file__, str(address)])
    launcher = folder / "upshot"
    launcher.write_text(f'#!/bin/sh\nPYTHONPATH={shlex.quote(str(REPOSITORY))} exec {client} "$@"\n', encoding="utf-8")
    launcher.chmod(0o755)
    return address


async def _serve(connection: socket.socket) -> None:
    """One command, from being asked for to its exit status. Where the shell's own process is gone, it is told to end."""
    loop = asyncio.get_running_loop()
    with connection:
        connection.settimeout(_ASKING_SECONDS_MAX)
        length, descriptors, _, _ = socket.recv_fds(connection, 4, 2)
        asked = connection.recv(int.from_bytes(length, "big"), socket.MSG_WAITALL)
        process = _started(asked, descriptors)
        if process is None:
            with contextlib.suppress(ConnectionError):
                connection.sendall(warm_client.COLD)
            return

        def is_gone() -> None:
            loop.remove_reader(connection)
            process.terminate()

        loop.add_reader(connection, is_gone)
        status = await process.wait()
        loop.remove_reader(connection)
        with contextlib.suppress(ConnectionError):
            connection.sendall(str(status if status >= 0 else 128 - status).encode())


def _started(asked: bytes, descriptors: Sequence[int]) -> WarmProcess | None:
    """None, and the descriptors closed: it was killed before it could ask, or what it asks for cannot be warm."""
    if asked:
        arguments, environment, cwd = json.loads(asked)
        if can_be_warm((*COMMAND, *arguments), environment):
            return WarmProcess.start_writing(arguments, environment, Path(cwd), *descriptors)
    for each in descriptors:
        os.close(each)
    return None
