"""A short folder for real servers' data, with a watchdog that clears up even after a test process that was killed.

Next: `platform.py`, which runs Upshot in one; `watchdog.py` for what is ended how.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from shared.testing import watchdog

_CLEARING_SECONDS = 90.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """`folder` is short enough for a socket's path, and PostgreSQL's own user can pass through it."""

    folder: Path

    @property
    def system_dir(self) -> Path:
        """Shared by every platform of the workspace, so that binaries are copied once."""
        return self.folder / "system"

    def data_dir(self, name: str) -> Path:
        return self.folder / name


@contextmanager
def workspace() -> Iterator[Workspace]:
    """A new one; on the way out every process in it is ended, then the folder is gone."""
    folder = Path(tempfile.mkdtemp(prefix="upshot-test-"))
    folder.chmod(0o711)
    # The watchdog lives in a session of its own: what interrupts the tests must not reach it.
    guard = subprocess.Popen(
        [sys.executable, watchdog.__file__, str(folder)], stdin=subprocess.PIPE, start_new_session=True, cwd="/"
    )
    try:
        yield Workspace(folder=folder)
    finally:
        assert guard.stdin is not None  # started with a pipe
        guard.stdin.close()
        guard.wait(_CLEARING_SECONDS)
