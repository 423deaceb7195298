"""What goes wrong with the embedded server, said so that its reader can mend it.

Next: `server.py`, which raises most of it.
"""

from collections.abc import Sequence
from pathlib import Path

from shared.domain.errors import PermanentError


class EmbeddedPostgresError(PermanentError):
    """The server could not be started, reached or stopped; names the log file and its last lines, if there are any."""

    def __init__(self, detail: str, *, log_path: Path | None = None, log_lines: Sequence[str] = ()) -> None:
        parts = [detail]
        if log_lines:
            parts += [f"last lines of {log_path}:" if log_path else "it said:", *(f"  {line}" for line in log_lines)]
        elif log_path:
            parts.append(f"its log is {log_path}")
        super().__init__("\n".join(parts))
        self.log_path = log_path
        self.log_lines = tuple(log_lines)
