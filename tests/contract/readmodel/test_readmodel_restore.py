"""Whatever stands in the log, wherever it is cut: a fold restored from PostgreSQL is the fold that never stopped."""

from random import Random

import pytest

from shared.domain.runs.delta import RunsDelta
from shared.domain.runs.fold import Known, Questions, RunsFold
from shared.readmodel.rows import build_rows
from shared.readmodel.store import ReadModel
from shared.testing.folds import Entry, apply_all
from tests.contract.readmodel.random_runs import random_log

LOGS = 6


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
