"""One attempt: begin it in the log, wait for the fold to pass it, carry it out, append what came of it.

What is sent is what stands in the log, so its bytes are frozen before anything leaves. An attempt that was begun by a process
that died is repeated with the same key where its effect allows it; an unsafe one becomes `step.unknown`.
"""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from services.executor.actions import Action, Attempt, Tools
from services.executor.core.outcome import Outcome, conclude
from services.executor.core.plan import Begin, Carry, Settle, Work, somebody_waits, still_wanted
from services.executor.service.gathering import Gathering
from services.executor.service.preparing import Preparing, bug, scene_of
from services.executor.settings import ExecutorSettings
from shared.bus import codec, facts
from shared.bus.codec import UndecodableRecord
from shared.bus.facts import Cause
from shared.bus.port import Bus, Position, RecordTooLarge
from shared.bus.topics import DEFINITIONS, RUNS
from shared.domain import ids
from shared.domain.clock import Clock, Randomness
from shared.domain.errors import TransientError
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
from shared.runtime.definitions import DefinitionsFollower
from shared.runtime.shard import Shard
from shared.workflows.compiled import CompiledStep
from shared.workflows.document import Retry

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
        self._preparing = Preparing(definitions, actions, clock, revisions_max=settings.compiled_revisions_max)
        self._actions = actions
        self._tools = tools
        self._settings = settings
        self._clock = clock
        self._randomness = randomness

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
        step = await self._preparing.step(shard, run, plan)
        if isinstance(step, Problem):
            return await self._fail(run, work, step)
        prepared = await self._preparing.verdict(shard, run, work, step)
        match prepared:
            case Problem():
                return await self._fail(run, work, prepared)
            case ApprovalVoided():
                return await self._append(run, prepared, record_id=ids.derive("approval-voided", run.id))
            case StepSkipped():
                return await self._append(run, prepared, record_id=ids.derive("step-skipped", run.id, step.id))
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
        step = await self._preparing.step(shard, run, plan)
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
            scene=scene_of(self._preparing.tenant(run), run, plan.id),
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
            outcome = Outcome(status="failed", problem=bug(error, run, plan.id), retry=True, in_doubt=True)
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


def _policy(retry: Retry | None, action: Action) -> RetryPolicy:
    if retry is None:
        return action.policy
    if retry.backoff == "fixed":
        return fixed(retry.max_attempts, retry.initial_seconds)
    return exponential(retry.max_attempts, retry.initial_seconds, retry.max_seconds)


def _attempt_id(run: Run, work: Work) -> str:
    return ids.attempt_id(run.id, work.step_id, work.number)


def _finished_id(run: Run, work: Work) -> str:
    return ids.derive("attempt-finished", run.id, work.step_id, work.number)
