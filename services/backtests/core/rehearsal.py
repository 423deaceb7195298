"""One run, played through without doing anything: the order of the plan, which steps would run, and what each would send.

Guarantee: conditions, templates and requests are made by the code that makes the real ones; what needs the output of a step
that has not run stays template text, as in an approval. Pure: nothing here could reach the outside.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from services.backtests.core.candidate import Candidate
from shared.domain.definitions import Tenant
from shared.domain.records import Problem, SourceEvent
from shared.domain.runs.state import Run, Step
from shared.domain.workflow import Match, StepPlan
from shared.expressions import Meter, TemplateError
from shared.workflows.compiled import CompiledStep
from shared.workflows.context import Context, run_context

Answer = Literal["yes", "no", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """What an action would do with its rendered settings. `request`: as it would leave, secrets never in it.

    `not_before`: it is not over earlier. `problem`: it could not be tried at all.
    """

    request: Mapping[str, object] | None = None
    not_before: datetime | None = None
    problem: Problem | None = None


class Previewer(Protocol):
    """The actions, as far as they can be asked without carrying anything out."""

    def preview(
        self, tenant: Tenant, run: Run, step_id: str, uses: str, config: Mapping[str, object], now: datetime
    ) -> Sending:
        """What a step with these rendered settings would send."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRehearsal:
    """One step.

    `wave`: steps of one wave start together, 1 first. `runs` and `why`: whether it would run, and the reason. `rendered`:
    its `with`, filled in as far as known. `unknown`: pointers into `rendered` at what is still template text, because it
    needs the output of the steps `needs_output_of`. `sends` is there where all is known. `not_before`: a wait is over then,
    counted on from the waits before it.
    """

    id: str
    uses: str
    needs: tuple[str, ...]
    wave: int
    runs: Answer
    why: str
    rendered: object
    sends: Mapping[str, object] | None
    not_before: datetime | None
    unknown: tuple[str, ...]
    needs_output_of: tuple[str, ...]
    problem: Problem | None


def rehearse(
    candidate: Candidate,
    match: Match,
    event: SourceEvent | None,
    *,
    at: datetime,
    outputs: Mapping[str, object],
    previewer: Previewer,
    only_first: bool = False,
    meter: Meter | None = None,
) -> list[StepRehearsal]:
    """Play the run through that `match` asks for, at the instant `at`. `outputs`: what some steps are assumed to give.

    `only_first`: the steps that wait for none. `meter`: what all steps' templates may use up together; beyond it
    `TooMuchTogether`. Otherwise it never raises for what a tenant wrote: that is a step's `problem`.
    """
    run = Run(
        id=match.run_id,
        tenant_id=candidate.tenant.id,
        match=match,
        status="running",
        requested_at=at,
        event=event,
        steps={plan.id: Step(id=plan.id) for plan in match.steps},
        correlation_id=event.correlation_id if event is not None else None,
    )
    playing = _Playing(candidate, run, at, outputs, previewer, meter)
    found: list[StepRehearsal] = []
    for wave, plans in enumerate(waves(match.steps), 1):
        found += [playing.step(plan, wave) for plan in plans]
        if only_first:
            break
    return found


def ends_at(steps: Sequence[StepRehearsal], at: datetime) -> datetime:
    """When a run that begins `at` is over, if only what waits takes time."""
    return max((step.not_before for step in steps if step.not_before is not None), default=at)


def waves(plans: Sequence[StepPlan]) -> list[list[StepPlan]]:
    """The steps by when they can start, if each took equally long; within a wave in the document's order."""
    found: list[list[StepPlan]] = []
    ended: set[str] = set()
    waiting = list(plans)
    while waiting:
        ready = [plan for plan in waiting if ended.issuperset(plan.needs)]
        if not ready:
            raise ValueError("the steps wait for each other; the check refuses that")
        found.append(ready)
        ended.update(plan.id for plan in ready)
        waiting = [plan for plan in waiting if plan.id not in ended]
    return found


class _Playing:
    """The run as it goes; each step that is played leaves its mark on it for those that follow."""

    def __init__(
        self,
        candidate: Candidate,
        run: Run,
        at: datetime,
        outputs: Mapping[str, object],
        previewer: Previewer,
        meter: Meter | None,
    ) -> None:
        self._candidate = candidate
        self._run = run
        self._at = at
        self._over_at: dict[str, datetime] = {}
        self._outputs = outputs
        self._previewer = previewer
        self._meter = meter
        self._failed_at: str | None = None

    def step(self, plan: StepPlan, wave: int) -> StepRehearsal:
        compiled = self._candidate.steps[plan.id]
        context = run_context(self._run)
        runs, why = self._runs(compiled, context)
        begins_at = max((self._over_at[each] for each in plan.needs), default=self._at)
        rendered, unknown, sending = self._sending(compiled, context, begins_at)
        if runs == "no":
            sending = Sending()
        self._over_at[plan.id] = max(begins_at, sending.not_before or begins_at)
        self._leave_mark(plan, runs, sending.problem)
        return StepRehearsal(
            id=plan.id,
            uses=plan.uses,
            needs=plan.needs,
            wave=wave,
            runs=runs,
            why=why,
            rendered=rendered,
            sends=sending.request,
            not_before=sending.not_before,
            unknown=unknown,
            needs_output_of=_missing(compiled.template.references(), context) if unknown else (),
            problem=sending.problem,
        )

    def _runs(self, step: CompiledStep, context: Context) -> tuple[Answer, str]:
        if self._failed_at is not None:
            return "no", f"the run fails at {self._failed_at!r}"
        if step.condition is None:
            return "yes", "it has no condition"
        missing = _missing(step.condition.paths, context)
        if missing:
            return "unknown", f"its condition needs the output of {', '.join(missing)}"
        outcome = step.condition.evaluate(context)
        if outcome.value:
            return "yes", "its condition is true"
        return (
            "no",
            f"its condition could not be evaluated: {outcome.error}" if outcome.error else "its condition is false",
        )

    def _sending(self, step: CompiledStep, context: Context, at: datetime) -> tuple[object, tuple[str, ...], Sending]:
        try:
            partial = step.template.render_partial(context, self._meter)
        except TemplateError as error:
            return step.template.source, (), Sending(problem=Problem(kind="template", detail=str(error)))
        if partial.unresolved:
            return partial.value, partial.unresolved, Sending()
        if not isinstance(partial.value, Mapping):
            detail = "`with` did not render to an object"
            return partial.value, (), Sending(problem=Problem(kind="template", detail=detail))
        tenant = self._candidate.tenant
        return (
            partial.value,
            (),
            self._previewer.preview(tenant, self._run, step.id, step.uses, partial.value, at),
        )

    def _leave_mark(self, plan: StepPlan, runs: Answer, problem: Problem | None) -> None:
        step = self._run.steps[plan.id]
        if runs == "no":
            step.status = "skipped"
        elif plan.id in self._outputs:
            step.status, step.output = "succeeded", self._outputs[plan.id]
        elif problem is not None:
            step.status, step.problem = "failed", problem
            if runs == "yes" and plan.on_error == "fail":
                self._failed_at = plan.id


def _missing(paths: Sequence[tuple[str, ...]] | frozenset[tuple[str, ...]], context: Context) -> tuple[str, ...]:
    """The steps that these paths name and that have not ended."""
    steps = context["steps"]
    ended = steps if isinstance(steps, Mapping) else {}
    named = {path[1] if len(path) > 1 else "the steps before it" for path in paths if path[0] == "steps"}
    return tuple(sorted(name for name in named if name not in ended))
