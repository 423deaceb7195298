"""Which runs are held as text: those that rest, and beyond a bound whatever is idle."""

from datetime import datetime, timedelta

import pytest

from shared.domain.packed import Packed
from shared.domain.runs.fold import RunsFold
from shared.domain.runs.resting import rests, unpack
from shared.domain.runs.state import Run
from shared.runtime.holding import Holding
from shared.testing.folds import DATA, RunsScenario, approval, match, step

TWO_STEPS = match("w1", steps=(step("a"), step("b")))


def is_packed(run: Run) -> bool:
    assert run.event is not None
    return isinstance(run.event.data, Packed)


def settled(holding: Holding, fold: RunsFold, *, record_bytes: int = 100) -> None:
    runs = list(fold.runs.values())
    holding.weigh(runs, record_bytes)
    holding.settle(runs, fold.now)


def waiting(log: RunsScenario, wanted_until: datetime) -> Run:
    (run_id,) = log.happens(match("w1"))
    log.starts(run_id, due_at=wanted_until)
    return log.run(run_id)


@pytest.mark.parametrize(("seconds", "held_as_text"), [(3600, True), (30, False)])
def test_a_run_that_waits_for_long_is_held_as_text(seconds: int, held_as_text: bool) -> None:
    log = RunsScenario()
    run = waiting(log, log.now + timedelta(seconds=seconds))
    holding = Holding(parsed_bytes_max=1_000_000)
    settled(holding, log.fold)
    assert is_packed(run) == held_as_text
    assert holding.parsed_bytes == (0 if held_as_text else 100)


def test_so_is_one_that_waits_for_a_person_until_it_is_carried_on() -> None:
    log = RunsScenario()
    (run_id,) = log.happens(match("w1", approval=approval()))
    settled(Holding(parsed_bytes_max=1_000_000), log.fold)
    run = log.run(run_id)
    assert is_packed(run)
    log.grants(run_id)
    assert not rests(run, log.fold.now)
    unpack(run)
    assert run.event is not None
    assert run.event.data == DATA
    assert not is_packed(run)


def test_what_is_carried_out_is_never_packed_and_beyond_the_bound_all_else_is() -> None:
    log = RunsScenario()
    (busy,) = log.happens(TWO_STEPS)
    log.starts(busy, "a")
    log.starts(busy, "b", due_at=log.now + timedelta(days=9))
    (idle,) = log.happens(TWO_STEPS)
    holding = Holding(parsed_bytes_max=99)
    settled(holding, log.fold)
    assert not is_packed(log.run(busy))
    assert is_packed(log.run(idle))
    assert holding.parsed_bytes == 50


def test_what_memory_let_go_weighs_nothing() -> None:
    log = RunsScenario()
    (run_id,) = log.happens(match("w1"))
    log.completes(run_id)
    holding = Holding(parsed_bytes_max=1_000)
    settled(holding, log.fold)
    assert holding.parsed_bytes == 100
    holding.let_go([run_id, "somebody else's"])
    assert holding.parsed_bytes == 0


def test_runs_of_one_event_share_what_they_hold() -> None:
    log = RunsScenario()
    first, second = log.happens(match("w1", approval=approval()), match("w2", approval=approval()))
    settled(Holding(parsed_bytes_max=1_000), log.fold)
    assert log.run(first).event is log.run(second).event
