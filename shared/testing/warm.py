"""Processes of the `upshot` command that are spared its imports: forked by multiprocessing's fork server, which has made them.

Imports are most of what it costs to start one, and tests start hundreds. Each is a process of its own all the same, in a
session of its own, with the environment and the output that it was given; it is killed, frozen and waited for like any
other, and what it starts itself may be warm, too. Only after `begin`, which `tests/conftest.py` calls, unless
`UPSHOT_TEST_WARM=0` says that every process is to start from nothing; benchmarks do not. Next: `spawning.py`, which starts
them; `shell.py` for commands in shells.
"""

import asyncio
import contextlib
import os
import runpy
import signal
import sys
import threading
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import Mapping, Sequence
from multiprocessing import forkserver, get_context
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Self
from unittest.mock import patch

COMMAND = (sys.executable, "-m", "services")
REPOSITORY = Path(__file__).resolve().parents[2]
STREAM_BYTES_MAX = 1_000_000
_READ_WHEN_IMPORTED = ("UPSHOT_NATIVE", "LD_PRELOAD", "OPENSSL_CONF", "SSL_CERT_FILE", "SSL_CERT_DIR", "TZ")

_begun = threading.Event()

_context = get_context("forkserver")


def begin(folder: Path) -> None:
    """From now on processes may be warm. The workspace `folder`'s watchdog ends those that nobody has ended."""
    services = sorted((REPOSITORY / "services").rglob("*.py"))
    names = (
        ".".join(each.relative_to(REPOSITORY).with_suffix("").parts) for each in services if each.stem != "__main__"
    )
    modules = [__name__, "shared.bus.adapters.kafka", *(name.removesuffix(".__init__") for name in names)]
    _context.set_forkserver_preload(modules)
    # What is forked shows the environment of what it was forked from: there the watchdog sees whose it is.
    with patch.dict(os.environ, UPSHOT_DATA_DIR=str(folder)):
        forkserver.ensure_running()
    _begun.set()


def is_begun() -> bool:
    """Whether tests may be spared what a start from nothing costs."""
    return _begun.is_set()


def can_be_warm(command: Sequence[str], environment: Mapping[str, str]) -> bool:
    """Whether it is the `upshot` command, with nothing in its environment that imports would heed."""
    heeded = {*_READ_WHEN_IMPORTED, *(name for name in {*environment, *os.environ} if name.startswith("PYTHON"))}
    # An empty one says nothing.
    alike = all(environment.get(name, "") == os.environ.get(name, "") for name in heeded - {"PYTHONPATH"})
    return is_begun() and alike and tuple(command[: len(COMMAND)]) == COMMAND


class WarmProcess:
    """What `asyncio.subprocess.Process` is, as far as tests ask. `stdout` and `stderr` where they are pipes."""

    def __init__(
        self,
        process: ForkServerProcess,
        stdout: asyncio.StreamReader | None = None,
        stderr: asyncio.StreamReader | None = None,
    ) -> None:
        self.stdout = stdout
        self.stderr = stderr
        self._process = process
        loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[int] = loop.create_future()
        loop.add_reader(process.sentinel, self._has_ended, loop)

    @classmethod
    async def start(
        cls, arguments: Sequence[str], environment: Mapping[str, str], cwd: Path, *, errors: Path | int = PIPE
    ) -> Self:
        """`upshot ARGUMENTS`, without input. Standard error is a pipe, or goes to the end of the file `errors`, or, as
        `STDOUT`, where standard output does."""
        output, its_output = os.pipe()
        error_output = None
        if isinstance(errors, Path):
            its_errors = os.open(errors, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        elif errors == STDOUT:
            its_errors = os.dup(its_output)
        else:
            error_output, its_errors = os.pipe()
        process = _forked(arguments, environment, cwd, its_output, its_errors)
        return cls(process, await _reader(output), None if error_output is None else await _reader(error_output))

    @classmethod
    def start_writing(
        cls, arguments: Sequence[str], environment: Mapping[str, str], cwd: Path, output: int, errors: int
    ) -> Self:
        """The same, writing to these descriptors, which are its own from now on."""
        return cls(_forked(arguments, environment, cwd, output, errors))

    def _has_ended(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.remove_reader(self._process.sentinel)
        status = self._process.exitcode
        if not self._ended.done():
            self._ended.set_result(-signal.SIGKILL if status is None else status)

    @property
    def pid(self) -> int:
        assert self._process.pid is not None  # it was started
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """None until its end has been noticed; as asyncio's, negative for a signal."""
        return self._ended.result() if self._ended.done() else None

    async def wait(self) -> int:
        return await asyncio.shield(self._ended)

    async def communicate(self) -> tuple[bytes, bytes]:
        """All that it prints until it has ended."""
        readers = (self.stdout, self.stderr)
        output, errors = await asyncio.gather(*(each.read() if each else _nothing() for each in readers))
        await self.wait()
        return output, errors

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):  # it has ended, and that has not been noticed
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


async def _nothing() -> bytes:
    return b""


async def _reader(descriptor: int) -> asyncio.StreamReader:
    reader = asyncio.StreamReader(limit=STREAM_BYTES_MAX)
    pipe = os.fdopen(descriptor, "rb", buffering=0)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    return reader


def _forked(
    arguments: Sequence[str], environment: Mapping[str, str], cwd: Path, output: int, errors: int
) -> ForkServerProcess:
    """Started; `output` and `errors` are closed here."""
    its_output, its_errors = (Connection(each, readable=False) for each in (output, errors))
    told = (list(arguments), dict(environment), str(cwd), its_output, its_errors)
    process = _context.Process(target=_become, args=told)
    process.start()
    its_output.close()
    its_errors.close()
    return process


def _become(
    arguments: Sequence[str], environment: Mapping[str, str], cwd: str, output: Connection, errors: Connection
) -> None:
    """In the new process: what `python -m services ARGUMENTS` is."""
    # What this one starts comes from the same server, which it has inherited; left alone it would start one of its own.
    patch.object(forkserver._forkserver, "ensure_running").start()
    _begun.set()
    os.setsid()
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    for ours, standard in ((output, 1), (errors, 2)):
        os.dup2(ours.fileno(), standard)
        ours.close()
    sys.argv = ["services", *arguments]
    runpy.run_module("services", run_name="__main__", alter_sys=True)
