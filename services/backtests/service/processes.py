"""A backtest's process: started with a job, read until it has ended, killed when nobody wants it any more.

A process of its own, because a thread would hold the interpreter's lock for milliseconds at a time, and every live delivery
would wait for it. Killing it loses nothing: it has no effect. It ends by itself when the process that started it is gone,
since its standard input then ends.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Protocol

from pydantic import ValidationError

from services.backtests.service.protocol import JOB, MESSAGE, Failed, Job, Message

MESSAGE_BYTES_MAX = 16 * 1024 * 1024
"""A report with all its samples is below 3 MB."""


class Runner(Protocol):
    """Carries out jobs somewhere."""

    def run(self, job: Job) -> AsyncGenerator[Message, None]:
        """Messages until the job has ended; closing the generator earlier ends the job. Raises OSError."""
        ...


class ProcessRunner:
    """One process a job. `preamble`: a line that it is told first: how it reaches the log."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], preamble: bytes) -> None:
        self._command = tuple(command)
        self._environment = dict(environment)
        self._preamble = preamble

    async def run(self, job: Job) -> AsyncGenerator[Message, None]:
        process = await asyncio.create_subprocess_exec(
            *self._command,
            env=self._environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=MESSAGE_BYTES_MAX,
            start_new_session=True,
        )
        try:
            if process.stdin is None or process.stdout is None:
                raise RuntimeError("started with pipes, and has none")
            # it may be gone already, which shows below; uvloop then says RuntimeError of a pipe that is closed
            with contextlib.suppress(ConnectionError, RuntimeError):
                process.stdin.write(self._preamble + b"\n" + JOB.dump_json(job) + b"\n")
                await process.stdin.drain()
            ended = False
            while line := await process.stdout.readline():
                try:
                    message = MESSAGE.validate_json(line)
                except ValidationError:
                    continue  # somebody else's line: the last one that counts is still to come
                ended = message.kind in ("ended", "failed")
                yield message
            if not ended:
                status = await process.wait()
                yield Failed(detail=f"its process ended with status {status} before it was through; start it again")
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
