"""Whatever stands in the log, wherever it is cut: a fold restored from PostgreSQL is the fold that never stopped."""

from dataclasses import replace
from random import Random

import pytest

from shared.domain.absence import Absence
from shared.domain.runs.delta import RunsDelta
from shared.domain.runs.fold import Known, Questions, RunsFold
from shared.domain.windows import WindowKey
from shared.domain.workflow import MonthlyQuota, SharedLimit
from shared.readmodel.rows import build_rows
from shared.readmodel.store import ReadModel
from shared.testing.folds import TENANT, Entry, RunsScenario, apply_all, approval, limits, match, step

LOGS = 6
RECORDS = 90


def random_log(random: Random, tenant_id: str) -> list[Entry]:
    """Everything that can happen to runs, in an order that chance decides, a tenth of it twice."""
    scenario = RunsScenario()
    kinds = (
        match("plain"),
        match("bounded", limits=limits(max_concurrent=1, max_queued=2)),
        match("approved", approval=approval(quorum=1), limits=limits(max_concurrent=1)),
        match("cooled", limits=limits(cooldown_seconds=60, max_runs_per_day=9), cooldown_key="k"),
        match(
            "tagged",
            shared=(
                SharedLimit(tag="x", max_concurrent=1, cooldown_seconds=30, cooldown_key="k"),
                SharedLimit(tag="y", max_runs_per_day=5),
            ),
            quota=MonthlyQuota(plan="tiny", runs=30),
        ),
        match("tagged-too", shared=(SharedLimit(tag="x", max_concurrent=2, cooldown_seconds=90),)),
        match("dag", steps=[step("a"), step("b", on_error="continue"), step("c", needs=("a",), effect="unsafe")]),
    )
    while len(scenario.log) < RECORDS:
        scenario.wait(seconds=random.choice([0, 0, 1, 30, 4000]))
        runs = list(scenario.fold.runs.values())
        run = random.choice(runs) if runs else None
        match random.randrange(11):
            case 0 | 1 | 2:
                wanted = random.choice(kinds)
                key = random.choice("xyz")
                scenario.happens(replace(wanted, cooldown_key=key), event_id=f"e{random.randrange(40)}")
            case 3:
                scenario.asks(random.choice(kinds), key=f"k{random.randrange(5)}", command_id=f"c{random.randrange(5)}")
            case 4 | 5 | 6 if run is not None:
                step_id = random.choice(list(run.steps))
                scenario.starts(run.id, step_id, run.steps[step_id].number + 1)
                if random.randrange(3):
                    ends = random.choice([scenario.succeeds, scenario.fails])
                    ends(run.id, step_id, run.steps[step_id].number)
            case 7 if run is not None:
                decides = random.choice([scenario.grants, scenario.grants, scenario.denies])
                decides(run.id, command_id=f"d{len(scenario.log)}")
            case 9 | 10:
                watched(scenario, random)
            case 8 if run is not None and random.randrange(2):
                scenario.cancels(run.id, command_id=f"x{len(scenario.log)}")
            case _ if scenario.log:
                scenario.repeat(random.choice(scenario.log))
    return [replace(entry, event=replace(entry.event, tenant_id=tenant_id)) for entry in scenario.log]


def watched(scenario: RunsScenario, random: Random) -> None:
    """An event counts, begins a wait or ends one, in time or late; a wait is over."""
    event_id, key, ago = f"e{random.randrange(40)}", random.choice("pq"), random.choice([0, 5, 59, 61])
    match random.randrange(4):
        case 0:
            scenario.counts(event_id, key=key, ago=ago, times=2)
        case 1:
            scenario.opens(event_id, key=key, ago=ago)
        case 2:
            scenario.follows(event_id, key=key, ago=ago)
        case _:
            window = scenario.fold.windows.get(WindowKey(TENANT, "w1", "t2", key))
            opened_by = window.opened_by if isinstance(window, Absence) else None
            wanted = match_of_wait if random.randrange(3) else None
            scenario.elapses(opened_by or event_id, wanted, key=key)


match_of_wait = match("w1", limits=limits(max_concurrent=1, max_queued=1))


@pytest.mark.parametrize("seed", range(LOGS))
async def test_restored_anywhere_it_is_the_fold_that_never_stopped(readmodel: ReadModel, seed: int) -> None:
    random = Random(seed)
    tenant_id, partition = f"tenant-{seed}", seed
    log = random_log(random, tenant_id)
    never_stopped = RunsFold()
    fold = await _restored(readmodel, partition)
    start = 0
    while start < len(log):
        end = min(len(log), start + random.randrange(1, 25))
        apply_all(never_stopped, log[start:end], Known())
        delta = await _fold(readmodel, fold, log[start:end], partition)
        rows = build_rows([delta])
        await readmodel.write_rows(rows)
        forgettable = rows.forgettable[partition]
        fold.forget(forgettable.run_ids, forgettable.match_ids, forgettable.commands)
        restored = await _restored(readmodel, partition)
        open_runs = {run.id: run for run in never_stopped.runs.values() if not run.closed}
        assert restored.runs == open_runs
        assert fold.runs == open_runs
        assert _activities(restored) == _activities(never_stopped)
        assert restored.usage == {tenant: each for tenant, each in never_stopped.usage.items() if each.month}
        assert dict(restored.windows.items()) == dict(never_stopped.windows.items())
        assert restored.now == never_stopped.now
        if random.randrange(2):
            fold = restored
        start = end
    async with readmodel.pool.acquire() as connection:
        statuses = await connection.fetch("SELECT run_id, status FROM rm_1.runs WHERE tenant_id = $1", tenant_id)
        verdicts = await connection.fetch(
            "SELECT command_id, status FROM rm_1.commands WHERE tenant_id = $1", tenant_id
        )
    assert {row["run_id"]: row["status"] for row in statuses} == {
        run.id: run.status for run in never_stopped.runs.values()
    }
    assert {row["command_id"]: row["status"] for row in verdicts} == {
        command_id: verdict.status for (_, command_id), verdict in never_stopped.verdicts.items()
    }


async def _fold(readmodel: ReadModel, fold: RunsFold, entries: list[Entry], partition: int) -> RunsDelta:
    questions = Questions()
    fold.ask(questions, ((entry.event.tenant_id, entry.fact) for entry in entries))
    tenant_ids = {entry.event.tenant_id for entry in entries}
    known = await readmodel.lookup(questions, folded_to={partition: entries[0].offset}, tenant_ids=tenant_ids)
    delta = apply_all(fold, entries, known)
    delta.partition = partition
    return delta


async def _restored(readmodel: ReadModel, partition: int) -> RunsFold:
    snapshot = (await readmodel.snapshot([partition]))[partition]
    fold = RunsFold()
    fold.restore(snapshot.runs, snapshot.activities, snapshot.usage, snapshot.now or fold.now, snapshot.windows)
    return fold


def _activities(fold: RunsFold) -> dict[tuple[str, str], object]:
    """Without those that hold nothing: a workflow whose runs were all skipped."""
    found = {}
    for key, each in fold.activities.items():
        if each.day or each.running or each.queued or each.cooldowns or each.quarters:
            found[key] = (
                *(each.running, list(each.queued), each.day, each.runs_today, dict(each.cooldowns)),
                *(each.quarters, each.cooldown_seconds),
            )
    return found
