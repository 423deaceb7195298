"""Given / when / then for the fold of `upshot.runs`: a log written in a test, folded as it grows.

`RunsScenario` is the log with its fold; `ProjectedRuns` is what the read model is to the fold (rows, lookups, snapshots)
without PostgreSQL, so that forgetting and restoring can be tried at any point of any log.
"""

from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import orjson
from pydantic import TypeAdapter

from shared.domain.envelope import Event
from shared.domain.ids import elapsed_run_id, match_id, matched_run_id, requested_run_id
from shared.domain.json_text import dump_json
from shared.domain.records import (
    ApprovalDecided,
    AttemptFinished,
    AttemptStarted,
    Command,
    EventMatched,
    Problem,
    RunCancelled,
    RunRequested,
    RunsFact,
    SourceEvent,
    WindowCounted,
    WindowElapsed,
    WindowFollowed,
    WindowOpened,
)
from shared.domain.runs.delta import RunsDelta
from shared.domain.runs.fold import CommandKey, Folded, Known, Questions, RunsFold
from shared.domain.runs.state import Activity, ActivityKey, Run, Usage
from shared.domain.verdicts import Verdict
from shared.domain.windows import Window, WindowKey
from shared.domain.workflow import ApprovalRule, Limits, Match, StepPlan
from shared.readmodel.snapshots import Snapshot, WindowsSnapshot

TENANT = "acme"
START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
NEVER = datetime.min.replace(tzinfo=UTC)
SUBJECT_HASH = "5" * 64

NOTHING_KNOWN = Known()
_RUN: TypeAdapter[Run] = TypeAdapter(Run)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One record of the log, as a fold is handed it."""

    event: Event
    fact: RunsFact
    recorded_at: datetime
    offset: int


def step(step_id: str, **given: object) -> StepPlan:
    """A step's plan; `notify.webhook` unless said otherwise."""
    return _STEP.validate_python({"id": step_id, "uses": "notify.webhook", **given})


def limits(**given: object) -> Limits:
    return _LIMITS.validate_python(given)


def approval(**given: object) -> ApprovalRule:
    """One grant by anyone with the role `approve` other than `author`, within a day."""
    rule = {
        "roles": ("approve",),
        "quorum": 1,
        "expires_in_seconds": 86_400,
        "self_approval": False,
        "author": "author",
        "subject_hash": SUBJECT_HASH,
    }
    return _APPROVAL.validate_python({**rule, **given})


def match(
    workflow_id: str = "w1", *, run_id: str = "", steps: Sequence[StepPlan] | None = None, **given: object
) -> Match:
    """What a matcher, or the API, asks for; `RunsScenario` fills in the run id."""
    plans = tuple(steps) if steps is not None else (step("a"),)
    shape = {"workflow_name": workflow_id, "revision": 1, **given}
    return _MATCH.validate_python({"run_id": run_id, "workflow_id": workflow_id, "steps": plans, **shape})


def command(command_id: str, actor: str = "ann", roles: Sequence[str] = ("automation:approve",)) -> Command:
    return Command(id=command_id, payload_hash=f"hash of {command_id}", actor=actor, roles=tuple(roles))


_STEP: TypeAdapter[StepPlan] = TypeAdapter(StepPlan)
_LIMITS: TypeAdapter[Limits] = TypeAdapter(Limits)
_APPROVAL: TypeAdapter[ApprovalRule] = TypeAdapter(ApprovalRule)
_MATCH: TypeAdapter[Match] = TypeAdapter(Match)


DATA = {"amount_minor": 1, "note": "long enough that a run which rests holds it as text"}
"""Of the events that scenarios tell of."""


class NothingRemembered:
    """Of a read model that was never written, what a fold and a matcher begin with."""

    async def snapshot(self, partitions: Collection[int]) -> Mapping[int, Snapshot]:
        return {each: Snapshot(partition=each, next=0, now=None) for each in partitions}

    async def windows(self, partitions: Collection[int]) -> Mapping[int, WindowsSnapshot]:
        return dict.fromkeys(partitions, WindowsSnapshot(next=0, now=None))

    async def lookup(
        self,
        questions: Questions,
        *,
        folded_to: Mapping[int, int],
        tenant_ids: Collection[str],
        may_be_ahead: bool = False,
    ) -> Known:
        del questions, folded_to, tenant_ids, may_be_ahead
        return Known()


