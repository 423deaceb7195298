"""The word that ends a run may wait for company only where nothing and nobody waits for it."""

from dataclasses import replace
from datetime import UTC, datetime

from services.executor.core.plan import somebody_waits
from shared.domain.records import AttemptFinished, Problem
from shared.domain.runs.state import Run, Step
from shared.domain.workflow import Limits, Match, SharedLimit, StepPlan

MATCH = Match(
    run_id="r", workflow_id="w", workflow_name="W", revision=1, steps=(StepPlan(id="a", uses="notify.webhook"),)
)
DONE = AttemptFinished(run_id="r", step_id="a", number=1, outcome="succeeded")


def run_of(match: Match, *steps: Step) -> Run:
    found = {step.id: step for step in (Step(id="a", status="started", number=1), *steps)}
    at = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
    return Run(id="r", tenant_id="acme", match=match, status="running", requested_at=at, steps=found)


def test_nobody_waits_for_the_last_success_of_a_run_without_limits() -> None:
    assert not somebody_waits(run_of(MATCH), DONE)
    assert not somebody_waits(run_of(MATCH, Step(id="b", status="succeeded")), DONE)
    daily = replace(MATCH, limits=Limits(max_runs_per_day=1), shared=(SharedLimit(tag="t", cooldown_seconds=5),))
    assert not somebody_waits(run_of(daily), DONE)


def test_steps_runs_and_people_do() -> None:
    assert somebody_waits(run_of(MATCH, Step(id="b", status="pending")), DONE)
    assert somebody_waits(run_of(replace(MATCH, limits=Limits(max_concurrent=1))), DONE)
    assert somebody_waits(run_of(replace(MATCH, shared=(SharedLimit(tag="t", max_concurrent=1),))), DONE)
    failed = replace(DONE, outcome="failed", problem=Problem(kind="x", detail="y"))
    assert somebody_waits(run_of(MATCH), failed)
    unsafe = replace(MATCH, steps=(StepPlan(id="a", uses="notify.webhook", effect="unsafe"),))
    assert somebody_waits(run_of(unsafe), DONE)
