"""Follows `upshot.events` and `upshot.definitions` for the partitions that this process projects.

Both are read by manual assignment from where their checkpoints stand. The definitions are folded from their beginning,
silently up to the checkpoint: a change's row needs the state before it. A definitions record that cannot be understood
halts its partition, loudly; an unreadable event is skipped here, the matcher makes a dead letter of it.
"""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from typing import Protocol

from services.projector.core import Backlog, include_change, include_events
from services.projector.settings import ProjectorSettings
from shared.bus import codec, facts
from shared.bus.codec import UndecodableRecord
from shared.bus.port import Bus, PartitionUnreadable, Reader, Record
from shared.bus.topics import DEFINITIONS, EVENTS
from shared.domain.definitions import Definitions
from shared.domain.errors import TransientError
from shared.readmodel.deltas import DefinitionsDelta, EventsDelta

log = logging.getLogger(__name__)

POLL_SECONDS = 0.5
"""Also how long a change of partitions may wait to be noticed."""


class Checkpoints(Protocol):
    """Where each topic's projection stands: the read model."""

    async def ensure_checkpoints(self, topic: str, partitions: Collection[int]) -> None: ...
    async def next_offsets(self, topic: str) -> dict[int, int]: ...


class Sink(Protocol):
    """What deltas are handed to: the projector."""

    accepting: asyncio.Event

    @property
    def backlog(self) -> Backlog: ...
    def grew(self) -> None: ...


class LogFollower:
    """Both topics."""

    def __init__(self, bus: Bus, checkpoints: Checkpoints, sink: Sink, settings: ProjectorSettings) -> None:
        self._topics: dict[str, TopicFollower] = {
            EVENTS: EventsFollower(EVENTS, bus, checkpoints, sink, settings),
            DEFINITIONS: DefinitionsFollower(DEFINITIONS, bus, checkpoints, sink, settings),
        }

    @property
    def halted(self) -> dict[tuple[str, int], str]:
        """Partitions that stand still, by topic and number, and why."""
        return {
            (topic, partition): detail
            for topic, each in self._topics.items()
            for partition, detail in each.halted.items()
        }

    def own(self, partition: int) -> None:
        """Follow this partition of both topics from now on."""
        for each in self._topics.values():
            each.own(partition)

    def disown(self, partition: int) -> None:
        """Hand over nothing more of it."""
        for each in self._topics.values():
            each.disown(partition)

    def start_over(self, topic: str, partition: int) -> None:
        """Go back to where the checkpoint stands."""
        self._topics[topic].disown(partition)
        self._topics[topic].own(partition)

    async def run(self) -> None:
        """Until cancelled."""
        tasks = [asyncio.create_task(each.run(), name=f"projector-{topic}") for topic, each in self._topics.items()]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


class TopicFollower(ABC):
    """One topic: which partitions are wanted, how far each has been read, and up to where it was handed over."""

    def __init__(self, topic: str, bus: Bus, checkpoints: Checkpoints, sink: Sink, settings: ProjectorSettings) -> None:
        self.topic = topic
        self.halted: dict[int, str] = {}
        self._bus = bus
        self._checkpoints = checkpoints
        self._sink = sink
        self._settings = settings
        self._linger_seconds = 0.0
        """After a batch, how long the next one may gather."""
        self._wanted: set[int] = set()
        self._positions: dict[int, int] = {}
        self._ends: dict[int, int] = {}
        self._changed = asyncio.Event()

    def own(self, partition: int) -> None:
        self._wanted.add(partition)
        self._changed.set()

    def disown(self, partition: int) -> None:
        self._wanted.discard(partition)
        self._positions.pop(partition, None)
        self._ends.pop(partition, None)
        self.halted.pop(partition, None)
        self._changed.set()

    async def run(self) -> None:
        reader = self._bus.reader(self.topic)
        try:
            while True:
                try:
                    await self._follow_once(reader)
                except PartitionUnreadable as error:
                    for partition in error.partitions:
                        self._stand_still(partition, str(error))
                except TransientError as error:
                    log.warning("%s cannot be projected just now, trying again: %s", self.topic, error)
                    self._changed.set()
                    await asyncio.sleep(self._settings.retry_seconds)
        finally:
            await reader.close()

    async def _follow_once(self, reader: Reader) -> None:
        if self._changed.is_set():
            self._changed.clear()
            await self._take_over()
            reader.assign(dict(self._positions))
        if not self._positions:
            await self._changed.wait()
            return
        await self._sink.accepting.wait()
        batches = await reader.poll(timeout_seconds=POLL_SECONDS, records_max=self._settings.batch_records_max)
        # Until all is taken nothing is awaited: what was disowned meanwhile is in `_positions` no more. Offsets that hold
        # nothing for anybody (a transaction's marker) are passed as well.
        for partition, position in reader.positions().items():
            before = self._positions.get(partition, position)
            if before < position:
                self._positions[partition] = position
                self._take(partition, [each for each in batches.get(partition, ()) if each.offset >= before], position)
        if batches and self._linger_seconds:
            await asyncio.sleep(self._linger_seconds)

    async def _take_over(self) -> None:
        missing = self._wanted - self._positions.keys() - self.halted.keys()
        if not missing:
            return
        await self._checkpoints.ensure_checkpoints(self.topic, missing)
        stand = await self._checkpoints.next_offsets(self.topic)
        marks = await self._bus.watermarks(self.topic, sorted(missing))
        for partition in missing & self._wanted:
            if partition not in stand:  # a crash of PostgreSQL took it back at once
                self._changed.set()
                continue
            begin = self._begin(partition, stand[partition], marks[partition].low)
            if partition not in self.halted:
                self._positions[partition] = begin

    def _stand_still(self, partition: int, detail: str) -> None:
        self.halted[partition] = detail
        self._positions.pop(partition, None)
        self._changed.set()

    @abstractmethod
    def _begin(self, partition: int, checkpoint: int, low: int) -> int:
        """From where to read a partition whose checkpoint stands there, and whose first record lies at `low`."""

    @abstractmethod
    def _take(self, partition: int, records: Sequence[Record], position: int) -> None:
        """Hand over what these records, the next ones, amount to. All below `position` has been read."""


