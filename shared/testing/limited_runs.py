"""Histories in which every limit is at work: workflows with bounds of their own and of tags, asked for by chance.

Written into a `RunsScenario` (`folds.py`), record by record, so that whoever reads along can say what should come of each.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random  # noqa: TID251  seeded by whoever asks for a history

from shared.domain.workflow import Limits, Match, MonthlyQuota, SharedLimit
from shared.testing.folds import RunsScenario, approval, match

TAGS = ("finance", "support", "night")
ZONES = ("UTC", "Europe/Paris", "Asia/Kathmandu", "America/St_Johns")
WORKFLOWS = ("w0", "w1", "w2", "w3", "w4")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """An event that these match, in the order in which they are decided on."""

    runs: tuple[tuple[str, Match], ...]
    chain: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """A run that waited for a person may go on."""

    run_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A run that ran, or waited, is over."""

    run_id: str
    status: str


def limited_history(log: RunsScenario, random: Random, records: int) -> Iterator[Asked | Granted | Ended]:
    """Grow `log`, telling what each step did; seconds or hours pass between two of them."""
    known = [_some_match(random, workflow_id) for workflow_id in WORKFLOWS for _ in range(2)]
    for _ in range(records):
        log.wait(seconds=random.choice((0, 0, 0, 1, 20, 45, 300, 7_000, 40_000 * (random.random() < 0.3))))
        if random.random() < 0.6:
            yield _ask(log, random, known)
        else:
            went_on = _grant_one(log, random) if random.random() < 0.4 else _end_one(log, random)
            if went_on is not None:
                yield went_on


def _some_match(random: Random, workflow_id: str) -> Match:
    """A workflow as it stands in one revision: some of the bounds, or none."""

    def perhaps(*values: int | None) -> int | None:
        return random.choice((None, *values))

    own = Limits(
        max_runs_per_day=perhaps(None, None, 4, 9),
        cooldown_seconds=perhaps(None, None, 60),
        max_concurrent=perhaps(1, 2, 3),
        max_queued=random.choice((0, 2, 1_000, 1_000)),
        max_depth=random.choice((2, 3)),
        reentrant=random.random() < 0.5,
        zone=random.choice(ZONES),
    )
    shared = tuple(
        SharedLimit(
            tag=tag,
            max_runs_per_day=perhaps(None, None, 6, 15),
            max_concurrent=perhaps(1, 2, 3, 4),
            cooldown_seconds=perhaps(None, None, 30, 600),
        )
        for tag in random.sample(TAGS, random.choice((0, 1, 1, 2)))
    )
    return match(
        workflow_id,
        limits=own,
        shared=shared,
        quota=MonthlyQuota(plan="p", runs=random.choice((20, 40))) if random.random() < 0.2 else None,
        priority=random.choice((1, 50)),
        stop_on_match=random.random() < 0.1,
        # Nobody is too late here: how long a decision may take is no limit.
        approval=approval(expires_in_seconds=10**9) if random.random() < 0.25 else None,
        bounds_pending=random.random() < 0.4,
    )


def _ask(log: RunsScenario, random: Random, known: list[Match]) -> Asked:
    asked = {each.workflow_id: each for each in random.sample(known, random.choice((1, 1, 2, 3)))}
    # As a matcher writes them: by priority, then by id.
    wanted = [_with_keys(each, random) for each in sorted(asked.values(), key=lambda it: (it.priority, it.workflow_id))]
    chain = tuple(random.sample(WORKFLOWS, random.choice((0, 0, 0, 1, 2))))
    run_ids = log.happens(*wanted, chain=chain)
    return Asked(runs=tuple(zip(run_ids, wanted, strict=True)), chain=chain)


def _with_keys(wanted: Match, random: Random) -> Match:
    shared = tuple(replace(each, cooldown_key=random.choice("klm")) for each in wanted.shared)
    return replace(wanted, cooldown_key=random.choice("kl"), shared=shared)


def _grant_one(log: RunsScenario, random: Random) -> Granted | None:
    pending = [run.id for run in log.fold.runs.values() if run.status == "pending_approval"]
    if not pending:
        return None
    run_id = random.choice(pending)
    log.grants(run_id)
    return Granted(run_id=run_id)


def _end_one(log: RunsScenario, random: Random) -> Ended | None:
    cancel = random.random() < 0.2
    statuses = ("running", "queued", "pending_approval")[: 1 + 2 * cancel]
    fitting = [run.id for run in log.fold.runs.values() if run.status in statuses]
    if not fitting:
        return None
    run_id = random.choice(fitting)
    if cancel:
        log.cancels(run_id, f"cancel-{run_id}")
        return Ended(run_id=run_id, status="cancelled")
    log.completes(run_id)
    return Ended(run_id=run_id, status="succeeded")
