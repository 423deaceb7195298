"""What a process is called in the groups that it joins: after a kill the same as before.

So whoever starts in its place takes its partitions over at once, instead of waiting until it counts as silent. Guarantee: no
two living processes have one name. Each holds a lock on the file that its name stands in, and the kernel lets go of it
however a process ends; a copy of the folder, or the folder on another host, gives other names.
"""

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator
from pathlib import Path

from shared.domain.clock import Randomness

FOLDER = "members"
PROCESSES_MAX = 1000
"""On one data folder. Any more have names for this life only."""
_TOKEN = re.compile(rb"[0-9a-f]{16}", re.ASCII)
_TOKEN_BYTES = 8


@contextlib.contextmanager
def lasting_name(folder: Path, host: str, randomness: Randomness) -> Iterator[str]:
    """The first name in `folder`, made where it is missing, that no living process has. It is this process's until the end.

    Where the folder cannot be written to, or its file system knows no locks, a name that lasts as long as the process.
    """
    try:
        held = _hold_first_free(folder)
    except OSError:
        held = None
    if held is None:
        yield f"{host}-{randomness.token_bytes(_TOKEN_BYTES).hex()}"
        return
    try:
        yield f"{host}-{_token(held, randomness)}-{os.fstat(held).st_ino:x}"
    finally:
        os.close(held)


def _hold_first_free(folder: Path) -> int | None:
    """A descriptor that holds the lock on one of the files. None: all are held."""
    folder.mkdir(mode=0o700, exist_ok=True)
    for number in range(1, PROCESSES_MAX + 1):
        descriptor = os.open(folder / str(number), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
        except OSError:
            os.close(descriptor)
            raise
        else:
            return descriptor
    return None


def _token(descriptor: int, randomness: Randomness) -> str:
    """What the file says; drawn anew where that is nothing or damaged, as after a crash of the machine."""
    found = os.pread(descriptor, 2 * _TOKEN_BYTES + 1, 0)
    if not _TOKEN.fullmatch(found):
        found = randomness.token_bytes(_TOKEN_BYTES).hex().encode()
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, found, 0)
    return found.decode()
