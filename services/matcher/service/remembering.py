"""What the matcher remembers of one partition between events, and when something of it falls due.

Guarantee: `restore` takes over what the log says, all of it, before the first event is matched; from then on the matcher's own
decisions move it on, and the fold of the runs comes to the same from the records of them.
Next: `shared/domain/windows.py`; `due.py` acts on what falls due.
"""

import asyncio
import logging
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from shared.bus import codec, facts
from shared.bus.codec import UndecodableRecord
from shared.bus.port import Bus, PartitionUnreadable, Record
from shared.bus.topics import RUNS
from shared.domain.errors import TransientError
from shared.domain.records import ScheduleFired, WindowCounted, WindowElapsed, WindowFollowed, WindowOpened
from shared.domain.waits import Waits
from shared.domain.windows import Windows
from shared.readmodel.snapshots import WindowsSnapshot

log = logging.getLogger(__name__)

POLL_SECONDS = 1.0
RECORDS_AT_ONCE = 5_000


class WindowSnapshots(Protocol):
    """Where a partition's past is: the read model."""

    async def windows(self, partitions: Collection[int]) -> Mapping[int, WindowsSnapshot]:
        """What triggers remember of these partitions of `upshot.runs`, all as of one instant."""
        ...


class Memory:
    """One partition's windows, and which of them fall due when."""

    def __init__(self) -> None:
        self.windows = Windows()
        self.waits = Waits(self.windows)
        self.seen_until: datetime | None = None
        """The append time of the newest event that was matched."""

    def see(self, recorded_at: datetime) -> datetime:
        """The partition's time at an event: it never goes back, even where the log's clock did."""
        seen_until = self.seen_until
        if seen_until is None or recorded_at > seen_until:
            self.seen_until = recorded_at
            return recorded_at
        return seen_until


async def restore_memories(
    bus: Bus, snapshots: WindowSnapshots, partitions: Collection[int], *, retry_seconds: float
) -> tuple[dict[int, Memory], dict[int, str]]:
    """The snapshot, then the log up to its end; tries until it succeeds. Beside them, and why: partitions whose log this version
    does not understand, or cannot have. They stand still, loudly, as they do for everybody else."""
    while True:
        try:
            return await _restore(bus, snapshots, partitions)
        except TransientError as error:
            log.warning("what triggers remember cannot be restored just now, trying again: %s", error)
            await asyncio.sleep(retry_seconds)


async def _restore(
    bus: Bus, snapshots: WindowSnapshots, partitions: Collection[int]
) -> tuple[dict[int, Memory], dict[int, str]]:
    found = await snapshots.windows(partitions)
    ends = await bus.watermarks(RUNS, sorted(partitions))
    memories = {partition: Memory() for partition in partitions}
    left: dict[int, int] = {}
    given_up: dict[int, str] = {}

    def give_up(partition: int, why: str) -> None:
        log.critical("nothing of partition %s is matched: %s", partition, why)
        given_up[partition] = why
        left.pop(partition, None)
        del memories[partition]

    for partition in sorted(partitions):
        if found[partition].next < ends[partition].low:
            begin, needed = ends[partition].low, found[partition].next
            give_up(partition, f"{RUNS}/{partition} begins at {begin}, and {needed} is needed. Restore it.")
            continue
        memories[partition].windows.restore(found[partition].windows)
        if found[partition].next < ends[partition].high:
            left[partition] = found[partition].next
    reader = bus.reader(RUNS)
    try:
        reader.assign(left)
        while left:
            try:
                batches = await reader.poll(timeout_seconds=POLL_SECONDS, records_max=RECORDS_AT_ONCE)
            except PartitionUnreadable as error:
                for partition in error.partitions & left.keys():
                    give_up(partition, str(error))
                reader.assign({each: at for each, at in reader.positions().items() if each in left})
                continue
            for partition, records in batches.items():
                if partition not in left:
                    continue
                try:
                    _fold(memories[partition].windows, records)
                except UndecodableRecord as error:
                    give_up(partition, f"{RUNS}/{partition} cannot be understood: {error}. Update this process.")
            # By position, not by the last record: a partition may end in what nobody is handed.
            for partition, position in reader.positions().items():
                if position >= ends[partition].high:
                    left.pop(partition, None)
    finally:
        await reader.close()
    for memory in memories.values():
        memory.waits.plan_all()
    return memories, given_up


def _fold(windows: Windows, records: Sequence[Record]) -> None:
    for record in records:
        event = codec.decode(record)
        fact = facts.runs_fact(event)
        if isinstance(fact, WindowCounted | WindowOpened | WindowFollowed | WindowElapsed | ScheduleFired):
            windows.apply(event.tenant_id, fact, codec.recorded_at(record), record.offset)
            windows.expire()
