"""What must hold of the runs' fold whatever stands in the log, in whatever order and however often."""

from collections.abc import Callable
from datetime import timedelta

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.executor.core.plan import Begin, Carry, Settle, next_work
from shared.domain.records import (
    ApprovalDecided,
    ApprovalExpired,
    ApprovalVoided,
    AttemptFinished,
    AttemptStarted,
    EventMatched,
    Problem,
    RunCancelled,
    RunRequested,
    StepFailed,
    StepResolved,
    StepSkipped,
    StepUnknown,
)
from shared.domain.runs.delta import RunsDelta
from shared.domain.runs.fold import Known, Questions, RunsFold
from shared.domain.runs.resting import is_idle, pack, unpack
from shared.domain.runs.state import Activity, Run, tag_scope
from shared.domain.workflow import Match, MonthlyQuota, SharedLimit
from shared.testing.examples import examples
from shared.testing.folds import (
    SUBJECT_HASH,
    TENANT,
    Entry,
    ProjectedRuns,
    RunsScenario,
    apply_all,
    approval,
    command,
    dump_run,
    limits,
    match,
    step,
)

MAX_CONCURRENT = {"one-at-a-time": 1, "approved": 1, "by-hand": 2, "skipping": 1, "queueing": 1}

NOTE = "long enough that a run which rests holds it as text"

Op = tuple[int, int, int, int, int]
"""(what, and three choices, and seconds that pass before)"""

