"""Kernel locks on files: they end with their last holder, however it ends, so nothing stale ever has to be judged.

Three files beside the cluster, each with one meaning:

- `guard`: held while somebody starts, attaches to or stops the server. One at a time.
- `users`: held shared by each live user of the data folder. Who gets it exclusively is the last.
- `server`: held exclusively by the server itself: its descriptor is inherited by the postmaster and by each of its
  backends, so it is free if, and only if, no process of the server lives, in whatever pid namespace.

Next: `server.py`, which takes them in this order.
"""

import asyncio
import fcntl
import os
from collections.abc import Callable
from pathlib import Path

from shared.domain.clock import Clock
from shared.runtime.embedded_postgres.errors import EmbeddedPostgresError
from shared.runtime.embedded_postgres.folders import give_to_folders_owner

POLL_SECONDS = 0.005


class FileLock:
    """An open lock file; each instance is a holder of its own, within one process too."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise EmbeddedPostgresError(f"cannot open the lock file {path}: {error.strerror}") from error
        give_to_folders_owner(self.descriptor, path.parent)

    @property
    def closed(self) -> bool:
        return self.descriptor < 0

    def try_exclusive(self) -> bool:
        """Take it alone if nobody else has it; a shared hold of this instance is given up either way."""
        return self._try(fcntl.LOCK_EX)

    def try_shared(self) -> bool:
        """Take it beside other sharers, if nobody has it alone."""
        return self._try(fcntl.LOCK_SH)

    async def exclusive(self, clock: Clock, deadline: float, *, meanwhile: Callable[[], None] = lambda: None) -> bool:
        """Wait for it, calling `meanwhile` now and then, until the clock's `monotonic` passes the deadline: False."""
        while not self.try_exclusive():
            meanwhile()
            if clock.monotonic() > deadline:
                return False
            await asyncio.sleep(POLL_SECONDS)
        return True

    def unlock(self) -> None:
        """Give it up, and keep the file open for another time."""
        fcntl.flock(self.descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        """Let go. A child that inherited the descriptor holds the lock on."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def _try(self, operation: int) -> bool:
        try:
            fcntl.flock(self.descriptor, operation | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
