"""What the definitions are asked for decides by what its author was answered, however far this process has read them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from services.executor.actions import Prepared, discover_actions
from services.executor.core.plan import Begin
from services.executor.service import preparing
from services.executor.service.preparing import Preparing, Verdict
from services.matcher.triggers import discover_triggers
from shared.bus import codec, facts
from shared.bus.adapters.memory import MemoryBus
from shared.bus.facts import Cause
from shared.bus.partitioner import partition_of
from shared.bus.port import Reader, Record
from shared.bus.topics import DEFINITIONS, RUNS
from shared.domain.envelope import routing_key
from shared.domain.errors import TransientError
from shared.domain.records import (
    ApprovalVoided,
    Command,
    DefinitionsFact,
    EndpointCreated,
    EndpointDisabled,
    EndpointEnabled,
    Problem,
    TenantCreated,
    WorkflowSaved,
)
from shared.domain.runs.state import Run, Step
from shared.domain.workflow import ApprovalRule, Match
from shared.readmodel.snapshots import Snapshot
from shared.runtime.clock import SystemClock
from shared.runtime.definitions import DefinitionsFollower
from shared.runtime.shard import Shard
from shared.testing.folds import approval
from shared.workflows.catalogue import Catalogue
from shared.workflows.check import check_document
from shared.workflows.compiled import CompiledStep, compile_steps
from shared.workflows.context import asked_context
from shared.workflows.document import parse_document
from shared.workflows.subject import approval_subject, subject_hash

AT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
TENANT = "acme"
WORKFLOW = {
    "name": "notify",
    "trigger": {"manual": {}},
    "steps": [
        {"id": "tell", "uses": "notify.webhook", "with": {"endpoint": "finance"}},
        {"id": "ask", "uses": "notify.webhook", "with": {"endpoint": "{{ inputs.team }}"}},
    ],
}
CHECKED = check_document(
    parse_document(WORKFLOW), Catalogue(actions=discover_actions(), triggers=discover_triggers(), event_schemas={})
)


class HeldUp:
    """A reader that gives nothing while it is held up."""

    def __init__(self, reader: Reader, may_read: asyncio.Event) -> None:
        self._reader = reader
        self._may_read = may_read
        self.assign, self.positions, self.close = reader.assign, reader.positions, reader.close

    async def poll(self, *, timeout_seconds: float, records_max: int = 1000) -> Mapping[int, Sequence[Record]]:
        await self._may_read.wait()
        found = await self._reader.poll(timeout_seconds=timeout_seconds, records_max=records_max)
        await self._may_read.wait()
        return found


class Log(MemoryBus):
    """Whose definitions can be held up, and which counts how often their end was asked for."""

    def __init__(self) -> None:
        super().__init__(SystemClock(), partition_count=4)
        self.may_read = asyncio.Event()
        self.may_read.set()
        self.asked = 0
        self._written = 0

    def reader(self, topic: str) -> Reader:
        return HeldUp(super().reader(topic), self.may_read)

    async def watermarks(self, topic, partitions=(), **given):  # type: ignore[no-untyped-def]  # as the bus
        self.asked += 1
        return await super().watermarks(topic, partitions, **given)

    async def define(self, make: DefinitionsFact) -> None:
        self._written += 1
        fact = replace(make, command=Command(id=f"c{self._written}", payload_hash="", actor="ann"))
        cause = Cause(causation_id=None, correlation_id=None)
        event = facts.envelop(fact, id=f"c{self._written}", tenant_id=TENANT, source="/test", at=AT, cause=cause)
        await self.append([codec.encode(DEFINITIONS, event)])


COMMAND = Command(id="", payload_hash="", actor="ann")


class Scene:
    """A run of two steps, a process that prepares them, and the log of definitions."""

    def __init__(self, log: Log, definitions: DefinitionsFollower, shard: Shard) -> None:
        self.log = log
        self.definitions = definitions
        self.shard = shard
        self.preparing = Preparing(definitions, discover_actions(), SystemClock(), revisions_max=10)

    def run(self, rule: ApprovalRule | None = None, position: int = 0) -> Run:
        match = Match(
            run_id="r", workflow_id="w", workflow_name="notify", revision=1, steps=CHECKED.steps, approval=rule
        )
        steps = {plan.id: Step(id=plan.id) for plan in match.steps}
        return Run(
            id="r",
            tenant_id=TENANT,
            match=match,
            status="running",
            requested_at=AT,
            inputs={"team": "legal"},
            steps=steps,
            positions=[position],
        )

    async def verdict(self, run: Run, step_id: str) -> Verdict:
        plan = next(each for each in run.match.steps if each.id == step_id)
        step = await self.preparing.step(self.shard, run, plan)
        assert isinstance(step, CompiledStep)
        return await self.preparing.verdict(self.shard, run, Begin(step_id, 1, None), step)

    async def verdict_once_read(self, run: Run, step_id: str) -> Verdict:
        """Asked while the definitions are held up, which are then read."""
        asking = asyncio.create_task(self.verdict(run, step_id))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        self.log.may_read.set()
        return await asking

    def hash_of(self, run: Run) -> str:
        tenant = self.definitions.tenant(TENANT)
        assert tenant is not None
        revision = tenant.workflows["w"].revision(1)
        assert revision is not None
        subject = approval_subject(
            tenant,
            run_id="r",
            context=asked_context(run),
            event=None,
            steps=compile_steps(revision),
            plans=run.match.steps,
        )
        return subject_hash(subject)


@contextlib.asynccontextmanager
async def scene() -> AsyncIterator[Scene]:
    log = Log()
    await log.define(TenantCreated(name=TENANT, plan="free", command=COMMAND))
    await log.define(_endpoint("finance"))
    await log.define(
        WorkflowSaved(
            workflow_id="w",
            base_revision=None,
            document=CHECKED.document,
            steps=CHECKED.steps,
            high_risk=False,
            command=COMMAND,
        )
    )
    definitions = DefinitionsFollower(log)
    await definitions.start()
    partition = partition_of(routing_key(TENANT), log.partition_count)
    shard = Shard(partition, await log.join("g", RUNS, member_id="m"), parsed_bytes_max=0)
    shard.begin(Snapshot(partition=partition, next=10, now=None), 10)
    try:
        yield Scene(log, definitions, shard)
    finally:
        log.may_read.set()
        await definitions.close()


def _endpoint(name: str) -> EndpointCreated:
    return EndpointCreated(
        endpoint_id=f"e-{name}", name=name, url=f"https://example.com/{name}", secrets=(), command=COMMAND
    )


async def test_an_endpoint_that_was_made_before_is_known_however_late_it_is_read() -> None:
    async with scene() as it:
        it.log.may_read.clear()
        await it.log.define(_endpoint("legal"))
        found = await it.verdict_once_read(it.run(), "ask")
        assert isinstance(found, Prepared)
        assert found.request["endpoint_id"] == "e-legal"


async def test_an_endpoint_that_was_enabled_before_is_used_however_late_that_is_read() -> None:
    async with scene() as it:
        await it.log.define(EndpointDisabled(endpoint_id="e-finance", reason="too slow", command=COMMAND))
        await it.definitions.catch_up()
        it.log.may_read.clear()
        await it.log.define(EndpointEnabled(endpoint_id="e-finance", command=COMMAND))
        assert isinstance(await it.verdict_once_read(it.run(), "tell"), Prepared)


async def test_an_approval_of_what_was_defined_before_stands_however_late_that_is_read() -> None:
    async with scene() as it:
        await it.log.define(EndpointDisabled(endpoint_id="e-finance", reason="too slow", command=COMMAND))
        await it.log.define(EndpointEnabled(endpoint_id="e-finance", command=COMMAND))
        await it.definitions.catch_up()
        newest = approval(subject_hash=it.hash_of(it.run()))
        async with scene() as behind:
            behind.log.may_read.clear()
            await behind.log.define(EndpointDisabled(endpoint_id="e-finance", reason="too slow", command=COMMAND))
            await behind.log.define(EndpointEnabled(endpoint_id="e-finance", command=COMMAND))
            assert isinstance(await behind.verdict_once_read(behind.run(newest), "tell"), Prepared)
        assert isinstance(await it.verdict(it.run(approval()), "tell"), ApprovalVoided)


async def test_what_came_together_asks_the_log_once_whether_it_is_so() -> None:
    async with scene() as it:
        before = it.log.asked
        for position in (7, 8, 9):
            found = await it.verdict(it.run(position=position), "ask")
            assert isinstance(found, Problem)
            assert found.kind == "endpoint_unknown"
        assert it.log.asked == before + 1
        it.shard.next = 12
        await it.verdict(it.run(position=11), "ask")
        assert it.log.asked == before + 2


async def test_nobody_waits_for_definitions_for_ever_in_a_place_that_others_need(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(preparing, "CATCH_UP_SECONDS_MAX", 0.05)
    async with scene() as it:
        it.log.may_read.clear()
        await it.log.define(_endpoint("legal"))
        with pytest.raises(TransientError, match="could not be read to its end"):
            await it.verdict(it.run(), "ask")
