"""One attempt: begin it in the log, wait for the fold to pass it, carry it out, append what came of it.

What is sent is what stands in the log, so its bytes are frozen before anything leaves. An attempt that was begun by a process
that died is repeated with the same key where its effect allows it; an unsafe one becomes `step.unknown`.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from services.executor.actions import Action, Attempt, Prepared, Refused, Scene, Tools
from services.executor.core.outcome import Outcome, conclude
from services.executor.core.plan import Begin, Carry, Settle, Work, somebody_waits, still_wanted
from services.executor.service.gathering import Gathering
from services.executor.settings import ExecutorSettings
from shared.bus import codec, facts
from shared.bus.codec import UndecodableRecord
from shared.bus.facts import Cause
from shared.bus.port import Bus, Position, RecordTooLarge
from shared.bus.topics import DEFINITIONS, RUNS
from shared.domain import ids
from shared.domain.clock import Clock, Randomness
from shared.domain.definitions import Revision, Tenant
from shared.domain.errors import InvalidInput, TransientError
from shared.domain.records import (
    ApprovalVoided,
    AttemptFinished,
    AttemptStarted,
    Command,
    DefinitionsFact,
    EndpointDisabled,
    Problem,
    RunsFact,
    StepFailed,
    StepSkipped,
    StepUnknown,
)
from shared.domain.retry import NO_RETRY, RetryPolicy, exponential, fixed
from shared.domain.runs.resting import unpack
from shared.domain.runs.state import Run
from shared.domain.workflow import StepPlan
from shared.expressions import TemplateError, TooMuchTogether
from shared.runtime.definitions import DefinitionsFollower
from shared.runtime.shard import Shard
from shared.workflows.compiled import CompiledStep, compile_steps
from shared.workflows.context import asked_context, run_context
from shared.workflows.document import Retry
from shared.workflows.subject import approval_subject, subject_hash

log = logging.getLogger(__name__)

SOURCE = facts.SOURCES["executor"]
_DETAIL_CHARACTERS_MAX = 500
APPEND_RETRY_SECONDS = (0.1, 0.5, 2.0)


class Progress(Protocol):
    """What carrying needs of whoever schedules it."""

    def hold(self, shard: Shard, run: Run, step_id: str, number: int) -> None: ...

    async def folded_past(self, shard: Shard, offset: int) -> bool: ...


class Carrier:
    """Carries out work on runs with the actions there are."""

    def __init__(
        self,
        *,
        bus: Bus,
        definitions: DefinitionsFollower,
        actions: Mapping[str, Action],
        tools: Tools,
        settings: ExecutorSettings,
        clock: Clock,
        randomness: Randomness,
    ) -> None:
        self._log = Gathering(bus, settings.ends_linger_seconds)
        self._definitions = definitions
        self._actions = actions
        self._tools = tools
        self._settings = settings
        self._clock = clock
        self._randomness = randomness
        self._compiled: OrderedDict[tuple[str, int], Mapping[str, CompiledStep]] = OrderedDict()

    async def carry_out(self, shard: Shard, run: Run, work: Work, progress: Progress) -> Position:
        """Do `work`; returns where its last record lies, which is durable."""
        match work:
            case Begin():
                return await self._begin(shard, run, work, progress)
            case Carry():
                return await self._resume(shard, run, work)
            case Settle():
                detail = "the run ended and the process that carried this out is gone; it may have had its effect"
                fact = AttemptFinished(
                    run_id=run.id,
                    step_id=work.step_id,
                    number=work.number,
                    outcome="failed",
                    problem=Problem(kind="abandoned", detail=detail),
                )
                return await self._append(
                    run, fact, record_id=_finished_id(run, work), causation_id=_attempt_id(run, work)
                )

    # ------------------------------------------------------------ beginning

    async def _begin(self, shard: Shard, run: Run, work: Begin, progress: Progress) -> Position:
        plan = run.match.plan_of(work.step_id)
        step = await self._step(shard, run, plan)
        if isinstance(step, Problem):
            return await self._fail(run, work, step)
        tenant = self._tenant(run)
        unpack(run)
        if work.number == 1:
            voided = self._voided(run, tenant)
            if voided is not None:
                return await self._append(run, voided, record_id=ids.derive("approval-voided", run.id))
            skipped = _skipped(run, step)
            if skipped is not None:
                return await self._append(run, skipped, record_id=ids.derive("step-skipped", run.id, step.id))
        prepared = self._prepare(run, tenant, step)
        if isinstance(prepared, Problem):
            return await self._fail(run, work, prepared)
        fact = AttemptStarted(
            run_id=run.id, step_id=step.id, number=work.number, request=prepared.request, due_at=prepared.due_at
        )
        waits = prepared.due_at is not None
        if not waits:
            progress.hold(shard, run, step.id, work.number)
        try:
            position = await self._append(run, fact, record_id=_attempt_id(run, work))
        except RecordTooLarge as error:
            detail = f"what it would do is written down before it is done, and it rendered to more than a record holds: {error}"
            return await self._fail(run, work, Problem(kind="too_large", detail=detail))
        except UndecodableRecord as error:
            detail = f"what it would do is written down before it is done, and nobody could read it: {error}"
            return await self._fail(run, work, Problem(kind="unreadable", detail=detail[:_DETAIL_CHARACTERS_MAX]))
        if waits or not await progress.folded_past(shard, position.offset):
            return position
        if shard.may_act and still_wanted(run, Carry(step.id, work.number, None)):
            return await self._perform(run, plan, step, work.number)
        return position

    def _prepare(self, run: Run, tenant: Tenant, step: CompiledStep) -> Prepared | Problem:
        former = run.steps[step.id].request
        if former is not None:
            return Prepared(request=former)
        try:
            config = step.template.render(run_context(run))
            if not isinstance(config, Mapping):
                return Problem(kind="template", detail="`with` did not render to an object")
            scene = _scene(tenant, run, step.id)
            return self._actions[step.uses].prepare(config, scene, self._clock.now())
        except TemplateError as error:
            return Problem(kind="template", detail=str(error))
        except Refused as refused:
            return refused.problem
        except Exception as error:  # a bug of ours or of a plug-in: nothing was done yet
            return _bug(error, run, step.id)

    async def _step(self, shard: Shard, run: Run, plan: StepPlan) -> CompiledStep | Problem:
        """The step as its revision has it; waits for a revision that this process has not folded yet."""
        match = run.match
        found = self._compiled.get((match.workflow_id, match.revision))
        if found is None:
            revision = self._revision(run)
            if revision is None:
                await self._definitions.catch_up([shard.partition])
                revision = self._revision(run)
            if revision is None:
                detail = f"revision {match.revision} of workflow {match.workflow_id} is not in the log"
                return Problem(kind="revision_unknown", detail=detail)
            try:
                found = compile_steps(revision)
            except InvalidInput as error:
                return Problem(kind="revision_invalid", detail=f"this revision no longer compiles: {error}")
            self._compiled[match.workflow_id, match.revision] = found
            if len(self._compiled) > self._settings.compiled_revisions_max:
                self._compiled.popitem(last=False)
        if plan.uses not in self._actions:
            return Problem(kind="action_unknown", detail=f"this version has no action {plan.uses!r}")
        return found[plan.id]

    def _revision(self, run: Run) -> Revision | None:
        tenant = self._definitions.tenant(run.tenant_id)
        workflow = tenant.workflows.get(run.match.workflow_id) if tenant is not None else None
        return workflow.revision(run.match.revision) if workflow is not None else None

    def _tenant(self, run: Run) -> Tenant:
        tenant = self._definitions.tenant(run.tenant_id)
        if tenant is None:
            raise RuntimeError(f"run {run.id} belongs to tenant {run.tenant_id!r}, which no definition names")
        return tenant

    def _voided(self, run: Run, tenant: Tenant) -> ApprovalVoided | None:
        rule = run.match.approval
        if rule is None or any(step.number for step in run.steps.values()):
            return None
        match = run.match
        steps = self._compiled[match.workflow_id, match.revision]
        try:
            subject = approval_subject(
                tenant, run_id=run.id, context=asked_context(run), event=run.event, steps=steps, plans=match.steps
            )
        except TooMuchTogether as error:  # asked for by an earlier version, which bounded each step alone
            return ApprovalVoided(run_id=run.id, subject_hash="", detail=f"what was approved cannot be shown: {error}")
        now_hash = subject_hash(subject)
        if now_hash == rule.subject_hash:
            return None
        detail = "what was approved is not what would run: an endpoint that a step names has changed since"
        return ApprovalVoided(run_id=run.id, subject_hash=now_hash, detail=detail)

    async def _fail(self, run: Run, work: Begin, problem: Problem) -> Position:
        fact = StepFailed(run_id=run.id, step_id=work.step_id, problem=problem)
        return await self._append(run, fact, record_id=ids.derive("step-failed", run.id, work.step_id, work.number))

    # ------------------------------------------------------------ carrying out

    async def _resume(self, shard: Shard, run: Run, work: Carry) -> Position:
        """An attempt that stands in the log as started, begun by an earlier process, or a wait that is over."""
        plan = run.match.plan_of(work.step_id)
        if plan.effect == "unsafe":
            fact = StepUnknown(run_id=run.id, step_id=work.step_id, number=work.number)
            record_id = ids.derive("step-unknown", run.id, work.step_id, work.number)
            return await self._append(run, fact, record_id=record_id, causation_id=_attempt_id(run, work))
        step = await self._step(shard, run, plan)
        if isinstance(step, Problem):
            return await self._conclude(run, plan, work, Outcome(status="failed", problem=step), None, NO_RETRY, 0.0)
        return await self._perform(run, plan, step, work.number)

    async def _perform(self, run: Run, plan: StepPlan, step: CompiledStep, number: int) -> Position:
        action = self._actions[plan.uses]
        unpack(run)
        request = run.steps[plan.id].request
        if request is None:
            raise RuntimeError(f"attempt {number} of step {plan.id} of run {run.id} is started without a request")
        work = Carry(plan.id, number, None)
        attempt = Attempt(
            scene=_scene(self._tenant(run), run, plan.id),
            number=number,
            attempt_id=_attempt_id(run, work),
            request=request,
            timeout_seconds=step.timeout_seconds or self._settings.timeout_seconds,
        )
        started = self._clock.monotonic()
        try:
            outcome = await action.perform(attempt, self._tools)
        except TransientError:
            raise  # the log is away, say: it goes on when that is back
        except Exception as error:  # a bug of ours or of a plug-in: nobody knows how far it came
            outcome = Outcome(status="failed", problem=_bug(error, run, plan.id), retry=True, in_doubt=True)
        elapsed = self._clock.monotonic() - started
        if outcome.endpoint_gone is not None:
            await self._disable(run, outcome.endpoint_gone, attempt)
        return await self._conclude(run, plan, work, outcome, step.retry, _policy(step.retry, action), elapsed)

    async def _conclude(
        self,
        run: Run,
        plan: StepPlan,
        work: Carry,
        outcome: Outcome,
        retry: Retry | None,
        policy: RetryPolicy,
        elapsed_seconds: float,
    ) -> Position:
        fact = conclude(
            outcome,
            run_id=run.id,
            step_id=plan.id,
            number=work.number,
            effect=plan.effect,
            on_unknown=plan.on_unknown,
            policy=policy,
            asked_to_retry=retry is not None,
            now=self._clock.now(),
            unit=self._randomness.unit(),
            elapsed_seconds=elapsed_seconds,
        )
        unknown = isinstance(fact, StepUnknown)
        record_id = ids.derive("step-unknown", run.id, plan.id, work.number) if unknown else _finished_id(run, work)
        patient = isinstance(fact, AttemptFinished) and not somebody_waits(run, fact)
        cause = _attempt_id(run, work)
        try:
            return await self._append(run, fact, record_id=record_id, causation_id=cause, patient=patient)
        except (RecordTooLarge, UndecodableRecord):
            if not isinstance(fact, AttemptFinished):
                raise
            log.exception("what step %s of run %s gave cannot be kept; only that it ended is", plan.id, run.id)
            return await self._append(run, replace(fact, output=None), record_id=record_id, causation_id=cause)

    async def _disable(self, run: Run, endpoint_id: str, attempt: Attempt) -> None:
        command = Command(
            id=ids.derive("endpoint-gone", attempt.attempt_id),
            payload_hash="",
            actor="upshot:executor",
            channel="executor",
        )
        reason = f"its receiver answered 410 to {attempt.scene.delivery_id}"
        fact = EndpointDisabled(endpoint_id=endpoint_id, reason=reason, command=command)
        await self._append(run, fact, record_id=command.id, causation_id=attempt.attempt_id, topic=DEFINITIONS)

    async def _append(
        self,
        run: Run,
        fact: RunsFact | DefinitionsFact,
        *,
        record_id: str,
        causation_id: str | None = None,
        topic: str = RUNS,
        patient: bool = False,
    ) -> Position:
        """Durable when it returns. Repeated until the bus takes it: the id is derived, so the first one stands."""
        cause = Cause(
            causation_id=causation_id if causation_id is not None else run.last_record_id,
            correlation_id=run.correlation_id,
            causal_chain=run.causal_chain,
            traceparent=run.traceparent,
        )
        at: datetime = self._clock.now()
        as_read = fact if _reads_back(fact) else None
        event = facts.envelop(
            fact, id=record_id, tenant_id=run.tenant_id, source=SOURCE, at=at, cause=cause, as_read=as_read
        )
        if as_read is None and topic == RUNS:
            event = facts.read_back(event)
        record = codec.encode(topic, event)
        tries = 0
        while True:
            try:
                return await self._log.append(record, patient=patient and not tries)
            except TransientError as error:
                delay = APPEND_RETRY_SECONDS[min(tries, len(APPEND_RETRY_SECONDS) - 1)]
                log.warning("the log does not take %s of run %s, again in %s s: %s", fact.TYPE, run.id, delay, error)
                tries += 1
                await asyncio.sleep(delay)


def _bug(error: Exception, run: Run, step_id: str) -> Problem:
    log.error("step %s of run %s (tenant %s) met a bug", step_id, run.id, run.tenant_id, exc_info=error)
    detail = f"{type(error).__name__}: {error}"
    return Problem(kind="internal", detail=detail[:_DETAIL_CHARACTERS_MAX])


def _reads_back(fact: RunsFact | DefinitionsFact) -> bool:
    """Whether whoever reads the fact gets the very same; what actions give may also be what JSON knows by another type."""
    match fact:
        case AttemptStarted():
            return facts.reads_back(fact.request)
        case AttemptFinished(output=Mapping() as output):
            return facts.reads_back(output)
        case AttemptFinished(output=output):
            return output is None
        case _:
            return False


def _skipped(run: Run, step: CompiledStep) -> StepSkipped | None:
    if step.condition is None:
        return None
    outcome = step.condition.evaluate(run_context(run))
    if outcome.value:
        return None
    reason = f"its condition could not be evaluated: {outcome.error}" if outcome.error else "its condition is false"
    return StepSkipped(run_id=run.id, step_id=step.id, reason=reason)


def _policy(retry: Retry | None, action: Action) -> RetryPolicy:
    if retry is None:
        return action.policy
    if retry.backoff == "fixed":
        return fixed(retry.max_attempts, retry.initial_seconds)
    return exponential(retry.max_attempts, retry.initial_seconds, retry.max_seconds)


def _scene(tenant: Tenant, run: Run, step_id: str) -> Scene:
    return Scene(tenant=tenant, run=run, step_id=step_id, delivery_id=ids.delivery_id(run.id, step_id))


def _attempt_id(run: Run, work: Work) -> str:
    return ids.attempt_id(run.id, work.step_id, work.number)


def _finished_id(run: Run, work: Work) -> str:
    return ids.derive("attempt-finished", run.id, work.step_id, work.number)
