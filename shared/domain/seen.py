"""An event that a window knows of, and how many a window knows."""

from datetime import UTC, datetime
from typing import NamedTuple

LONG_AGO = datetime.min.replace(tzinfo=UTC)
REMEMBERED_MAX = 1000
"""Events that a window has used up or answered: each keeps a repetition of it from counting again. And events that may begin a
wait yet: of more than so many within the lateness, further ones begin none."""


class Seen(NamedTuple):
    """An event that a window knows of."""

    at: datetime
    event_id: str
