"""The next planned instants of a workflow's schedules, as the events that they would be. Pure."""

import heapq
from datetime import datetime

from services.backtests.core.candidate import Candidate
from shared.domain.envelope import Event
from shared.workflows.firings import firing_event

FIRINGS_MAX = 20
"""As many as one trial looks at: each is played through whole."""


def next_firings(candidate: Candidate, after: datetime, count: int) -> list[Event]:
    """The first `count` later than `after`, of all of its schedules together; fewer where it ends before."""
    schedules = candidate.start.planned
    planned: list[tuple[datetime, int]] = []
    found: list[Event] = []

    def plan(number: int, after: datetime) -> None:
        at = schedules[number].schedule.next_after(after)
        if at is not None:
            heapq.heappush(planned, (at, number))

    for number in range(len(schedules)):
        plan(number, after)
    while planned and len(found) < count:
        at, number = heapq.heappop(planned)
        found.append(firing_event(candidate.tenant.id, candidate.workflow.id, schedules[number], at))
        plan(number, at)
    return found