class RunsScenario:
    """A log of one partition that grows by what a test says, and its fold, which never forgets."""

    def __init__(self, start: datetime = START) -> None:
        self.fold = RunsFold()
        self.now = start
        self.log: list[Entry] = []
        self.last = Folded()

    def wait(self, **by: float) -> "RunsScenario":
        """Let time pass (`seconds=…`, `days=…`); the next records are appended then."""
        self.now += timedelta(**by)
        return self

    def append(self, fact: RunsFact, *, tenant_id: str = TENANT, record_id: str | None = None) -> Folded:
        """One more record; without `record_id` it is one that was never there before."""
        offset = len(self.log)
        event = Event(
            id=record_id or f"record-{offset}",
            source="/upshot/test",
            type=fact.TYPE,
            tenant_id=tenant_id,
            data=None,
            correlation_id="correlation",
        )
        return self._take(Entry(event=event, fact=fact, recorded_at=self.now, offset=offset))

    def repeat(self, entry: Entry) -> Folded:
        """The very record of `entry`, appended once more."""
        return self._take(Entry(event=entry.event, fact=entry.fact, recorded_at=self.now, offset=len(self.log)))

    def happens(
        self,
        *matches: Match,
        event_id: str | None = None,
        chain: Sequence[str] = (),
        replay_id: str | None = None,
        tenant_id: str = TENANT,
    ) -> list[str]:
        """An event that these match; the ids of the runs that it asks for."""
        happened = event_id or f"event-{len(self.log)}"
        asked = tuple(
            replace(each, run_id=matched_run_id(match_id(happened, replay_id), each.workflow_id)) for each in matches
        )
        event = SourceEvent(
            id=happened,
            source="shop",
            type="order.refunded",
            data=DATA,
            causal_chain=tuple(chain),
            replay_id=replay_id,
        )
        self.append(EventMatched(event=event, definitions_version=1, matches=asked), tenant_id=tenant_id)
        return [each.run_id for each in asked]

    def asks(self, wanted: Match, *, key: str, command_id: str | None = None, actor: str = "ann") -> str:
        """A manual run under an idempotency key; its id."""
        run_id = requested_run_id(TENANT, wanted.workflow_id, key)
        asked = replace(wanted, run_id=run_id)
        self.append(RunRequested(match=asked, inputs={"n": 1}, command=command(command_id or f"ask-{key}", actor)))
        return run_id

    def starts(self, run_id: str, step_id: str = "a", number: int = 1, due_at: datetime | None = None) -> Folded:
        request: dict[str, object] = {"body": f"{step_id}{number}"}
        return self.append(
            AttemptStarted(run_id=run_id, step_id=step_id, number=number, request=request, due_at=due_at)
        )

    def succeeds(self, run_id: str, step_id: str = "a", number: int = 1, output: object = None) -> Folded:
        return self.append(
            AttemptFinished(run_id=run_id, step_id=step_id, number=number, outcome="succeeded", output=output)
        )

    def fails(self, run_id: str, step_id: str = "a", number: int = 1, retry_at: datetime | None = None) -> Folded:
        problem = Problem(kind="http_500", detail="the receiver answered 500")
        return self.append(
            AttemptFinished(
                run_id=run_id, step_id=step_id, number=number, outcome="failed", problem=problem, retry_at=retry_at
            )
        )

    def completes(self, run_id: str, step_id: str = "a") -> Folded:
        """One attempt, begun and ended well."""
        self.starts(run_id, step_id)
        return self.succeeds(run_id, step_id)

    def cancels(self, run_id: str, command_id: str = "cancel", tenant_id: str = TENANT) -> Verdict:
        self.append(RunCancelled(run_id=run_id, reason="enough", command=command(command_id)), tenant_id=tenant_id)
        return self.verdict(command_id, tenant_id)

    def grants(self, run_id: str, actor: str = "bob", **given: object) -> Verdict:
        return self._decides(run_id, "granted", actor, **given)

    def denies(self, run_id: str, actor: str = "bob", **given: object) -> Verdict:
        return self._decides(run_id, "denied", actor, **given)

    def counts(self, event_id: str, *, key: str = "k", times: int = 3, ago: float = 0) -> Folded:
        """An event that happened `ago` seconds before now counts, of three within a minute."""
        at = self.now - timedelta(seconds=ago)
        given = {"workflow_id": "w1", "trigger": "t1", "within_seconds": 60, "lateness_seconds": 60}
        fact = {**given, "key": key, "event_id": event_id, "at": at, "seen_at": self.now, "times": times}
        return self.append(_COUNTED.validate_python(fact))

    def opens(self, event_id: str, *, key: str = "k", ago: float = 0) -> Folded:
        """Something should follow within a minute."""
        at = self.now - timedelta(seconds=ago)
        given = {"workflow_id": "w1", "trigger": "t2", "within_seconds": 60, "lateness_seconds": 60}
        event = SourceEvent(id=event_id, source="shop", type="order.created", data=None)
        return self.append(
            _OPENED.validate_python({**given, "key": key, "event": event, "at": at, "seen_at": self.now})
        )

    def follows(self, event_id: str, *, key: str = "k", ago: float = 0) -> Folded:
        at = self.now - timedelta(seconds=ago)
        given = {"workflow_id": "w1", "trigger": "t2", "within_seconds": 60, "lateness_seconds": 60}
        return self.append(
            _FOLLOWED.validate_python({**given, "key": key, "event_id": event_id, "at": at, "seen_at": self.now})
        )

    def elapses(self, event_id: str, wanted: Match | None, *, key: str = "k") -> str:
        """Nothing followed; the id of the run that is asked for."""
        run_id = elapsed_run_id("w1", "t2", key, event_id)
        event = SourceEvent(id=event_id, source="shop", type="order.created", data=None)
        asked = replace(wanted, run_id=run_id) if wanted is not None else None
        self.append(WindowElapsed(workflow_id="w1", trigger="t2", key=key, event=event, match=asked))
        return run_id

    def run(self, run_id: str) -> Run:
        return self.fold.runs[run_id]

    def verdict(self, command_id: str, tenant_id: str = TENANT) -> Verdict:
        return self.fold.verdicts[tenant_id, command_id]

    def activity(self, workflow_id: str = "w1", tenant_id: str = TENANT) -> Activity:
        return self.fold.activities[tenant_id, workflow_id]

    def _decides(self, run_id: str, decision: str, actor: str, **given: object) -> Verdict:
        shape = {"subject_hash": SUBJECT_HASH, "roles": ("automation:approve",), "command_id": f"d-{len(self.log)}"}
        wanted = {**shape, **given}
        decided_by = {"id": wanted["command_id"], "payload_hash": "", "actor": actor, "roles": wanted["roles"]}
        fact = _DECIDED.validate_python(
            {
                "run_id": run_id,
                "decision": decision,
                "reason": "because",
                "subject_hash": wanted["subject_hash"],
                "command": decided_by,
            }
        )
        self.append(fact)
        return self.verdict(fact.command.id)

    def _take(self, entry: Entry) -> Folded:
        self.log.append(entry)
        self.last = self.fold.apply(entry.event, entry.fact, entry.recorded_at, entry.offset, NOTHING_KNOWN)
        return self.last


