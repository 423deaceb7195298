"""Runs as they are shown, with every record about them, and what people may do to them."""

from dataclasses import dataclass
from typing import Literal

from services.api.core.timeline import Entry, decode_entries
from services.api.service.commands import Commands, Intent, Origin
from services.api.service.log_reader import LogReader
from services.api.service.ports import ApiDependencies
from shared.bus.topics import EVENTS, RUNS
from shared.domain.records import RunCancelled, StepResolved
from shared.domain.verdicts import Verdict
from shared.readmodel.tenant_values import ApprovalItem, RunDetail
from shared.runtime.http import HttpProblem


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownRun:
    """`left_out`: how many of the newest records are not among `entries`."""

    run: RunDetail
    approval: ApprovalItem | None
    entries: list[Entry]
    left_out: int


async def show_run(it: ApiDependencies, log: LogReader, tenant_id: str, run_id: str) -> ShownRun:
    """The run, and its records from the log: first the event's, then each about the run. Raises HttpProblem 404."""
    detail = await find_run(it, tenant_id, run_id)
    approval = await it.queries.approval_of_run(tenant_id, run_id)
    shown = detail.positions[: it.settings.timeline_records_max]
    records = await log.at(RUNS, detail.partition, shown)
    if detail.run.event_id is not None:
        event = await it.queries.get_event(tenant_id, detail.run.event_id)
        if event is not None:
            records = [*await log.at(EVENTS, event.event.partition, [event.event.offset]), *records]
    return ShownRun(
        run=detail, approval=approval, entries=decode_entries(records), left_out=len(detail.positions) - len(shown)
    )


async def find_run(it: ApiDependencies, tenant_id: str, run_id: str) -> RunDetail:
    """Raises HttpProblem 404."""
    detail = await it.queries.get_run(tenant_id, run_id)
    if detail is None:
        raise HttpProblem(404, "unknown-run", f"there is no run {run_id!r}")
    return detail


async def cancel_run(
    it: ApiDependencies, commands: Commands, intent: Intent, run_id: str, reason: str
) -> Verdict | None:
    """Raises HttpProblem 404."""
    origin = origin_of(await find_run(it, intent.tenant_id, run_id))
    return await commands.carry_out(intent, RunCancelled(run_id=run_id, reason=reason, command=intent.command), origin)


async def resolve_step(
    it: ApiDependencies,
    commands: Commands,
    intent: Intent,
    run_id: str,
    step_id: str,
    *,
    number: int,
    resolution: Literal["succeeded", "failed", "retry"],
    reason: str,
) -> Verdict | None:
    """Say how an attempt ended that nobody knows the end of. Raises HttpProblem 404."""
    origin = origin_of(await find_run(it, intent.tenant_id, run_id))
    fact = StepResolved(
        run_id=run_id, step_id=step_id, number=number, resolution=resolution, reason=reason, command=intent.command
    )
    return await commands.carry_out(intent, fact, origin)


def origin_of(detail: RunDetail) -> Origin:
    """What a command about a run follows from: the record that asked for the run."""
    return Origin(causation_id=detail.causation_id, correlation_id=detail.correlation_id)
