"""What PostgreSQL writes to postmaster.pid, read without trusting it.

The file may be half-written, of a server long dead, or name a pid that is somebody else's by now: what it says is a
hint, which `processes.py` proves.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PidFile:
    """The lines of use to us; the later ones are written one after another while the server starts."""

    pid: int
    port: int | None
    socket_dir: str | None
    status: str  # starting, stopping, ready, standby, or empty as long as it is not written

    @property
    def ready(self) -> bool:
        return self.status == "ready"


def parse_pid_file(text: str) -> PidFile | None:
    """The file's content, or None where not even its pid is whole.

    Lines: pid, data directory, start time, port, socket directory, listen address, shared memory key, status. A line
    counts once its newline is there: `12` may be the beginning of `1234`.
    """
    lines = [line.strip() for line in text.split("\n")[:-1]]
    pid = _number(lines[0]) if lines else None
    # Not below 2: a negative number is what a stand-alone backend writes, and 1 is never PostgreSQL's to name.
    if pid is None or pid < 2:
        return None
    lines += [""] * (8 - len(lines))
    return PidFile(pid=pid, port=_number(lines[3]), socket_dir=lines[4] or None, status=lines[7])


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 10 else None
