"""What folding a stretch of one partition changed: what the projector writes, and nothing else.

`start` and `end` are offsets (the next to read before and after); the projector's checkpoint moves from one to the other
in the transaction that writes the rest. Runs are the fold's own objects: make rows of them before you await anything.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime

from shared.domain.runs import admission
from shared.domain.runs.fold import CommandKey, Folded, RunsFold
from shared.domain.runs.state import Activity, ActivityKey, Run, tag_scope
from shared.domain.verdicts import Verdict
from shared.domain.windows import Window, WindowKey


@dataclass(slots=True, kw_only=True)
class RunsDelta:
    """All that changed in `partition` between two offsets, newest state of each thing."""

    partition: int
    start: int
    end: int
    now: datetime
    runs: dict[str, Run] = field(default_factory=dict)
    days: dict[ActivityKey, tuple[str, int]] = field(default_factory=dict)
    """(local day, runs admitted on it) per workflow."""
    tags: dict[ActivityKey, tuple[dict[int, int], int]] = field(default_factory=dict)
    """(admissions by quarter of an hour, longest cooldown in seconds) per tag."""
    months: dict[tuple[str, str], int] = field(default_factory=dict)
    """Runs admitted per (tenant id, month)."""
    cooldowns: dict[tuple[str, str, str], datetime] = field(default_factory=dict)
    """Last admission per (tenant id, scope, key), without those that the fold has forgotten since: however long the
    stretch, what is written is what the fold remembers."""
    cooldown_ends: dict[ActivityKey, datetime] = field(default_factory=dict)
    """Up to which instant a scope's admissions cool nothing down any more. The fold forgets them at each admission; whoever
    keeps them must forget the same ones, or a restored fold would remember more than one that never stopped."""
    verdicts: dict[CommandKey, Verdict] = field(default_factory=dict)
    windows: dict[WindowKey, Window | None] = field(default_factory=dict)
    """None: forgotten. Like runs, windows are the fold's own objects."""
    _recent: dict[ActivityKey, OrderedDict[str, datetime]] = field(default_factory=dict)

    def include(self, folded: Folded, fold: RunsFold, end: int) -> None:
        """Add what one more fact touched; `end` is its offset + 1."""
        self.end, self.now = end, fold.now
        for run in folded.runs:
            self.runs[run.id] = run
        for run in folded.admitted:
            self._note_admitted(run, fold)
        for window in folded.windows:
            self.windows[window] = fold.windows.get(window)
        if folded.verdict is not None:
            key, verdict = folded.verdict
            self.verdicts[key] = verdict

    def merge(self, later: "RunsDelta") -> None:
        """Add the delta of the stretch that follows this one."""
        if later.partition != self.partition or later.start != self.end:
            raise ValueError(f"[{later.start}, {later.end}) does not follow [{self.start}, {self.end})")
        self.end, self.now = later.end, later.now
        self.runs.update(later.runs)
        self.days.update(later.days)
        self.tags.update(later.tags)
        self.months.update(later.months)
        self.verdicts.update(later.verdicts)
        self.windows.update(later.windows)
        for scope, over in later.cooldown_ends.items():
            self._forget_cooldowns(scope, over)
        self.cooldowns.update(later.cooldowns)
        for scope, recent in later._recent.items():
            ours = self._recent.setdefault(scope, OrderedDict())
            for key, at in recent.items():
                ours[key] = at
                ours.move_to_end(key)

    def _note_admitted(self, run: Run, fold: RunsFold) -> None:
        tenant_id, match = run.tenant_id, run.match
        workflow = (tenant_id, match.workflow_id)
        activity = fold.activities[workflow]
        self.days[workflow] = (activity.day, activity.runs_today)
        usage = fold.usage[tenant_id]
        self.months[tenant_id, usage.month] = usage.runs
        if match.limits.cooldown_seconds is not None:
            self._note_cooldown(workflow, activity, match.cooldown_key, run.requested_at)
        for shared in match.shared:
            scope = (tenant_id, tag_scope(shared.tag))
            activity = fold.activities[scope]
            self.tags[scope] = (dict(activity.quarters), activity.cooldown_seconds)
            if shared.cooldown_seconds is not None:
                self._note_cooldown(scope, activity, shared.cooldown_key, run.requested_at)

    def _note_cooldown(self, scope: ActivityKey, activity: Activity, key: str | None, at: datetime) -> None:
        self.cooldowns[(*scope, key or "")] = at
        recent = self._recent.setdefault(scope, OrderedDict())
        recent[key or ""] = at
        recent.move_to_end(key or "")
        if activity.cooldowns_end is not None:
            self._forget_cooldowns(scope, activity.cooldowns_end)

    def _forget_cooldowns(self, scope: ActivityKey, over: datetime) -> None:
        """What was admitted until `over` cools nothing down any more: `admission` forgets the same."""
        self.cooldown_ends[scope] = max(over, self.cooldown_ends.get(scope, over))
        for key in admission.forget_cooldowns(self._recent.get(scope, OrderedDict()), over):
            del self.cooldowns[(*scope, key)]
