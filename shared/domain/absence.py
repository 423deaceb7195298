"""What an absence remembers: which events should be followed, and what follows. Pure.

Guarantee: the answer is that of the definition along the events' own times, in whatever order they are recorded in time.
Next: `windows.py`, which keeps one for each key.
"""

import bisect
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from shared.domain.seen import LONG_AGO, REMEMBERED_MAX, Seen

_INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, order=True)
class Wait:
    """One event that something should follow. `opened_offset`: where the record of it lies."""

    at: datetime
    event_id: str
    opened_offset: int = field(default=0, compare=False)


@dataclass(slots=True, kw_only=True)
class Absence:
    """What should be followed, and what follows, in the order of events' own times, whatever order they were recorded in.

    An event begins a wait unless one is open at its time; the first that follows in time ends it, and so does its end.
    `opened`: the first wait that nothing has ended, so far as is known. `after`: events that begin a wait, or would if something
    late ended another; all lie at or behind `since`, before which everything is certain. `free_at`: from then on a further event
    begins one, where none is open. `before`, `followed`: events of either side that are known, so that a repetition changes
    nothing.
    """

    within_seconds: int
    lateness_seconds: int
    until: datetime = LONG_AGO
    seen_at: datetime = LONG_AGO
    since: datetime = LONG_AGO
    free_at: datetime = LONG_AGO
    opened: Wait | None = None
    after: list[Wait] = field(default_factory=list)
    before: list[Seen] = field(default_factory=list)
    followed: list[Seen] = field(default_factory=list)

    @property
    def due_at(self) -> datetime | None:
        """From then on it is certain that nothing followed in time; None: nothing is waited for."""
        if self.opened is None:
            return None
        return self._end(self.opened) + timedelta(seconds=self.lateness_seconds)

    def is_due(self, until: datetime) -> bool:
        """Whether that is so by then."""
        due_at = self.due_at
        return due_at is not None and due_at <= until

    @property
    def opened_by(self) -> str | None:
        """The event that something should follow; None: nothing is waited for."""
        return self.opened.event_id if self.opened is not None else None

    def may_wait_after(self, event_id: str) -> bool:
        """Whether a wait is open after that event, or could come to be."""
        return any(each.event_id == event_id for each in self.after)

    def knows_before(self, event_id: str, now: datetime) -> bool:
        """Whether that event was taken in before as one to be followed, as far as that is remembered at `now`, forgotten
        yet or not."""
        return self.may_wait_after(event_id) or any(
            each.event_id == event_id for each in self._remembered(self.before, now)
        )

    def knows_followed(self, event_id: str, now: datetime) -> bool:
        """The same of an event that follows."""
        return any(each.event_id == event_id for each in self._remembered(self.followed, now))

    def open(self, seen: Seen, offset: int, now: datetime) -> bool:
        """Whether that event is now what is waited after."""
        if self.knows_before(seen.event_id, now):
            return False
        self._note(seen, now)
        self.before.append(seen)
        del self.before[:-REMEMBERED_MAX]
        if seen.at < self.since or len(self.after) >= REMEMBERED_MAX:
            return False
        wait = Wait(seen.at, seen.event_id, offset)
        bisect.insort(self.after, wait)
        if self.after[-1] is not wait:
            self._judge(self.since, 0)
        elif self.opened is None:
            self._judge(self.free_at, len(self.after) - 1)
        return self.opened == wait

    def follow(self, seen: Seen, now: datetime) -> bool:
        """Whether that event ends the wait."""
        if self.knows_followed(seen.event_id, now):
            return False
        self._note(seen, now)
        bisect.insort(self.followed, seen)
        del self.followed[:-REMEMBERED_MAX]
        former = self.opened
        ends_it = former is not None and self._answers(former, seen)
        if self.followed[-1] is not seen:
            self._judge(self.since, 0)
        elif former is not None and ends_it:
            self._judge(seen.at, self.after.index(former) + 1)
        return ends_it

    def place(self, event_id: str, offset: int) -> None:
        """The record by which that event asked to be followed lies there."""
        self.after = [replace(each, opened_offset=offset) if each.event_id == event_id else each for each in self.after]
        if self.opened is not None and self.opened.event_id == event_id:
            self.opened = replace(self.opened, opened_offset=offset)

    def close(self) -> None:
        """The wait that is open is over, and told; the next one may be open already."""
        if self.opened is not None:
            self.since = self._end(self.opened) + _INSTANT
            self.after = [each for each in self.after if each.at >= self.since]
            self._judge(self.since, 0)

    def expires_at(self) -> datetime | None:
        return self.until if self.opened is None else None

    def _judge(self, free_at: datetime, first: int) -> None:
        """Which wait is open, of those from the `first` on, where none is before `free_at`."""
        self.opened = None
        for wait in self.after[first:]:
            if wait.at < free_at:
                continue
            answer = self._answer(wait)
            if answer is None:
                self.opened = wait
                break
            free_at = answer.at
        self.free_at = free_at

    def _answer(self, wait: Wait) -> Seen | None:
        """The first that follows it in time. The very same event never does: a heartbeat ends one wait and begins the next."""
        for each in self.followed[bisect.bisect_left(self.followed, Seen(wait.at, "")) :]:
            if each.event_id != wait.event_id:
                return each if self._answers(wait, each) else None
        return None

    def _answers(self, wait: Wait, then: Seen) -> bool:
        return wait.at <= then.at <= self._end(wait) and then.event_id != wait.event_id

    def _end(self, wait: Wait) -> datetime:
        return wait.at + timedelta(seconds=self.within_seconds)

    def _note(self, seen: Seen, now: datetime) -> None:
        self.until = max(self.until, seen.at + timedelta(seconds=self.lateness_seconds))
        self.before = self._remembered(self.before, now)
        late = self._late(now)
        self._settle(late)
        needed = min(self.after[0].at, late) if self.after else late
        self.followed = [each for each in self.followed if each.at >= needed]

    def _settle(self, late: datetime) -> None:
        """Let go of what is certain: nothing that happened before `late` can be recorded any more."""
        certain = 0
        for wait in self.after:
            if wait.at >= self.since:
                answer = self._answer(wait)
                if answer is None or answer.at >= late:
                    break
                self.since = answer.at
            certain += 1
        del self.after[:certain]
        if self.after and self.after[0] == self.opened:
            end = self._end(self.opened)
            self.after[1:] = [each for each in self.after[1:] if each.at >= late or each.at > end]

    def _late(self, now: datetime) -> datetime:
        return now - timedelta(seconds=self.lateness_seconds)

    def _remembered(self, known: list[Seen], now: datetime) -> list[Seen]:
        late = self._late(now)
        return [each for each in known if each.at >= late]
