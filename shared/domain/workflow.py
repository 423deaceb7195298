"""What a run needs to know of its workflow: plain values that a record carries, so that a fold needs no other topic.

The document that people write is `shared/workflows/document.py`; saving it derives these.
"""

from dataclasses import dataclass
from typing import Literal

Effect = Literal["pure", "keyed", "unsafe"]
"""pure: no effect outside; keyed: repeating it under the same key is doing it once; unsafe: neither."""

OnError = Literal["fail", "continue"]
OnUnknown = Literal["ask", "fail", "retry"]

DEPTH_MAX = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class StepPlan:
    """One step as the fold sees it: its place in the DAG and what its failure means."""

    id: str
    uses: str
    needs: tuple[str, ...] = ()
    effect: Effect = "keyed"
    on_error: OnError = "fail"
    on_unknown: OnUnknown = "ask"
    endpoints: tuple[str, ...] = ()
    """Endpoints that it names outright: an approval binds their revisions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a revision bounds. None: unbounded. `zone` names the IANA zone whose midnight ends a day."""

    max_runs_per_day: int | None = None
    cooldown_seconds: int | None = None
    max_concurrent: int | None = None
    max_queued: int = 1000
    max_depth: int = 3
    reentrant: bool = False
    zone: str = "UTC"


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedLimit:
    """What a run honours against the common count of a tag: all runs of the tenant that name the tag count there.

    None: unbounded. Each workflow states bounds of its own; what they are held against is one count.
    """

    tag: str
    max_runs_per_day: int | None = None
    max_concurrent: int | None = None
    cooldown_seconds: int | None = None
    cooldown_key: str | None = None
    cooldown_problem: str | None = None
    """Why the key could not be rendered: the run is then skipped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthlyQuota:
    """How many runs a calendar month (UTC) the tenant's plan admits, as known when the run was asked for."""

    plan: str
    runs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalRule:
    """Who must agree before a run starts. `subject_hash` names exactly what is agreed to (SHA-256, hex).

    `roles`: any one of them lets an actor decide. `author` wrote the revision or asked for the run: with
    `self_approval` off, that actor's grant does not count.
    """

    roles: tuple[str, ...]
    quorum: int
    expires_in_seconds: int
    self_approval: bool
    author: str | None
    subject_hash: str


@dataclass(slots=True, kw_only=True, unsafe_hash=True)  # a value, but freezing costs 0.1 µs a field
class Match:
    """One run that is asked for: of which revision, under which limits, with which steps."""

    run_id: str
    workflow_id: str
    workflow_name: str
    revision: int
    steps: tuple[StepPlan, ...]
    limits: Limits = Limits()
    priority: int = 50
    stop_on_match: bool = False
    approval: ApprovalRule | None = None
    cooldown_key: str | None = None
    cooldown_problem: str | None = None
    """Why the cooldown's key could not be rendered: the run is then skipped."""
    shared: tuple[SharedLimit, ...] = ()
    quota: MonthlyQuota | None = None
    """None: the plan bounds no runs."""
    bounds_pending: bool = False
    """Of a firing whose schedule bounds what overlaps: a run that waits for a person goes on, too, and `max_queued` bounds those
    that wait for one as it bounds those in line. Any other run that needs approval is asked for however many wait."""

    @property
    def is_concurrency_bounded(self) -> bool:
        """Whether it may have to wait for other runs to end."""
        if self.limits.max_concurrent is not None:
            return True
        return bool(self.shared) and any(each.max_concurrent is not None for each in self.shared)

    def plan_of(self, step_id: str) -> StepPlan:
        """Raises KeyError where there is no such step."""
        for plan in self.steps:
            if plan.id == step_id:
                return plan
        raise KeyError(step_id)
