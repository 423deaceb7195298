"""A matcher without its loop and without waiting: a log in memory, a clock that a test moves, and restarts at will.

The fold of the runs stands beside it, so that a test sees what executors would see.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta

import orjson
import pytest

from services.executor.actions import discover_actions
from services.matcher.service import Matching
from services.matcher.service.due import DueWaits
from services.matcher.service.firing import Firing
from services.matcher.service.remembering import restore_memories
from services.matcher.settings import MatcherSettings
from services.matcher.triggers import discover_triggers
from shared.bus import codec, facts
from shared.bus.adapters.memory import MemoryBus
from shared.bus.sizes import RECORD_BYTES_MAX_DEFAULT
from shared.bus.topics import EVENTS, RUNS
from shared.domain.definitions import Definitions
from shared.domain.envelope import Event
from shared.domain.records import (
    Command,
    DefinitionsFact,
    EventMatched,
    TenantCreated,
    WorkflowDisabled,
    WorkflowEnabled,
    WorkflowSaved,
)
from shared.domain.runs.fold import Known, RunsFold
from shared.domain.runs.state import Run
from shared.testing.documents import ABSENCE, COUNT
from shared.testing.folds import NothingRemembered
from shared.workflows.catalogue import Catalogue
from shared.workflows.check import check_document
from shared.workflows.document import parse_document

CATALOGUE = Catalogue(actions=discover_actions(), triggers=discover_triggers(), event_schemas={})
START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
STEPS = [{"id": "note", "uses": "wait", "with": {"seconds": 0}}]


class MovedClock:
    """Stands still until a test moves it."""

    def __init__(self) -> None:
        self.time = START

    def now(self) -> datetime:
        return self.time


class World:
    """One tenant on one partition."""

    def __init__(self, *, record_bytes_max: int = RECORD_BYTES_MAX_DEFAULT) -> None:
        self.clock = MovedClock()
        self.bus = MemoryBus(self.clock, partition_count=1, record_bytes_max=record_bytes_max)
        self.definitions = Definitions()
        self.fold = RunsFold()
        self.cpu_seconds: Callable[[], float] = lambda: 0.0
        self._commands = 0
        self.changes: list[tuple[DefinitionsFact, datetime]] = []
        self._events_read = 0
        self._runs_read = 0
        self.matched: list[EventMatched] = []
        self.define(TenantCreated(name="acme", plan="standard", command=self.command()))

    def command(self) -> Command:
        self._commands += 1
        return Command(id=f"c{self._commands}", payload_hash="", actor="ann")

    def define(self, fact: DefinitionsFact) -> None:
        self.changes.append((fact, self.clock.now()))
        change = self.definitions.apply("acme", fact, self.clock.now())
        if hasattr(self, "matching"):
            self.matching.definition_changed(change)

    def save(
        self, trigger: Mapping[str, object], workflow_id: str = "w", base: int | None = None, **more: object
    ) -> None:
        document = parse_document({"name": workflow_id, "trigger": trigger, "steps": STEPS, **more})
        checked = check_document(document, CATALOGUE)
        self.define(
            WorkflowSaved(
                workflow_id=workflow_id,
                base_revision=base,
                document=checked.document,
                steps=checked.steps,
                high_risk=False,
                command=self.command(),
            )
        )

    def disable(self, workflow_id: str = "w") -> None:
        self.define(WorkflowDisabled(workflow_id=workflow_id, command=self.command()))

    def enable(self, workflow_id: str = "w") -> None:
        self.define(WorkflowEnabled(workflow_id=workflow_id, command=self.command()))

    async def restart(self) -> None:
        """The matcher dies and another takes over: it knows what the log says, nothing else."""
        self.definitions = Definitions()
        self.matching = Matching(
            self.definitions,
            CATALOGUE,
            MatcherSettings(),
            self.clock,
            partition_count=1,
            record_bytes_max=self.bus.record_bytes_max,
            cpu_seconds=lambda: self.cpu_seconds(),
        )
        self.firing = Firing(self.bus, self.matching.memories, self.clock)
        self.matching.listen(self.firing.put)
        for fact, at in self.changes:
            self.matching.definition_changed(self.definitions.apply("acme", fact, at))
        self.due = DueWaits(self.bus, self.matching, self.clock)
        memories, _ = await restore_memories(self.bus, NothingRemembered(), [0], retry_seconds=0.1)
        self.matching.remember(0, memories[0])
        self.firing.take_over(0)

    async def happen(self, event_id: str, event_type: str, data: object = None, *, ago: float = 0) -> None:
        """An event of `ago` seconds before is recorded now."""
        event = Event(
            id=event_id,
            source="/shop",
            type=event_type,
            tenant_id="acme",
            data=orjson.dumps(data if data is not None else {}),
            time=self.clock.now() - timedelta(seconds=ago),
        )
        await self.bus.append([codec.encode(EVENTS, event)])

    async def work(self, *, forget_commit: bool = False) -> None:
        """Match what was recorded, then act on what is due. `forget_commit`: the offset is lost; all is read again."""
        reader = self.bus.reader(EVENTS)
        while True:
            reader.assign({0: self._events_read})
            records = (await reader.poll(timeout_seconds=0)).get(0, ())
            if not records:
                break
            produced = self.matching.handle_batch(0, records)
            if produced.records:
                positions = await self.bus.append(produced.records)
                for index, (key, event_id) in produced.opened.items():
                    self.matching.placed(key, event_id, positions[index])
            self._events_read = records[produced.handled - 1].offset + 1
        await self.firing.act([0])
        await self.due.act({0: self._events_read})
        if forget_commit:
            self._events_read = 0
        await self._fold()

    async def move(self, seconds: float) -> None:
        self.clock.time += timedelta(seconds=seconds)
        await self.work()
        await self.work()  # what was fired is an event itself

    def runs(self) -> list[Run]:
        return [run for run in self.fold.runs.values() if run.status != "skipped"]

    def told(self) -> list[str]:
        """The ids of the events that runs are about, in the order of their runs."""
        return [run.event.id for run in self.runs() if run.event is not None]

    async def _fold(self) -> None:
        reader = self.bus.reader(RUNS)
        reader.assign({0: self._runs_read})
        while records := (await reader.poll(timeout_seconds=0)).get(0, ()):
            for record in records:
                event = codec.decode(record)
                fact = facts.runs_fact(event)
                if isinstance(fact, EventMatched):
                    self.matched.append(fact)
                self.fold.apply(event, fact, codec.recorded_at(record), record.offset, Known())
                self._runs_read = record.offset + 1


async def made_world(*, record_bytes_max: int = RECORD_BYTES_MAX_DEFAULT) -> World:
    it = World(record_bytes_max=record_bytes_max)
    await it.restart()
    return it


@pytest.fixture
async def world() -> World:
    return await made_world()


@pytest.fixture
def make_world() -> Callable[[], Awaitable[World]]:
    """Several, with the triggers of both kinds."""

    async def make() -> World:
        it = await made_world()
        it.save(COUNT, "count")
        it.save(ABSENCE, "absence")
        return it

    return make
