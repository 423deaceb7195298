"""What the fold made of a command: the one answer that its caller, and everyone who repeats it, is given."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

COMMAND_MEMORY = timedelta(days=30)
"""How long a command's verdict answers its repetition."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """`status` is the HTTP status of the answer, `body` its members (of a problem where status >= 400)."""

    command_id: str
    payload_hash: str
    status: int
    body: Mapping[str, object] = field(default_factory=dict)
    decided_at: datetime


def still_answers(verdict: Verdict, now: datetime) -> bool:
    """Whether a repetition at `now` is answered by `verdict` rather than taken as a new command."""
    return now - verdict.decided_at < COMMAND_MEMORY
