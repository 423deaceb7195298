"""Which waits fall due when: a plan over the windows that are open. Pure.

The matcher asks it with the log's time and the clock, a backtest with the time of what it reads.
Next: `windows.py`, what a wait is.
"""

import heapq
from datetime import datetime

from shared.domain.absence import Absence, Wait
from shared.domain.windows import WindowKey, Windows


class Waits:
    """Of one partition's windows. A plan that no longer holds stays until its instant, without effect."""

    def __init__(self, windows: Windows) -> None:
        self._windows = windows
        self._due: list[tuple[datetime, WindowKey]] = []
        self._planned: dict[WindowKey, datetime] = {}

    @property
    def next_due(self) -> datetime | None:
        """Nothing falls due before."""
        return self._due[0][0] if self._due else None

    def plan_all(self) -> None:
        """After a restore: every wait that is open."""
        self._due = [(due_at, key) for due_at, key in self._windows.waiting()]
        self._planned = {key: due_at for due_at, key in self._due}
        heapq.heapify(self._due)

    def plan(self, key: WindowKey, *, not_before: datetime | None = None) -> None:
        """A wait may have begun or ended (or, `not_before`, is to be looked at again)."""
        window = self._windows.get(key)
        if not isinstance(window, Absence) or window.due_at is None:
            return
        due_at = max(window.due_at, not_before or window.due_at)
        if self._planned.get(key) != due_at:  # else each event that begins no wait would leave a plan behind
            self._planned[key] = due_at
            heapq.heappush(self._due, (due_at, key))

    def take_due(self, until: datetime, at_most: int) -> list[tuple[WindowKey, Wait]]:
        """Waits that are over by `until`, the most overdue first; each is handed out once."""
        found: list[tuple[WindowKey, Wait]] = []
        while self._due and self._due[0][0] <= until and len(found) < at_most:
            due_at, key = heapq.heappop(self._due)
            if self._planned.get(key) != due_at:
                continue
            del self._planned[key]
            window = self._windows.get(key)
            if isinstance(window, Absence) and window.opened is not None and window.is_due(until):
                found.append((key, window.opened))
        return found
