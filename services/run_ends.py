"""When a run has ended, for whoever waits: told by the projector of this process, asked of the read model behind that.

Guarantee: nobody is told of an end that the read model does not show. Asking is bounded: after every query comes a pause that
grows, and the query behind it waits for news of the tenant's partition first.
Next: `shared/runtime/progress.py`; `services/ingest/service/answering.py` waits.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import cast

from services.api.service.log_reader import LogReader
from services.ingest.service.answering import RunEnd
from shared.bus import codec, facts
from shared.bus.partitioner import partition_of
from shared.bus.port import Bus, Position, Record
from shared.bus.topics import EVENTS, RUNS
from shared.domain.clock import Clock
from shared.domain.envelope import Event, routing_key
from shared.domain.ids import match_id, matched_run_id
from shared.domain.records import AttemptFinished
from shared.domain.runs.state import ENDED, RunStatus
from shared.readmodel.tenant_queries import TenantQueries
from shared.readmodel.tenant_values import RunDetail
from shared.runtime.progress import ProjectionProgress
from shared.workflows.context import event_view, start_context
from shared.workflows.decide import event_data, source_event

PAUSE_SECONDS_MIN = 0.01
PAUSE_SECONDS_MAX = 0.25
"""Between two queries of one caller: at most some 120 in the longest wait, however busy the partition is."""
_FINAL = ENDED | {"pending_approval"}


class RunEndings:
    """`matched`: how far the matcher of this process is; a matcher elsewhere tells nothing, and then the time runs out."""

    def __init__(
        self,
        bus: Bus,
        queries: TenantQueries,
        progress: ProjectionProgress,
        matched: ProjectionProgress,
        clock: Clock,
        *,
        log_read_timeout_seconds: float,
    ) -> None:
        self._bus = bus
        self._queries = queries
        self._progress = progress
        self._matched = matched
        self._clock = clock
        self._log = LogReader(bus, log_read_timeout_seconds)

    async def end_of(self, event: Event, position: Position, workflow_id: str, seconds: float) -> RunEnd:
        """As `RunEnds` says. Raises TransientError."""
        tenant_id = event.tenant_id
        run_id = matched_run_id(match_id(event.id, event.replay_id), workflow_id)
        partition = partition_of(routing_key(tenant_id), self._bus.partition_count)
        deadline = self._clock.monotonic() + seconds
        pause, certain = PAUSE_SECONDS_MIN, False
        while True:
            seen = self._progress.next_offset(RUNS, partition)
            found = await self._queries.get_run(tenant_id, run_id)
            if found is not None and found.run.status in _FINAL:
                return await self._ended(event, found)
            left = deadline - self._clock.monotonic()
            if left <= 0 or (found is None and certain):
                status = cast(RunStatus, found.run.status) if found is not None else None  # the column holds no other
                return RunEnd(run_id=run_id, status=status, matched=certain)
            if found is None and await self._matched.wait(
                EVENTS, position.partition, position.offset, min(left, pause)
            ):
                # Whatever the event led to stands in the log by now: once that is projected, there is a run or there is none.
                end = (await self._bus.watermarks(RUNS, [partition]))[partition].high
                left = max(0.0, deadline - self._clock.monotonic())
                certain = await self._progress.wait(RUNS, partition, end - 1, left)
                continue
            await asyncio.sleep(min(left, pause))
            await self._progress.wait(RUNS, partition, seen, min(left, PAUSE_SECONDS_MAX))
            pause = min(pause * 2, PAUSE_SECONDS_MAX)

    async def _ended(self, event: Event, found: RunDetail) -> RunEnd:
        run = found.run
        status = cast(RunStatus, run.status)  # as above
        if status != "succeeded":
            return RunEnd(run_id=run.run_id, status=status, reason=_reason(found))
        records = await self._log.at(RUNS, found.partition, found.positions)
        context = start_context(
            tenant_id=event.tenant_id,
            workflow_id=run.workflow_id,
            workflow_name=run.workflow_name,
            revision=run.revision,
            event=event_view(source_event(event, event_data(event)), event.tenant_id),
            inputs=found.inputs,
        )
        context["run"] = {"id": run.run_id, "requested_at": run.requested_at.isoformat()}
        context["steps"] = _steps(found, records)
        return RunEnd(run_id=run.run_id, status=status, context=context)


def _steps(found: RunDetail, records: Sequence[Record]) -> dict[str, object]:
    """As `run_context` shows them: the read model's steps, with their outputs from the log."""
    outputs: dict[object, object] = {}
    for record in records:
        event = codec.decode(record)
        if event.type == AttemptFinished.TYPE:
            fact = facts.runs_fact(event)
            if isinstance(fact, AttemptFinished):
                outputs[fact.step_id] = fact.output
    return {
        str(step["id"]): {
            "status": step["status"],
            "output": outputs.get(step["id"]),
            "problem": step.get("problem"),
        }
        for step in found.steps
    }


def _reason(found: RunDetail) -> str | None:
    """Why it ended so, in a sentence: the run's own reason, else that of the step that failed."""
    if found.run.reason:
        return found.run.reason
    for step in found.steps:
        problem = step.get("problem")
        if step.get("status") == "failed" and isinstance(problem, Mapping):
            return f"step {step['id']}: {problem.get('detail')}"
    return None
