"""What triggers remember between events.

Next: `shared/domain/windows.py`, the state that these facts amount to.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from shared.domain.records.common import SourceEvent
from shared.domain.workflow import Match


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowCounted:
    """An event counts for a window: `key` of the trigger whose settings have the digest `trigger`.

    `at`: the event's own time, at most `seen_at`, which is that of its recording: windows live by the time of the events
    that they are about, however far behind them their records are written. The event that completes the count asks for a
    run in its `event.matched`, which stands before this record.
    """

    TYPE: ClassVar[str] = "window.counted"
    workflow_id: str
    trigger: str
    key: str
    event_id: str
    at: datetime
    seen_at: datetime
    times: int
    within_seconds: int
    lateness_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowOpened:
    """From now on something should follow this event within `within_seconds` of `at`."""

    TYPE: ClassVar[str] = "window.opened"
    workflow_id: str
    trigger: str
    key: str
    event: SourceEvent
    at: datetime
    seen_at: datetime
    within_seconds: int
    lateness_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowFollowed:
    """What should follow has: also where it was recorded before what it follows."""

    TYPE: ClassVar[str] = "window.followed"
    workflow_id: str
    trigger: str
    key: str
    event_id: str
    at: datetime
    seen_at: datetime
    within_seconds: int
    lateness_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowElapsed:
    """Nothing followed in time: asks for a run about the event that opened the window, if it is still open by then.

    `match` None: the workflow no longer waits for it, so the window only closes.
    """

    TYPE: ClassVar[str] = "window.elapsed"
    workflow_id: str
    trigger: str
    key: str
    event: SourceEvent
    match: Match | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleFired:
    """The firing of `planned_at` is in `upshot.events`, under `event_id`. `key` is empty: a schedule has one cursor."""

    TYPE: ClassVar[str] = "schedule.fired"
    workflow_id: str
    trigger: str
    planned_at: datetime
    event_id: str
    key: str = ""


WindowFact = WindowCounted | WindowOpened | WindowFollowed | WindowElapsed | ScheduleFired