OPS = st.lists(
    st.tuples(
        st.sampled_from([0, 0, 0, 1, 2, 2, 2, 2, 2, 2, 3, 4, 4, 5, 6, 7, 8, 8, 9, 10]),
        st.integers(0, 11),
        st.integers(0, 7),
        st.integers(0, 7),
        st.sampled_from([0, 0, 0, 1, 30, 90, 4_000, 90_000]),
    ),
    min_size=25,
    max_size=80,
)
FAST = settings(
    max_examples=examples(50), deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def workflows(choice: int) -> dict[str, Match]:
    """One of each kind; `choice` varies what may differ between two events."""
    dag = (
        step("a", effect="unsafe", on_unknown=("ask", "fail", "retry")[choice % 3]),
        step("b", on_error="continue"),
        step("c", needs=("a", "b"), effect="unsafe"),
    )
    every = (
        match("plain"),
        match("one-at-a-time", limits=limits(max_concurrent=1, max_queued=2)),
        match("approved", approval=approval(quorum=1 + choice % 2), limits=limits(max_concurrent=1, max_queued=0)),
        match(
            "skipping",
            approval=approval() if choice % 3 else None,
            limits=limits(max_concurrent=1, max_queued=0),
            bounds_pending=True,
        ),
        match("queueing", approval=approval(), limits=limits(max_concurrent=1, max_queued=2), bounds_pending=True),
        match("dag", steps=dag, limits=limits(cooldown_seconds=60), cooldown_key=f"k{choice % 3}"),
        match("daily", stop_on_match=True, limits=limits(max_runs_per_day=2, zone="Europe/Paris")),
        match(
            "changing", limits=limits(max_concurrent=(1, 3, None)[choice % 3], cooldown_seconds=(20, 200)[choice % 2])
        ),
        match(
            "tagged",
            shared=(
                SharedLimit(
                    tag="x", max_concurrent=2, cooldown_seconds=(20, 4_000)[choice % 2], cooldown_key=f"k{choice % 4}"
                ),
                SharedLimit(tag="y", max_concurrent=1 + choice % 2, max_runs_per_day=9),
            ),
            limits=limits(max_concurrent=(None, 1)[choice % 2]),
            quota=MonthlyQuota(plan="tiny", runs=25),
        ),
        match(
            "tagged-too",
            shared=(SharedLimit(tag="y", max_concurrent=2, max_runs_per_day=5),),
            limits=limits(zone="Asia/Kathmandu"),
        ),
    )
    return {each.workflow_id: each for each in every}


def grow(log: RunsScenario, op: Op) -> None:
    """One more record: sensible, late, void, repeated or foreign, as the choices say."""
    what, a, b, c, seconds = op
    log.wait(seconds=seconds)
    runs = list(log.fold.runs.values())
    if what == 0:
        chosen = [each for index, each in enumerate(workflows(c).values()) if (a + 1) * (c + 3) * 11 >> index & 1]
        log.happens(*chosen, event_id=f"e{a % 5}-{len(log.log) // 20}", replay_id="again" if b == 0 else None)
        return
    if what == 1:
        wanted = match("by-hand", limits=limits(max_concurrent=2, max_queued=1))
        log.asks(wanted, key=f"k{a % 4}", command_id=f"c{b}{c}")
        return
    if what == 8 and log.log:
        log.repeat(log.log[-1 - a % len(log.log)])
        return
    if what == 10 and log.log:
        entry = log.log[-1 - a % len(log.log)]
        if not isinstance(entry.fact, EventMatched | RunRequested):
            log.append(entry.fact, tenant_id="other", record_id=entry.event.id)
        return
    if not runs:
        return
    fitting = [run for run in runs if fits(what, run)]
    run = (fitting or runs)[-1 - a % len(fitting or runs)]
    on_run: dict[int, Callable[[], object]] = {
        2: lambda: work_on(log, run, b, c),
        3: lambda: log.cancels(run.id, f"c{b}{c}"),
        4: lambda: log.append(decision(run, b, c)),
        5: lambda: log.append(resolution(run, b, c)),
        6: lambda: log.append(ApprovalExpired(run_id=run.id)),
        7: lambda: log.append(ApprovalVoided(run_id=run.id, subject_hash="other", detail="changed")),
        9: lambda: log.append(anything(run, b, c)),
    }
    if what in on_run:
        on_run[what]()


def fits(what: int, run: Run) -> bool:
    """Whether a record of this kind probably changes that run."""
    match what:
        case 2:
            return bool(next_work(run))
        case 4 | 6:
            return run.status == "pending_approval"
        case 5 | 9:
            return any(each.status in ("unknown", "retrying") for each in run.steps.values())
        case 3:
            return run.status in ("queued", "running")
        case 7:
            return run.approval is not None and not run.ended
    return True


def work_on(log: RunsScenario, run: Run, b: int, c: int) -> None:
    """What an executor would do next, with one of the ends that it may come to."""
    works = next_work(run)
    if not works:
        return
    work = works[b % len(works)]
    match work:
        case Begin() if c == 7:
            log.append(StepSkipped(run_id=run.id, step_id=work.step_id, reason="its condition is false"))
        case Begin() if c == 6:
            log.append(StepFailed(run_id=run.id, step_id=work.step_id, problem=Problem(kind="template", detail="x")))
        case Begin():
            log.starts(run.id, work.step_id, work.number, log.now + timedelta(days=20) if c == 5 else None)
        case Carry() if c < 4:
            log.succeeds(run.id, work.step_id, work.number, output={"n": c, "note": NOTE})
        case Carry() if c == 4:
            log.append(StepUnknown(run_id=run.id, step_id=work.step_id, number=work.number))
        case Carry() | Settle():
            retry_at = log.now + timedelta(seconds=5) if c == 5 and work.number < 4 else None
            log.fails(run.id, work.step_id, work.number, retry_at)


def decision(run: Run, b: int, c: int) -> ApprovalDecided:
    return ApprovalDecided(
        run_id=run.id,
        decision="denied" if c == 0 else "granted",
        reason="",
        subject_hash="other" if c == 1 else SUBJECT_HASH,
        command=command(f"d{b}{c}", actor=("author", "bob", "cid")[b % 3], roles=() if c == 2 else ("approve",)),
    )


def resolution(run: Run, b: int, c: int) -> StepResolved:
    unknown = next((each for each in run.steps.values() if each.status == "unknown"), None)
    return StepResolved(
        run_id=run.id,
        step_id=unknown.id if unknown is not None else "a",
        number=unknown.number if unknown is not None else 1,
        resolution=("succeeded", "failed", "retry")[c % 3],  # type: ignore[arg-type]  # one of the three
        reason="looked",
        command=command(f"r{b}{c}"),
    )


def anything(run: Run, b: int, c: int) -> AttemptStarted | AttemptFinished | StepUnknown | StepSkipped | RunCancelled:
    """Any attempt's record, however little it fits."""
    step_id, number = ("a", "b", "c", "none")[b % 4], 1 + c % 3
    finished = AttemptFinished(run_id=run.id, step_id=step_id, number=number, outcome="succeeded")
    return (
        AttemptStarted(run_id=run.id, step_id=step_id, number=number, request={}),
        finished,
        StepUnknown(run_id=run.id, step_id=step_id, number=number),
        StepSkipped(run_id=run.id, step_id=step_id, reason="late"),
        RunCancelled(run_id="nobody's", reason="", command=command(f"x{b}")),
        finished,
        finished,
        finished,
    )[c]


def state_of(fold: RunsFold) -> dict[str, object]:
    """All that decides what comes next."""
    return {
        "runs": {run.id: dump_run(run) for run in fold.runs.values() if not run.closed},
        "activities": {
            key: (
                *(
                    sorted(each.running),
                    list(each.queued),
                    sorted(each.pending),
                    each.day,
                    each.runs_today,
                    dict(each.cooldowns),
                ),
                *(each.quarters, each.cooldown_seconds),
            )
            for key, each in fold.activities.items()
            if each.running or each.queued or each.pending or each.day or each.cooldowns or each.quarters
        },
        "usage": {tenant_id: (each.month, each.runs) for tenant_id, each in fold.usage.items() if each.month},
        "now": fold.now,
    }


def everything_in(fold: RunsFold) -> object:
    return (
        {run.id: dump_run(run) for run in fold.runs.values()},
        {**state_of(fold), "now": None},
        set(fold.match_ids),
        dict(fold.verdicts),
    )


# ---------------------------------------------------------------- the properties


@FAST
@given(OPS)
def test_an_ended_run_stays_as_it_ended_and_bounds_hold(ops: list[Op]) -> None:
    log = RunsScenario()
    ended: dict[str, tuple[object, ...]] = {}
    closed: dict[str, bytes] = {}
    for op in ops:
        grow(log, op)
        for run in log.fold.runs.values():
            if run.ended:
                end = (run.status, run.reason, run.ended_at)
                assert ended.setdefault(run.id, end) == end
            else:
                assert run.id not in ended
            if run.closed:
                assert closed.setdefault(run.id, dump_run(run)) == dump_run(run)
        check_queues(log.fold)


def check_queues(fold: RunsFold) -> None:
    of_status = {"running": set[str](), "queued": set[str](), "pending_approval": set[str]()}
    for run in fold.runs.values():
        if run.status in of_status:
            of_status[run.status].add(run.id)
    activities = fold.activities.items()
    lines = {key: each for key, each in activities if not key[1].startswith("tag:")}
    assert {run_id for each in lines.values() for run_id in each.running} == of_status["running"]
    assert {run_id for each in lines.values() for run_id in each.queued} == of_status["queued"]
    assert {run_id for each in lines.values() for run_id in each.pending} == of_status["pending_approval"]
    for workflow_id, most in (("skipping", 1), ("queueing", 3)):
        asked = lines.get((TENANT, workflow_id), Activity())
        # One runs or waits for a person; the others are those that `max_queued` lets wait.
        assert len(asked.running) + len(asked.queued) + len(asked.pending) <= most
    for (tenant_id, scope), each in activities:
        if (tenant_id, scope) not in lines:
            named = {run_id for run_id in of_status["running"] if names(fold.runs[run_id], tenant_id, scope)}
            assert each.running == named
            assert not each.queued
    for (_, workflow_id), each in lines.items():
        bound = MAX_CONCURRENT.get(workflow_id)
        if bound is not None:
            assert len(each.running) <= bound
            assert len(each.running) == bound or not each.queued
        if each.queued:
            assert is_held_up(fold, fold.runs[next(iter(each.queued))]), "whoever is next could start"
        positions = [fold.runs[run_id].queued_position for run_id in each.queued]
        assert positions == sorted(positions, key=lambda it: it or 0)


def names(run: Run, tenant_id: str, scope: str) -> bool:
    return run.tenant_id == tenant_id and any(tag_scope(each.tag) == scope for each in run.match.shared)


def is_held_up(fold: RunsFold, run: Run) -> bool:
    bounds = {run.match.workflow_id: run.match.limits.max_concurrent}
    bounds |= {tag_scope(each.tag): each.max_concurrent for each in run.match.shared}
    return any(
        bound is not None and len(fold.activities[run.tenant_id, scope].running) >= bound
        for scope, bound in bounds.items()
    )


@FAST
@given(OPS)
def test_what_counted_once_counts_once(ops: list[Op]) -> None:
    log = RunsScenario()
    counted: list[Entry] = []
    for op in ops:
        length = len(log.log)
        grow(log, (*op[:4], min(op[4], 4_000)))
        if len(log.log) == length:
            continue
        if log.last.runs or log.last.verdict is not None:
            counted.append(log.log[-1])
        before = everything_in(log.fold)
        for entry in counted[-12:]:
            log.repeat(entry)
        assert everything_in(log.fold) == before


@FAST
@given(OPS, st.lists(st.booleans(), min_size=1))
def test_how_runs_are_held_changes_nothing_that_is_said_of_them(ops: list[Op], packs: list[bool]) -> None:
    log = RunsScenario()
    for op in ops:
        grow(log, op)
    fold = RunsFold()
    for number, entry in enumerate(log.log):
        delta = apply_all(fold, [entry], Known())
        if packs[number % len(packs)]:
            pack(run for run in delta.runs.values() if is_idle(run))
        elif number % 3 == 0:
            for run in fold.runs.values():
                unpack(run)
    assert {run.id: dump_run(run) for run in fold.runs.values()} == {
        run.id: dump_run(run) for run in log.fold.runs.values()
    }
    assert fold.runs == log.fold.runs


CUTS = st.lists(st.tuples(st.integers(1, 9), st.sampled_from(["hold", "write", "forget", "forget", "die"])), min_size=1)


@FAST
@given(OPS, CUTS)
def test_forgetting_and_restoring_change_nothing(ops: list[Op], cuts: list[tuple[int, str]]) -> None:
    """Whatever was written when, forgotten when, and lost in the memory of a process that died before it wrote."""
    log = RunsScenario()
    for op in ops:
        grow(log, op)
    projected, fold = ProjectedRuns(), RunsFold()
    pending: RunsDelta | None = None
    forgettable: list[tuple[list[str], list[str], list[tuple[str, str]]]] = []
    done = turn = deaths = 0
    while done < len(log.log):
        size, then = cuts[turn % len(cuts)]
        turn += 1
        batch = log.log[done : done + size]
        done += len(batch)
        questions = Questions()
        fold.ask(questions, ((entry.event.tenant_id, entry.fact) for entry in batch))
        delta = apply_all(fold, batch, projected.lookup(questions))
        if pending is None:
            pending = delta
        else:
            pending.merge(delta)
        if then == "die" and deaths < 5:
            deaths += 1
            fold, pending, done = projected.restored(), None, projected.next
            forgettable.clear()
        elif then != "hold":
            forgettable.append(projected.write(pending))
            pending = None
        if then == "forget":
            for each in forgettable:
                fold.forget(*each)
            forgettable.clear()
    if pending is not None:
        projected.write(pending)
    assert projected.rows == {run.id: dump_run(run) for run in log.fold.runs.values()}
    assert projected.verdicts == log.fold.verdicts
    assert projected.match_ids == log.fold.match_ids
    if log.log:
        assert state_of(fold) == state_of(log.fold)
        assert state_of(projected.restored()) == state_of(log.fold)


@FAST
@given(OPS)
def test_every_run_ends_once_if_somebody_answers(ops: list[Op]) -> None:
    log = RunsScenario()
    for op in ops:
        grow(log, op)
    log.wait(days=2)
    for _ in range(1_000):
        unfinished = [run for run in log.fold.runs.values() if not run.closed]
        if not unfinished:
            break
        for run in unfinished:
            answer(log, run)
    assert all(run.closed for run in log.fold.runs.values())
    assert not any(each.running or each.queued or each.pending for each in log.fold.activities.values())


def answer(log: RunsScenario, run: Run) -> None:
    if run.status == "pending_approval":
        log.append(ApprovalExpired(run_id=run.id))
    for each in run.steps.values():
        if each.status == "unknown":
            resolved = StepResolved(
                run_id=run.id,
                step_id=each.id,
                number=each.number,
                resolution="succeeded",
                reason="",
                command=command(f"finally-{run.id}-{each.id}"),
            )
            log.append(resolved)
    for work in next_work(run):
        match work:
            case Begin():
                log.starts(run.id, work.step_id, work.number)
            case Carry():
                log.succeeds(run.id, work.step_id, work.number)
            case Settle():
                log.fails(run.id, work.step_id, work.number)


@FAST
@given(OPS)
def test_no_tenant_reaches_the_runs_of_another(ops: list[Op]) -> None:
    log = RunsScenario()
    for op in ops:
        grow(log, op)
    before = everything_in(log.fold)
    verdicts = {key for key in log.fold.verdicts if key[0] == TENANT}
    for entry in list(log.log):
        if not isinstance(entry.fact, EventMatched | RunRequested):
            log.append(entry.fact, tenant_id="third", record_id=entry.event.id)
    assert everything_in(log.fold)[:3] == before[:3]  # type: ignore[index]  # a tuple
    assert {key for key in log.fold.verdicts if key[0] == TENANT} == verdicts
    assert all(each.status == 409 for (tenant, _), each in log.fold.verdicts.items() if tenant == "third")


@FAST
@given(OPS)
def test_a_snapshot_is_json_and_comes_back_as_it_was(ops: list[Op]) -> None:
    log = RunsScenario()
    for op in ops:
        grow(log, op)
    projected = ProjectedRuns()
    if log.log:
        projected.write(apply_all(RunsFold(), log.log, projected.lookup(Questions())))
    for run in projected.restored().runs.values():
        assert orjson.loads(dump_run(run)) == orjson.loads(dump_run(log.run(run.id)))
