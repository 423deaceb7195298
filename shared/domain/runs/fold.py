"""The fold of one partition of `upshot.runs`: from facts in log order to the state that services act on.

Guarantees: a fact that was applied before, or that its run's state rules out, changes nothing; a run leaves its
terminal state never; the same facts give the same state, whoever folds them and whenever. Time is the highest append
time folded so far. The caller looks up, once a batch, what memory has let go (`ask`, `Known`).
Next: `admission.py`, `waiting.py`, `approvals.py`, `steps.py`; `shared/runtime/shards.py` drives this.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from shared.domain.envelope import Event
from shared.domain.ids import match_id
from shared.domain.records import (
    ApprovalDecided,
    ApprovalExpired,
    ApprovalVoided,
    EventMatched,
    Problem,
    RunCancelled,
    RunRequested,
    RunsFact,
    ScheduleFired,
    SourceEvent,
    StepResolved,
    WindowCounted,
    WindowElapsed,
    WindowFact,
    WindowFollowed,
    WindowOpened,
)
from shared.domain.runs import admission, approvals, steps
from shared.domain.runs.approvals import Answer
from shared.domain.runs.state import Activity, ActivityKey, Run, RunStatus, Step, Usage
from shared.domain.runs.steps import Change, StepFact
from shared.domain.runs.waiting import WaitingRuns, scopes_of
from shared.domain.verdicts import Verdict, still_answers
from shared.domain.windows import Window, WindowKey, Windows
from shared.domain.workflow import Match

CommandKey = tuple[str, str]
"""(tenant id, command id)"""

_ASKED_FOR = RunRequested | WindowElapsed
_COMMANDED = RunRequested | RunCancelled | ApprovalDecided | StepResolved


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the read model holds of what memory has let go."""

    run_ids: frozenset[str] = frozenset()
    match_ids: frozenset[str] = frozenset()
    verdicts: Mapping[CommandKey, Verdict] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class Questions:
    """What to look up before a batch is folded."""

    run_ids: set[str] = field(default_factory=set)
    match_ids: set[str] = field(default_factory=set)
    commands: set[CommandKey] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.run_ids or self.match_ids or self.commands)


@dataclass(slots=True, kw_only=True)
class Folded:
    """What one fact touched: runs as they stand now, runs that were admitted by it, the verdict on a new command."""

    runs: list[Run] = field(default_factory=list)
    admitted: list[Run] = field(default_factory=list)
    verdict: tuple[CommandKey, Verdict] | None = None
    windows: list[WindowKey] = field(default_factory=list)


