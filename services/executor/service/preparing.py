"""What becomes of a step whose turn has come: what it would do, or why it is skipped, fails, or may not begin at all.

Reads definitions as they are known to this process, which may be behind what their author was answered. A verdict that hangs on
them is therefore not final before all is known that stood in the log when it was given.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Mapping

from services.executor.actions import OF_DEFINITIONS, Action, Prepared, Refused, Scene
from services.executor.core.plan import Begin
from shared.bus.topics import DEFINITIONS
from shared.domain import ids
from shared.domain.clock import Clock
from shared.domain.definitions import Revision, Tenant
from shared.domain.errors import InvalidInput, TransientError
from shared.domain.records import ApprovalVoided, Problem, StepSkipped
from shared.domain.runs.resting import unpack
from shared.domain.runs.state import Run
from shared.domain.workflow import StepPlan
from shared.expressions import TemplateError, TooMuchTogether
from shared.runtime.definitions import DefinitionsFollower
from shared.runtime.shard import Shard
from shared.workflows.compiled import CompiledStep, compile_steps
from shared.workflows.context import asked_context, run_context
from shared.workflows.subject import approval_subject, subject_hash

log = logging.getLogger(__name__)

_DETAIL_CHARACTERS_MAX = 500
CATCH_UP_SECONDS_MAX = 5.0
"""Whoever waits for definitions holds a place that other tenants' attempts need; it comes again."""

Verdict = Prepared | Problem | ApprovalVoided | StepSkipped


class Preparing:
    """One a process."""

    def __init__(
        self, definitions: DefinitionsFollower, actions: Mapping[str, Action], clock: Clock, *, revisions_max: int
    ) -> None:
        """`revisions_max`: of workflows, kept compiled."""
        self._definitions = definitions
        self._actions = actions
        self._clock = clock
        self._revisions_max = revisions_max
        self._compiled: OrderedDict[tuple[str, int], Mapping[str, CompiledStep]] = OrderedDict()
        self._known_at: dict[int, int] = {}
        """By partition, where its runs had been folded to when definitions were last asked for anew."""

    async def step(self, shard: Shard, run: Run, plan: StepPlan) -> CompiledStep | Problem:
        """The step as its revision has it; waits for a revision that this process has not folded yet."""
        match = run.match
        found = self._compiled.get((match.workflow_id, match.revision))
        if found is None:
            revision = self._revision(run)
            if revision is None:
                await self._catch_up(shard.partition)
                revision = self._revision(run)
            if revision is None:
                detail = f"revision {match.revision} of workflow {match.workflow_id} is not in the log"
                return Problem(kind="revision_unknown", detail=detail)
            try:
                found = compile_steps(revision)
            except InvalidInput as error:
                return Problem(kind="revision_invalid", detail=f"this revision no longer compiles: {error}")
            self._compiled[match.workflow_id, match.revision] = found
            if len(self._compiled) > self._revisions_max:
                self._compiled.popitem(last=False)
        if plan.uses not in self._actions:
            return Problem(kind="action_unknown", detail=f"this version has no action {plan.uses!r}")
        return found[plan.id]

    async def verdict(self, shard: Shard, run: Run, work: Begin, step: CompiledStep) -> Verdict:
        """What `step`, which was just asked for, would do; or what stands against it. Raises `TransientError` where
        definitions that decide cannot be read."""
        steps = self._compiled[run.match.workflow_id, run.match.revision]
        found = self._judge(run, work, step, steps)
        hangs_on_definitions = isinstance(found, ApprovalVoided) or (
            isinstance(found, Problem) and found.kind in OF_DEFINITIONS
        )
        if hangs_on_definitions and await self._caught_up(shard, run):
            found = self._judge(run, work, step, steps)
        return found

    def tenant(self, run: Run) -> Tenant:
        """Whose run it is."""
        tenant = self._definitions.tenant(run.tenant_id)
        if tenant is None:
            raise RuntimeError(f"run {run.id} belongs to tenant {run.tenant_id!r}, which no definition names")
        return tenant

    async def _caught_up(self, shard: Shard, run: Run) -> bool:
        """False: all was known already that stood in the log when the run last changed. Runs that came together, of a
        disabled endpoint say, share one question."""
        if run.positions[-1] < self._known_at.get(shard.partition, 0):
            return False
        folded_to = shard.next
        await self._catch_up(shard.partition)
        self._known_at[shard.partition] = max(folded_to, self._known_at.get(shard.partition, 0))
        return True

    async def _catch_up(self, partition: int) -> None:
        try:
            async with asyncio.timeout(CATCH_UP_SECONDS_MAX):
                await self._definitions.catch_up([partition])
        except TimeoutError:
            detail = f"{DEFINITIONS}/{partition} could not be read to its end within {CATCH_UP_SECONDS_MAX:g} s"
            raise TransientError(detail) from None

    def _judge(self, run: Run, work: Begin, step: CompiledStep, steps: Mapping[str, CompiledStep]) -> Verdict:
        tenant = self.tenant(run)
        unpack(run)
        if work.number == 1:
            found = _voided(run, tenant, steps) or _skipped(run, step)
            if found is not None:
                return found
        return self._prepare(run, tenant, step)

    def _prepare(self, run: Run, tenant: Tenant, step: CompiledStep) -> Prepared | Problem:
        former = run.steps[step.id].request
        if former is not None:
            return Prepared(request=former)
        try:
            config = step.template.render(run_context(run) if not step.template.is_constant else {})
            if not isinstance(config, Mapping):
                return Problem(kind="template", detail="`with` did not render to an object")
            scene = scene_of(tenant, run, step.id)
            return self._actions[step.uses].prepare(config, scene, self._clock.now())
        except TemplateError as error:
            return Problem(kind="template", detail=str(error))
        except Refused as refused:
            return refused.problem
        except Exception as error:  # a bug of ours or of a plug-in: nothing was done yet
            return bug(error, run, step.id)

    def _revision(self, run: Run) -> Revision | None:
        tenant = self._definitions.tenant(run.tenant_id)
        workflow = tenant.workflows.get(run.match.workflow_id) if tenant is not None else None
        return workflow.revision(run.match.revision) if workflow is not None else None


