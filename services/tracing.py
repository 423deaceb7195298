"""The whole causal chain around an event, a run or a delivery, from the log's own records.

The read model only says where records lie; what is shown is decoded from the log, and every record's cause is looked up
among the others, so a gap in the chain is seen and said. `cli/tracing.py` and the demo show it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import orjson
from rich.markup import escape
from rich.tree import Tree

from services.api.service.log_reader import LogReader
from shared.bus import codec
from shared.bus.port import Bus, Record
from shared.bus.topics import EVENTS, RUNS
from shared.domain.envelope import Event
from shared.domain.errors import PermanentError
from shared.domain.ids import delivery_id, parse_delivery_id
from shared.domain.records import AttemptFinished, AttemptStarted, EventMatched
from shared.readmodel.tenant_queries import TenantQueries

LOG_TIMEOUT_SECONDS = 10.0
EVENTS_MAX = 200
"""Events in one chain that are followed."""


@dataclass(frozen=True, slots=True)
class Traced:
    """One record of the chain, where it lies and what it holds."""

    record: Record
    event: Event

    @property
    def body(self) -> dict[str, object]:
        """Its data as JSON."""
        found = orjson.loads(self.event.data) if self.event.data is not None else None
        return found if isinstance(found, dict) else {"data": found}


@dataclass(slots=True)
class Chain:
    """All records that one delivery led to, by id, in the order of their discovery."""

    root_id: str
    records: dict[str, Traced] = field(default_factory=dict)

    def orphans(self) -> list[Traced]:
        """Records whose cause is neither in the chain nor the delivery itself."""
        return [each for each in self.records.values() if each.event.id != self.root_id and not self._caused(each)]

    def children(self, record_id: str) -> list[Traced]:
        return [each for each in self.records.values() if each.event.causation_id == record_id]

    def _caused(self, each: Traced) -> bool:
        cause = each.event.causation_id
        if each.record.topic == EVENTS and each.event.correlation_id == self.root_id and cause not in self.records:
            # Several events of one delivery share its id as their cause.
            return cause == self.records[self.root_id].event.causation_id
        return cause in self.records


async def find_chain(bus: Bus, queries: TenantQueries, tenant_ids: Sequence[str], what: str) -> Chain:
    """Raises `PermanentError` where no tenant has anything of this id."""
    for tenant_id in tenant_ids:
        root_id = await _root_of(queries, tenant_id, what)
        if root_id is not None:
            return await _collect(bus, queries, tenant_id, root_id)
    raise PermanentError(f"there is no event, run or delivery {what!r} (a new one may need a moment to be projected)")


async def _root_of(queries: TenantQueries, tenant_id: str, what: str) -> str | None:
    """The first event of the chain that `what` belongs to; a manual run is its own root."""
    parsed = parse_delivery_id(what)
    run = await queries.get_run(tenant_id, parsed[0] if parsed is not None else what)
    if run is not None:
        return run.correlation_id or run.run.event_id or run.run.run_id
    event = await queries.get_event(tenant_id, what)
    if event is not None:
        return event.event.correlation_id or what
    return None


async def _collect(bus: Bus, queries: TenantQueries, tenant_id: str, root_id: str) -> Chain:
    chain = Chain(root_id)
    log = LogReader(bus, LOG_TIMEOUT_SECONDS)
    waiting = [root_id]
    seen: set[str] = set()
    while waiting and len(seen) < EVENTS_MAX:
        event_id = waiting.pop(0)
        if event_id in seen:
            continue
        seen.add(event_id)
        found = await queries.get_event(tenant_id, event_id)
        if found is not None:
            _add(chain, await log.at(EVENTS, found.event.partition, [found.event.offset]))
        for run_id in [run.run_id for run in found.runs] if found is not None else [event_id]:
            detail = await queries.get_run(tenant_id, run_id)
            if detail is not None:
                _add(chain, await log.at(RUNS, detail.partition, detail.positions))
        waiting += _emitted(chain)
    return chain


def _add(chain: Chain, records: Sequence[Record]) -> None:
    for record in records:
        event = codec.decode(record)
        chain.records.setdefault(event.id, Traced(record, event))


def _emitted(chain: Chain) -> list[str]:
    """Events that steps of the chain have published."""
    found = []
    for each in chain.records.values():
        output = each.body.get("output") if each.event.type == AttemptFinished.TYPE else None
        if isinstance(output, dict) and isinstance(output.get("event_id"), str):
            found.append(output["event_id"])
    return found


def render(chain: Chain) -> Tree:
    """The chain as a tree: below each record what it caused."""
    root = chain.records.get(chain.root_id)
    cause = root.event.causation_id if root is not None else chain.root_id
    vendor = dict(root.event.attributes).get("vendor") if root is not None else None
    title = "[bold]no delivery[/]: it began with what stands first"
    if cause is not None:
        title = f"[bold]delivery[/] {escape(cause)}" + (f" from {vendor}" if vendor else "")
    tree = Tree(title)
    shown: set[str] = set()
    for each in chain.records.values():
        if each.event.id not in shown and (each.event.id == chain.root_id or not chain._caused(each)):
            _grow(tree, chain, each, shown)
    for each in chain.records.values():
        if each.event.id not in shown:
            _grow(tree, chain, each, shown)
    orphans = chain.orphans()
    tree.add(
        f"[green]chain unbroken[/]: each of {len(chain.records)} records names a cause that is in the log"
        if not orphans
        else f"[red]{len(orphans)} records name a cause that is not in the log[/]"
    )
    return tree


def _grow(tree: Tree, chain: Chain, each: Traced, shown: set[str]) -> None:
    shown.add(each.event.id)
    branch = tree.add(_line(each))
    for child in chain.children(each.event.id):
        if child.event.id not in shown:
            _grow(branch, chain, child, shown)


def _line(each: Traced) -> str:
    record, event = each.record, each.event
    place = f"{record.topic.removeprefix('upshot.')}/{record.partition}@{record.offset}"
    at = codec.recorded_at(record).strftime("%H:%M:%S.%f")[:-3]
    return f"[bold]{escape(event.type)}[/] [dim]{at} {place}[/] {escape(_detail(each))}"


def _detail(each: Traced) -> str:
    event, body = each.event, each.body
    if each.record.topic == EVENTS:
        return f"{event.id}" + (f" subject {event.subject}" if event.subject else "")
    if event.type == EventMatched.TYPE:
        matches = body.get("matches")
        names = [
            f"{match['workflow_name']} r{match['revision']} -> run {match['run_id']}"
            for match in (matches if isinstance(matches, list) else [])
        ]
        return "; ".join(names)
    run_id, step_id = str(body.get("run_id", "")), str(body.get("step_id", ""))
    if event.type == AttemptStarted.TYPE:
        request = body.get("request")
        url = request.get("url") if isinstance(request, dict) else None
        named = f" webhook-id {delivery_id(run_id, step_id)}" if url else ""
        return f"{step_id} #{body.get('number')}" + (f" -> {url}" if url else "") + named
    if event.type == AttemptFinished.TYPE:
        output, problem = body.get("output"), body.get("problem")
        status = f" answered {output['status']}" if isinstance(output, dict) and "status" in output else ""
        why = f": {problem['detail']}" if isinstance(problem, dict) else ""
        retry = f", again at {body['retry_at']}" if body.get("retry_at") else ""
        return f"{step_id} #{body.get('number')} {body.get('outcome')}{status}{why}{retry}"
    command = body.get("command")
    by = f"by {command['actor']}" if isinstance(command, dict) else ""
    told = [str(body[name]) for name in ("decision", "reason", "detail") if body.get(name)]
    return " ".join(part for part in [step_id, *told, by] if part)


def as_json(each: Traced) -> dict[str, object]:
    record, event = each.record, each.event
    return {
        "id": event.id,
        "type": event.type,
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "recorded_at": codec.recorded_at(record),
        "causation_id": event.causation_id,
        "correlation_id": event.correlation_id,
        "tenant_id": event.tenant_id,
        "data": each.body,
    }
