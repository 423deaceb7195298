"""Follows `upshot.definitions` from its beginning and keeps its fold in memory, for every service that needs to know.

Guarantee: after `catch_up` every definition that was in the log when it was called has been folded, after
`catch_up_as_of` every one that was there before the given records were appended. A record that this
version does not understand halts its partition, loudly: whoever needs that partition gets `PartitionHalted`. What ends the
following itself is raised to whoever waits for definitions, and by `followed`.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime

from shared.bus import codec, facts
from shared.bus.codec import UndecodableRecord
from shared.bus.partitioner import partition_of
from shared.bus.port import Bus, PartitionUnreadable, Record, Watermarks
from shared.bus.topics import DEFINITIONS
from shared.domain.definitions import Change, Definitions, Tenant
from shared.domain.envelope import routing_key
from shared.domain.errors import TransientError

log = logging.getLogger(__name__)

Listener = Callable[[Change], None]

# No settings: definitions are few, what comes ends the wait, and whoever waits for them has a bound of its own.
POLL_SECONDS = 1.0
RETRY_SECONDS = 0.5


class PartitionHalted(TransientError):
    """A definitions record cannot be understood by this version; nothing after it is folded."""


class DefinitionsFollower:
    """One per process, shared by its services."""

    def __init__(self, bus: Bus, partitions: Collection[int] | None = None) -> None:
        self.definitions = Definitions()
        self._bus = bus
        self._positions = dict.fromkeys(partitions if partitions is not None else range(bus.partition_count), 0)
        self._reader = bus.reader(DEFINITIONS)
        self._listeners: list[Listener] = []
        self._halted: dict[int, str] = {}
        self._moved = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._ends: dict[int, int] = {}

    @property
    def remaining(self) -> int:
        """Records left until all that `start` found is folded."""
        return sum(max(0, end - self._positions[partition]) for partition, end in self._ends.items())

    def listen(self, listener: Listener) -> None:
        """Call `listener` with each change, in fold order; it must be quick and must not raise."""
        self._listeners.append(listener)

    def tenant(self, tenant_id: str) -> Tenant | None:
        """The tenant as folded so far."""
        return self.definitions.tenant(tenant_id)

    async def has_tenant(self, tenant_id: str) -> bool:
        """Whether there is such a tenant; read up to the end of the log before it is denied. Raises `TransientError`."""
        if self.tenant(tenant_id) is None:
            await self.catch_up([partition_of(routing_key(tenant_id), self._bus.partition_count)])
        return self.tenant(tenant_id) is not None

    async def start(self) -> None:
        """Fold all there is, then go on in the background. Partitions that stand still keep no other one from it."""
        self._reader.assign(self._positions)
        self._task = asyncio.create_task(self._follow(), name="definitions")
        self._task.add_done_callback(lambda _: self._moved.set())
        found = await self._bus.watermarks(DEFINITIONS, list(self._positions))
        self._ends = {partition: marks.high for partition, marks in found.items()}
        for partition, marks in found.items():
            if marks.low > 0:
                self._halt(
                    partition, 0, f"the topic begins at {marks.low}, what came before was deleted", "Restore it."
                )
        for partition, marks in found.items():
            with contextlib.suppress(PartitionHalted):
                await self._reach({partition: marks})

    async def followed(self) -> None:
        """Until cancelled, once started. Raises what ended the following: without it no service may go on."""
        if self._task is not None:
            await asyncio.wait([self._task])
            self._raise_what_ended_it()

    async def catch_up(self, partitions: Collection[int] | None = None) -> None:
        """Return when everything now in these partitions (default: all) is folded. Raises `PartitionHalted`."""
        wanted = list(self._positions if partitions is None else partitions)
        await self._reach(await self._bus.watermarks(DEFINITIONS, wanted))

    async def catch_up_as_of(self, batches: Mapping[int, Sequence[Record]]) -> None:
        """Return when everything is folded whose append had returned before any of these records' was called: mostly at
        once. Raises `PartitionHalted`."""
        await self._reach(await self._bus.watermarks(DEFINITIONS, as_of=batches))

    async def _reach(self, watermarks: Mapping[int, Watermarks]) -> None:
        for partition, marks in watermarks.items():
            while self._positions[partition] < marks.high:
                if partition in self._halted:
                    raise PartitionHalted(self._halted[partition])
                self._raise_what_ended_it()
                self._moved.clear()
                await self._moved.wait()

    def _raise_what_ended_it(self) -> None:
        if self._task is not None and self._task.done() and not self._task.cancelled():
            self._task.result()

    @property
    def halted(self) -> dict[int, str]:
        """Partitions that stand still, and why."""
        return dict(self._halted)

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._reader.close()

    async def _follow(self) -> None:
        while True:
            try:
                batches = await self._reader.poll(timeout_seconds=POLL_SECONDS)
            except PartitionUnreadable as error:
                for partition in error.partitions:
                    self._stand_still(partition, str(error))
                self._moved.set()
                continue
            except TransientError as error:
                log.warning("definitions cannot be read just now, trying again: %s", error)
                await asyncio.sleep(RETRY_SECONDS)
                continue
            positions = self._reader.positions()
            for partition, records in batches.items():
                self._fold(partition, records)
            # Offsets that hold nothing for anybody (a transaction's marker) are passed as well: without that, a partition
            # that ends in one would never be reached.
            for partition in positions.keys() - self._halted.keys():
                if self._positions[partition] < positions[partition]:
                    self._positions[partition] = positions[partition]
                    self._moved.set()
            if batches:
                self._moved.set()

    def _fold(self, partition: int, records: Sequence[Record]) -> None:
        for record in records:
            if record.offset < self._positions[partition]:
                continue  # read twice, where another partition's halt came between: commands are remembered for a time only
            try:
                event = codec.decode(record)
                fact = facts.definitions_fact(event)
                recorded_at: datetime = codec.recorded_at(record)
            except UndecodableRecord as error:
                self._halt(partition, record.offset, str(error))
                return
            change = self.definitions.apply(event.tenant_id, fact, recorded_at)
            self._positions[partition] = record.offset + 1
            if change.entity is not None:
                for listener in self._listeners:
                    listener(change)

    def _halt(self, partition: int, offset: int, reason: str, remedy: str = "Update this process.") -> None:
        detail = f"{DEFINITIONS}/{partition} stands still at offset {offset}: {reason}. {remedy}"
        log.critical("%s", detail)
        self._stand_still(partition, detail)

    def _stand_still(self, partition: int, detail: str) -> None:
        self._halted[partition] = detail
        going = {each: at for each, at in self._positions.items() if each not in self._halted}
        self._reader.assign(going)
