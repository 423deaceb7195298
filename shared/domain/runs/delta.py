"""What folding a stretch of one partition changed: what the projector writes, and nothing else.

`start` and `end` are offsets (the next to read before and after); the projector's checkpoint moves from one to the other
in the transaction that writes the rest. Runs are the fold's own objects: make rows of them before you await anything.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shared.domain.runs import admission
from shared.domain.runs.fold import ActivityKey, CommandKey, Folded, RunsFold
from shared.domain.runs.state import Run
from shared.domain.verdicts import Verdict


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
    cooldowns: dict[tuple[str, str, str], datetime] = field(default_factory=dict)
    """Last admission per (tenant id, workflow id, key), without those that the fold has forgotten since: however long the
    stretch, what is written is what the fold remembers."""
    verdicts: dict[CommandKey, Verdict] = field(default_factory=dict)
    _recent: dict[ActivityKey, OrderedDict[str, datetime]] = field(default_factory=dict)
    _over: dict[ActivityKey, datetime] = field(default_factory=dict)

    def include(self, folded: Folded, fold: RunsFold, end: int) -> None:
        """Add what one more fact touched; `end` is its offset + 1."""
        self.end, self.now = end, fold.now
        for run in folded.runs:
            self.runs[run.id] = run
        for run in folded.admitted:
            workflow = (run.tenant_id, run.match.workflow_id)
            activity = fold.activities[workflow]
            self.days[workflow] = (activity.day, activity.runs_today)
            self._note_cooldown(run, workflow)
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
        self.verdicts.update(later.verdicts)
        for workflow, over in later._over.items():
            self._forget_cooldowns(workflow, over)
        self.cooldowns.update(later.cooldowns)
        for workflow, recent in later._recent.items():
            ours = self._recent.setdefault(workflow, OrderedDict())
            for key, at in recent.items():
                ours[key] = at
                ours.move_to_end(key)

    def _note_cooldown(self, run: Run, workflow: ActivityKey) -> None:
        seconds = run.match.limits.cooldown_seconds
        if seconds is None:
            return
        key = run.match.cooldown_key or ""
        self.cooldowns[(*workflow, key)] = run.requested_at
        recent = self._recent.setdefault(workflow, OrderedDict())
        recent[key] = run.requested_at
        recent.move_to_end(key)
        self._forget_cooldowns(workflow, run.requested_at - timedelta(seconds=seconds))

    def _forget_cooldowns(self, workflow: ActivityKey, over: datetime) -> None:
        """What was admitted until `over` cools nothing down any more: `admission.note_admitted` forgets the same."""
        self._over[workflow] = max(over, self._over.get(workflow, over))
        for key in admission.forget_cooldowns(self._recent.get(workflow, OrderedDict()), over):
            del self.cooldowns[(*workflow, key)]
