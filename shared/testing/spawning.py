"""One process of the `upshot` command: forked from one that has imported everything where it may be, else from nothing.

Next: `warm.py` for the first kind; `platform.py`, which waits until it is ready and ends it.
"""

import asyncio
import contextlib
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from shared.testing.warm import COMMAND, REPOSITORY, STREAM_BYTES_MAX, WarmProcess, can_be_warm

Process: TypeAlias = asyncio.subprocess.Process | WarmProcess


async def spawned(
    command: Sequence[str], environment: Mapping[str, str], *, errors: Path | int = PIPE, warm: bool = True
) -> Process:
    """In a session of its own, without input, standard output a pipe. Standard error is one, too, or goes to the end of the
    file `errors`, or, as `STDOUT`, where standard output does."""
    if warm and can_be_warm(command, environment):
        return await WarmProcess.start(command[len(COMMAND) :], environment, REPOSITORY, errors=errors)
    with contextlib.ExitStack() as stack:
        return await asyncio.create_subprocess_exec(
            *command,
            cwd=REPOSITORY,
            env=environment,
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=stack.enter_context(errors.open("ab")) if isinstance(errors, Path) else errors,
            limit=STREAM_BYTES_MAX,
            start_new_session=True,
        )