class EventsFollower(TopicFollower):
    """`upshot.events`: a row an event. Nobody waits for one in particular, so it does not wake with every append."""

    def __init__(self, topic: str, bus: Bus, checkpoints: Checkpoints, sink: Sink, settings: ProjectorSettings) -> None:
        super().__init__(topic, bus, checkpoints, sink, settings)
        self._linger_seconds = settings.linger_idle_seconds

    def _begin(self, partition: int, checkpoint: int, low: int) -> int:
        if checkpoint < low:
            log.error("%s/%d begins at %d: events from %d on are not listed", self.topic, partition, low, checkpoint)
        self._ends[partition] = checkpoint
        return checkpoint

    def _take(self, partition: int, records: Sequence[Record], position: int) -> None:
        start = self._ends[partition]
        delta = EventsDelta(partition=partition, start=start, end=start)
        include_events(delta, records, self._bus.partition_count)
        self._ends[partition] = delta.end = max(delta.end, position)
        self._sink.backlog.add_events(delta)
        self._sink.grew()


class DefinitionsFollower(TopicFollower):
    """`upshot.definitions`: a fold a partition."""

    def __init__(self, topic: str, bus: Bus, checkpoints: Checkpoints, sink: Sink, settings: ProjectorSettings) -> None:
        super().__init__(topic, bus, checkpoints, sink, settings)
        self._folds: dict[int, Definitions] = {}

    def _begin(self, partition: int, checkpoint: int, low: int) -> int:
        self._ends[partition] = checkpoint
        self._folds[partition] = Definitions()
        if low > 0:
            self._halt(partition, 0, f"the topic begins at {low}, what came before was deleted. Restore it.")
        return 0

    def _take(self, partition: int, records: Sequence[Record], position: int) -> None:
        start = self._ends[partition]
        delta = DefinitionsDelta(partition=partition, start=start, end=start)
        definitions = self._folds[partition]
        for record in records:
            try:
                event = codec.decode(record)
                fact = facts.definitions_fact(event)
                recorded_at = codec.recorded_at(record)
            except UndecodableRecord as error:
                self._halt(partition, record.offset, f"{error}. Update this process.")
                break
            change = definitions.apply(event.tenant_id, fact, recorded_at)
            if record.offset >= start:
                include_change(delta, change, definitions.tenant(event.tenant_id), recorded_at, record.offset + 1)
        if partition not in self.halted:
            delta.end = max(delta.end, position)
        if delta.end > start:
            self._ends[partition] = delta.end
            self._sink.backlog.add_definitions(delta)
            self._sink.grew()

    def _halt(self, partition: int, offset: int, reason: str) -> None:
        detail = f"{self.topic}/{partition} stands still at offset {offset}: {reason}"
        self._stand_still(partition, detail)
        log.critical("%s", detail)
