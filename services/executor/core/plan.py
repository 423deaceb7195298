"""What a run's state asks for next. Level-triggered: asked after every change and after every restore alike."""

from dataclasses import dataclass
from datetime import datetime

from shared.domain.records import AttemptFinished
from shared.domain.runs.state import STEP_ENDED, Run, Step
from shared.domain.workflow import StepPlan


@dataclass(frozen=True, slots=True)
class Begin:
    """Begin attempt `number` of a step: now, or at `due_at`."""

    step_id: str
    number: int
    due_at: datetime | None


@dataclass(frozen=True, slots=True)
class Carry:
    """Attempt `number` stands in the log as started: carry it out."""

    step_id: str
    number: int
    due_at: datetime | None


@dataclass(frozen=True, slots=True)
class Settle:
    """The run ended while attempt `number` was on its way, and nobody is carrying it out: say so."""

    step_id: str
    number: int


Work = Begin | Carry | Settle


def next_work(run: Run) -> list[Work]:
    """All that can be done for `run` now or later. The caller knows what of it is under way already."""
    if run.ended:
        return [Settle(step.id, step.number) for step in run.steps.values() if step.status == "started"]
    if run.status != "running":
        return []
    work: list[Work] = []
    for plan in run.match.steps:
        step = run.steps[plan.id]
        if step.status == "pending" and _needs_ended(run, plan):
            work.append(Begin(step.id, 1, None))
        elif step.status == "retrying":
            work.append(Begin(step.id, step.number + 1, step.due_at))
        elif step.status == "started":
            work.append(Carry(step.id, step.number, step.due_at))
    return work


def still_wanted(run: Run, work: Work) -> bool:
    """Whether `work`, planned earlier, is still what the state asks for."""
    step: Step | None = run.steps.get(work.step_id)
    if step is None:
        return False
    match work:
        case Begin():
            return run.status == "running" and step.number == work.number - 1 and step.status in ("pending", "retrying")
        case Carry():
            return not run.ended and step.status == "started" and step.number == work.number
        case Settle():
            return run.ended and step.status == "started" and step.number == work.number


def somebody_waits(run: Run, finished: AttemptFinished) -> bool:
    """Whether a step of this run, or another run, may have to wait until `finished` is in the log; or a person, whom an
    unsafe step asks what became of it where its process dies before."""
    match = run.match
    if (
        finished.outcome != "succeeded"
        or match.plan_of(finished.step_id).effect == "unsafe"
        or match.is_concurrency_bounded
    ):
        return True
    for step in run.steps.values():  # noqa: SIM110  asked for every attempt; `any` costs three times as much
        if step.status not in STEP_ENDED and step.id != finished.step_id:
            return True
    return False


def _needs_ended(run: Run, plan: StepPlan) -> bool:
    return all(run.steps[needed].status in STEP_ENDED for needed in plan.needs)