_DECIDED: TypeAdapter[ApprovalDecided] = TypeAdapter(ApprovalDecided)
_COUNTED: TypeAdapter[WindowCounted] = TypeAdapter(WindowCounted)
_OPENED: TypeAdapter[WindowOpened] = TypeAdapter(WindowOpened)
_FOLLOWED: TypeAdapter[WindowFollowed] = TypeAdapter(WindowFollowed)
_WINDOW: TypeAdapter[Window] = TypeAdapter(Window)


@dataclass(slots=True)
class ProjectedRuns:
    """What a read model holds of one partition after the deltas written so far."""

    rows: dict[str, bytes] = field(default_factory=dict)
    open_ids: set[str] = field(default_factory=set)
    match_ids: set[str] = field(default_factory=set)
    verdicts: dict[CommandKey, Verdict] = field(default_factory=dict)
    days: dict[ActivityKey, tuple[str, int]] = field(default_factory=dict)
    tags: dict[ActivityKey, tuple[dict[int, int], int]] = field(default_factory=dict)
    months: dict[tuple[str, str], int] = field(default_factory=dict)
    cooldowns: dict[ActivityKey, dict[str, datetime]] = field(default_factory=dict)
    windows: dict[WindowKey, bytes] = field(default_factory=dict)
    now: datetime = NEVER
    next: int = 0

    def write(self, delta: RunsDelta) -> tuple[list[str], list[str], list[CommandKey]]:
        """Take over a delta; what a fold may forget from then on."""
        matches = []
        for run in delta.runs.values():
            self.rows[run.id] = dump_run(run)
            (self.open_ids.discard if run.closed else self.open_ids.add)(run.id)
            if run.event is not None:
                matches.append(match_id(run.event.id, run.event.replay_id))
        self.match_ids.update(matches)
        self.verdicts.update(delta.verdicts)
        self.days.update(delta.days)
        self.tags.update(delta.tags)
        self.months.update(delta.months)
        self._write_cooldowns(delta)
        for key, window in delta.windows.items():
            self.windows.pop(key, None)
            if window is not None:
                self.windows[key] = orjson.dumps(window)
        self.now, self.next = delta.now, delta.end
        return list(delta.runs), matches, list(delta.verdicts)

    def lookup(self, questions: Questions) -> Known:
        """What is known of what a fold asks."""
        return Known(
            run_ids=frozenset(questions.run_ids & self.rows.keys()),
            match_ids=frozenset(questions.match_ids & self.match_ids),
            verdicts={key: self.verdicts[key] for key in questions.commands if key in self.verdicts},
        )

    def restored(self) -> RunsFold:
        """A fold that begins from the rows; these tell no order."""
        fold = RunsFold()
        activities = {key: Activity(day=day, runs_today=count) for key, (day, count) in self.days.items()}
        for key, (quarters, cooldown_seconds) in self.tags.items():
            activities[key] = Activity(quarters=quarters, cooldown_seconds=cooldown_seconds)
        for key, ages in self.cooldowns.items():
            activity = activities.setdefault(key, Activity())
            activity.cooldowns = OrderedDict(sorted(ages.items(), key=lambda each: each[1]))
        runs = [_RUN.validate_json(self.rows[run_id]) for run_id in sorted(self.open_ids)]
        usage = {tenant_id: Usage(month=month, runs=count) for (tenant_id, month), count in sorted(self.months.items())}
        windows = [(key, _WINDOW.validate_json(state)) for key, state in sorted(self.windows.items())]
        fold.restore(runs, activities, usage, self.now, windows)
        return fold

    def _write_cooldowns(self, delta: RunsDelta) -> None:
        for scope, over in delta.cooldown_ends.items():
            ages = self.cooldowns.setdefault(scope, {})
            for key in [key for key, at in ages.items() if at <= over]:
                del ages[key]
        for (tenant_id, scope_name, key), at in delta.cooldowns.items():
            self.cooldowns[tenant_id, scope_name][key] = at


def dump_run(run: Run) -> bytes:
    """A run, whole, as the read model keeps it."""
    return dump_json(run)


def apply_all(fold: RunsFold, entries: Sequence[Entry], known: Known) -> RunsDelta:
    """Fold a batch, as a shard does."""
    start = entries[0].offset
    delta = RunsDelta(partition=0, start=start, end=start, now=fold.now)
    for entry in entries:
        folded = fold.apply(entry.event, entry.fact, entry.recorded_at, entry.offset, known)
        delta.include(folded, fold, entry.offset + 1)
    return delta