def scene_of(tenant: Tenant, run: Run, step_id: str) -> Scene:
    """The step of the run, for its action."""
    return Scene(tenant=tenant, run=run, step_id=step_id, delivery_id=ids.delivery_id(run.id, step_id))


def bug(error: Exception, run: Run, step_id: str) -> Problem:
    """What is told of a bug of ours or of a plug-in; the log holds the rest."""
    log.error("step %s of run %s (tenant %s) met a bug", step_id, run.id, run.tenant_id, exc_info=error)
    detail = f"{type(error).__name__}: {error}"
    return Problem(kind="internal", detail=detail[:_DETAIL_CHARACTERS_MAX])


def _voided(run: Run, tenant: Tenant, steps: Mapping[str, CompiledStep]) -> ApprovalVoided | None:
    rule = run.match.approval
    if rule is None or any(step.number for step in run.steps.values()):
        return None
    try:
        subject = approval_subject(
            tenant, run_id=run.id, context=asked_context(run), event=run.event, steps=steps, plans=run.match.steps
        )
    except TooMuchTogether as error:  # asked for by an earlier version, which bounded each step alone
        return ApprovalVoided(run_id=run.id, subject_hash="", detail=f"what was approved cannot be shown: {error}")
    now_hash = subject_hash(subject)
    if now_hash == rule.subject_hash:
        return None
    detail = "what was approved is not what would run: an endpoint that a step names has changed since"
    return ApprovalVoided(run_id=run.id, subject_hash=now_hash, detail=detail)


def _skipped(run: Run, step: CompiledStep) -> StepSkipped | None:
    if step.condition is None:
        return None
    outcome = step.condition.evaluate(run_context(run))
    if outcome.value:
        return None
    reason = f"its condition could not be evaluated: {outcome.error}" if outcome.error else "its condition is false"
    return StepSkipped(run_id=run.id, step_id=step.id, reason=reason)