class RunsFold:
    """One partition's runs."""

    def __init__(self) -> None:
        self.now = datetime.min.replace(tzinfo=UTC)
        self.runs: dict[str, Run] = {}
        self.activities: dict[ActivityKey, Activity] = {}
        self.usage: dict[str, Usage] = {}
        """By tenant id."""
        self.match_ids: set[str] = set()
        self.verdicts: dict[CommandKey, Verdict] = {}
        self._waiting = WaitingRuns(self.runs, self.activities)
        self.windows = Windows()

    def ask(self, asked: Questions, facts: Iterable[tuple[str, RunsFact]]) -> None:
        """Add to `asked` what `apply` needs to know of the read model for these (tenant id, fact) pairs."""
        for tenant_id, fact in facts:
            if isinstance(fact, EventMatched):
                matched = match_id(fact.event.id, fact.event.replay_id)
                if fact.matches and matched not in self.match_ids:
                    asked.match_ids.add(matched)
                continue
            match = fact.match if isinstance(fact, _ASKED_FOR) else None
            if match is not None and match.run_id not in self.runs:
                asked.run_ids.add(match.run_id)
            if isinstance(fact, _COMMANDED):
                command = (tenant_id, fact.command.id)
                if command not in self.verdicts:
                    asked.commands.add(command)

    def apply(self, event: Event, fact: RunsFact, recorded_at: datetime, offset: int, known: Known) -> Folded:
        """Fold one fact. `event` is its envelope, `offset` where it lies."""
        self.now = max(self.now, recorded_at)
        folded = Folded()
        match fact:
            case EventMatched():
                self._match(event, fact, offset, known, folded)
            case RunRequested() | RunCancelled() | ApprovalDecided() | StepResolved():
                self._command(event, fact, offset, known, folded)
            case WindowCounted() | WindowOpened() | WindowFollowed() | WindowElapsed() | ScheduleFired():
                self._watch(event, fact, offset, known, folded)
            case _:
                run = self._open_run(event.tenant_id, fact.run_id)
                if run is not None:
                    self._follow(run, event, fact, offset, folded)
        return folded

    def forget(self, run_ids: Iterable[str], match_ids: Iterable[str], commands: Iterable[CommandKey]) -> None:
        """Let go what the read model holds by now. Runs that are not closed stay."""
        for run_id in run_ids:
            run = self.runs.get(run_id)
            if run is not None and run.closed:
                del self.runs[run_id]
        self.match_ids.difference_update(match_ids)
        for command in commands:
            self.verdicts.pop(command, None)

    def restore(
        self,
        runs: Iterable[Run],
        activities: Mapping[ActivityKey, Activity],
        usage: Mapping[str, Usage],
        now: datetime,
        windows: Iterable[tuple[WindowKey, Window]] = (),
    ) -> None:
        """Take over a snapshot: runs that are not closed, of activities what runs do not tell, and windows."""
        self.windows.restore(windows)
        self.now = max(self.now, now)
        for key, each in activities.items():
            self.activities[key] = replace(
                each,
                running=set(),
                queued=OrderedDict(),
                pending=set(),
                cooldowns=each.cooldowns.copy(),
                quarters={**each.quarters},
            )
        self.usage.update({tenant_id: replace(each) for tenant_id, each in usage.items()})
        queued = []
        for run in runs:
            self.runs[run.id] = run
            if run.status == "running":
                self._waiting.occupy(run)
            elif run.status == "queued":
                queued.append(run)
            elif run.status == "pending_approval":
                self._waiting.pend(run)
        self._waiting.take_over(queued)

    # ------------------------------------------------------------ runs begin

    def _match(self, event: Event, fact: EventMatched, offset: int, known: Known, folded: Folded) -> None:
        if not fact.matches:
            # It asks for no run, so no row would remember that it was here: the first that asks for runs stands.
            return
        match_key = match_id(fact.event.id, fact.event.replay_id)
        if match_key in self.match_ids or match_key in known.match_ids:
            return
        self.match_ids.add(match_key)
        stopped_by: Match | None = None
        for each in fact.matches:
            if each.run_id in self.runs:
                continue
            run = self._new_run(event, each, offset, fact.event)
            folded.runs.append(run)
            if stopped_by is not None:
                self._skip(run, Problem(kind="stopped", detail=f"{stopped_by.workflow_name} says stop_on_match"))
                continue
            self._admit(run, offset, folded)
            if each.stop_on_match and run.status != "skipped":
                stopped_by = each

    def _request(self, event: Event, fact: RunRequested, offset: int, known: Known, folded: Folded) -> Answer:
        run_id = fact.match.run_id
        if run_id in self.runs or run_id in known.run_ids:
            return Answer(202, {"run_id": run_id})
        run = self._new_run(event, fact.match, offset, None)
        run.inputs, run.requested_by = fact.inputs, fact.command.actor
        folded.runs.append(run)
        self._admit(run, offset, folded)
        return Answer(202, {"run_id": run_id})

    def _watch(self, event: Event, fact: WindowFact, offset: int, known: Known, folded: Folded) -> None:
        """Windows move on; an absence that still holds asks for its run."""
        folded.windows.append(WindowKey(event.tenant_id, fact.workflow_id, fact.trigger, fact.key))
        applied = self.windows.apply(event.tenant_id, fact, self.now, offset)
        folded.windows += self.windows.expire()
        if not applied:
            return
        if not isinstance(fact, WindowElapsed) or fact.match is None:
            return
        match = fact.match
        if match.run_id in self.runs or match.run_id in known.run_ids:
            return
        # The run's row names the event, and so answers for what the event itself led to: nothing more from here on.
        self.match_ids.add(match_id(fact.event.id, fact.event.replay_id))
        run = self._new_run(event, match, offset, fact.event)
        folded.runs.append(run)
        self._admit(run, offset, folded)

    def _new_run(self, event: Event, match: Match, offset: int, source_event: SourceEvent | None) -> Run:
        run = Run(
            id=match.run_id,
            tenant_id=event.tenant_id,
            match=match,
            status="running",
            requested_at=self.now,
            event=source_event,
            steps={plan.id: Step(id=plan.id) for plan in match.steps},
            positions=[offset],
            correlation_id=event.correlation_id,
            causation_id=event.id,
            last_record_id=event.id,
            traceparent=event.traceparent,
        )
        self.runs[run.id] = run
        return run

    def _admit(self, run: Run, offset: int, folded: Folded) -> None:
        match = run.match
        own, *shared = (self._activity(key) for key in scopes_of(run))
        usage = self.usage.get(run.tenant_id)
        if usage is None:
            usage = self.usage[run.tenant_id] = Usage()
        refused = admission.refusal(match, run.event, own, shared, usage, self.now)
        if refused is None:
            refused = self._waiting.queue_full(run)
        if refused is not None:
            self._skip(run, refused)
            return
        admission.note_admitted(match, own, shared, usage, self.now)
        folded.admitted.append(run)
        if match.approval is not None:
            run.status = "pending_approval"
            self._waiting.pend(run)
            run.approval = approvals.open_approval(run.id, match.approval, self.now)
            return
        self._start_or_queue(run, offset)

    def _start_or_queue(self, run: Run, offset: int) -> None:
        if self._waiting.may_start(run):
            self._start(run)
            return
        run.status, run.queued_position = "queued", offset
        self._waiting.wait(run)

    def _start(self, run: Run) -> None:
        run.started_at = self.now
        if not run.steps:
            run.status, run.ended_at = "succeeded", self.now
            return
        run.status = "running"
        self._waiting.occupy(run)

    def _skip(self, run: Run, reason: Problem) -> None:
        run.status, run.reason, run.ended_at = "skipped", reason, self.now

    # ------------------------------------------------------------ commands

    def _command(
        self,
        event: Event,
        fact: RunRequested | RunCancelled | ApprovalDecided | StepResolved,
        offset: int,
        known: Known,
        folded: Folded,
    ) -> None:
        key = (event.tenant_id, fact.command.id)
        former = self.verdicts.get(key) or known.verdicts.get(key)
        if former is not None and still_answers(former, self.now):
            return
        if isinstance(fact, RunRequested):
            answer = self._request(event, fact, offset, known, folded)
        else:
            answer = self._command_on_run(event, fact, offset, folded)
        verdict = Verdict(
            command_id=fact.command.id,
            payload_hash=fact.command.payload_hash,
            status=answer.status,
            body=answer.body,
            decided_at=self.now,
        )
        self.verdicts[key] = verdict
        folded.verdict = (key, verdict)

    def _command_on_run(
        self, event: Event, fact: RunCancelled | ApprovalDecided | StepResolved, offset: int, folded: Folded
    ) -> Answer:
        run = self._open_run(event.tenant_id, fact.run_id)
        if run is None:
            detail = "this run has ended, or there is none of this id"
            return Answer(409, {"kind": "run-ended", "detail": detail, "run_id": fact.run_id})
        self._record(run, event, offset, folded)
        match fact:
            case RunCancelled():
                return self._cancel(run, fact, folded)
            case ApprovalDecided():
                return self._decide(run, fact, offset, folded)
            case StepResolved():
                return self._resolve(run, fact, folded)

    def _cancel(self, run: Run, fact: RunCancelled, folded: Folded) -> Answer:
        if run.ended:
            detail = f"already {run.status}"
            return Answer(409, {"kind": "run-ended", "detail": detail, "run_id": run.id, "status": run.status})
        if run.approval is not None and run.approval.status == "pending":
            run.approval.close("cancelled", self.now, by=fact.command.actor)
        detail = f"by {fact.command.actor}" + (f": {fact.reason}" if fact.reason else "")
        self._end(run, "cancelled", Problem(kind="cancelled", detail=detail), folded)
        return Answer(200, {"run_id": run.id, "status": "cancelled"})

    def _decide(self, run: Run, fact: ApprovalDecided, offset: int, folded: Folded) -> Answer:
        answer = approvals.decide(run, fact, self.now)
        if answer.status != 200 or run.approval is None:
            return answer
        if run.approval.status == "denied":
            detail = f"by {fact.command.actor}" + (f": {fact.reason}" if fact.reason else "")
            self._end(run, "denied", Problem(kind="denied", detail=detail), folded)
        elif run.approval.status == "granted":
            self._waiting.granted(run)
            # `max_queued` bounds what events ask for; what a person has granted is queued, not thrown away.
            self._start_or_queue(run, offset)
        return answer

    def _resolve(self, run: Run, fact: StepResolved, folded: Folded) -> Answer:
        change = steps.resolve(run, fact, self.now)
        step = run.steps.get(fact.step_id)
        if change is None or step is None:
            status = step.status if step is not None else "no such step"
            detail = f"nothing to resolve: attempt {fact.number} of {fact.step_id!r} is not unknown ({status})"
            return Answer(409, {"kind": "step-not-unknown", "detail": detail, "run_id": run.id})
        self._settle(run, change, folded)
        return Answer(200, {"run_id": run.id, "step_id": step.id, "status": step.status})

    # ------------------------------------------------------------ runs go on

    def _follow(
        self, run: Run, event: Event, fact: StepFact | ApprovalExpired | ApprovalVoided, offset: int, folded: Folded
    ) -> None:
        match fact:
            case ApprovalExpired():
                change = self._expire(run)
            case ApprovalVoided():
                change = self._void(run, fact)
            case _:
                change = steps.evolve(run, fact, self.now)
        if change is None:
            return
        self._record(run, event, offset, folded)
        self._settle(run, change, folded)

    def _record(self, run: Run, event: Event, offset: int, folded: Folded) -> None:
        run.positions.append(offset)
        run.last_record_id = event.id
        folded.runs.append(run)

    def _settle(self, run: Run, change: Change, folded: Folded) -> None:
        if change.ends_as is not None:
            self._end(run, change.ends_as, change.reason, folded)

    def _expire(self, run: Run) -> Change | None:
        approval = run.approval
        if approval is None or approval.status != "pending" or self.now < approval.expires_at:
            return None
        approval.close("expired", self.now)
        detail = f"nobody decided until {approval.expires_at.isoformat()}"
        return Change("expired", Problem(kind="expired", detail=detail))

    def _void(self, run: Run, fact: ApprovalVoided) -> Change | None:
        if run.approval is None or run.ended or any(step.number for step in run.steps.values()):
            return None
        run.approval.close("voided", self.now)
        return Change("failed", Problem(kind="approval_void", detail=fact.detail))

    # ------------------------------------------------------------ runs end

    def _end(self, run: Run, status: RunStatus, reason: Problem | None, folded: Folded) -> None:
        run.status, run.reason, run.ended_at = status, reason, self.now
        steps.abandon_waits(run, status, self.now)
        for following in self._waiting.release(run):
            self._start(following)
            folded.runs.append(following)

    # ------------------------------------------------------------ looking things up

    def _open_run(self, tenant_id: str, run_id: str) -> Run | None:
        """A closed run is as good as forgotten, also while memory still holds it: a rebuild forgets at other times.
        Nobody reaches another tenant's run."""
        run = self.runs.get(run_id)
        return run if run is not None and run.tenant_id == tenant_id and not run.closed else None

    def _activity(self, key: ActivityKey) -> Activity:
        activity = self.activities.get(key)
        if activity is None:
            activity = self.activities[key] = Activity()
        return activity
