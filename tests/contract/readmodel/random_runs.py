"""Logs of runs by chance: everything that can happen to them, in any order, some of it twice; and what is appended of them."""

from dataclasses import replace
from random import Random

from shared.bus import codec, facts
from shared.bus.facts import Cause
from shared.bus.port import NewRecord
from shared.bus.topics import RUNS
from shared.domain.absence import Absence
from shared.domain.windows import WindowKey
from shared.domain.workflow import MonthlyQuota, SharedLimit
from shared.testing.folds import TENANT, Entry, RunsScenario, approval, limits, match, step

RECORDS = 90

_MATCH_OF_WAIT = match("w1", limits=limits(max_concurrent=1, max_queued=1))


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
                _watched(scenario, random)
            case 8 if run is not None and random.randrange(2):
                scenario.cancels(run.id, command_id=f"x{len(scenario.log)}")
            case _ if scenario.log:
                scenario.repeat(random.choice(scenario.log))
    return [replace(entry, event=replace(entry.event, tenant_id=tenant_id)) for entry in scenario.log]


def _watched(scenario: RunsScenario, random: Random) -> None:
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
            wanted = _MATCH_OF_WAIT if random.randrange(3) else None
            scenario.elapses(opened_by or event_id, wanted, key=key)


_NO_CAUSE = Cause(causation_id=None, correlation_id=None)


def record_of(entry: Entry, tenant_id: str = TENANT, cause: Cause = _NO_CAUSE) -> NewRecord:
    """As a matcher appends it."""
    event = facts.envelop(
        entry.fact,
        id=entry.event.id,
        tenant_id=tenant_id,
        source="/upshot/matcher",
        at=entry.recorded_at,
        cause=cause,
    )
    return codec.encode(RUNS, event)
