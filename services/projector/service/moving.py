"""The read model of a log that was copied: folded from the copy, compared with what the first log amounts to, switched to.

What is compared leaves out where records lie (`contents` in `shared/readmodel/checksums.py`): offsets, and with another number
of partitions their numbers, are other ones in the copy. Nothing may be written to either log meanwhile.
Next: `refold.py`, the fold; `rebuild.py`, the same within one log.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from services.projector.service.refold import Place, Refold
from shared.bus.port import Bus
from shared.domain.clock import Clock
from shared.readmodel.checksums import Checksum, contents
from shared.readmodel.connect import Pooled
from shared.readmodel.generations import (
    PROJECTED,
    create_generation,
    drop_generation,
    read_pointer,
    rebuilding,
    switch_to,
)
from shared.readmodel.store import ReadModel

OnFolded = Callable[[int, int], None]
"""Told of records folded so far, and of how many there are in all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveReport:
    """What came of it. `generation` is current in the target's read model where nothing `differs` (tables' names)."""

    generation: int
    records: int
    seconds: float
    tables: Mapping[str, Checksum]
    differs: tuple[str, ...]


async def move_read_model(
    source: Bus, source_model: ReadModel, target: Bus, target_model: ReadModel, clock: Clock, on_folded: OnFolded
) -> MoveReport:
    """Fold the target anew, compare, and switch where both logs amount to the same. Both read models may be one.

    Raises RebuildRunning, LogEndsEarly.
    """
    begun = clock.monotonic()
    async with source_model.pool.acquire() as connection, rebuilding(connection):
        expected = await _contents_of(source, source_model, connection, on_folded)
    async with target_model.pool.acquire() as connection, rebuilding(connection):
        before = await read_pointer(connection)
        generation = await create_generation(connection, target.partition_count)
        switched = False
        try:
            records = await _fold(target, target_model, generation, on_folded)
            tables = await contents(connection, generation)
            differs = tuple(sorted(table for table in tables if tables[table] != expected[table]))
            if not differs:
                async with connection.transaction():
                    await read_pointer(connection, hold=True)
                    await switch_to(connection, generation)
                switched = True
        finally:
            if not connection.is_closed():
                await drop_generation(connection, before.generation if switched else generation)
    return MoveReport(
        generation=generation, records=records, seconds=clock.monotonic() - begun, tables=tables, differs=differs
    )


async def _contents_of(bus: Bus, readmodel: ReadModel, connection: Pooled, on_folded: OnFolded) -> dict[str, Checksum]:
    """Of all that the log holds: of the current generation where it is level and of this version, else of one folded anew."""
    pointer = await read_pointer(connection)
    if pointer.comparable:
        stand = {(each.topic, each.partition): each.next for each in await readmodel.checkpoints_of(pointer.generation)}
        if all(stand.get(place, 0) >= high for place, high in (await _highs(bus)).items()):
            return await contents(connection, pointer.generation)
    generation = await create_generation(connection, bus.partition_count)
    try:
        await _fold(bus, readmodel, generation, on_folded)
        return await contents(connection, generation)
    finally:
        if not connection.is_closed():
            await drop_generation(connection, generation)


async def _fold(bus: Bus, readmodel: ReadModel, generation: int, on_folded: OnFolded) -> int:
    targets = await _highs(bus)
    folded = 0

    def count(records: int) -> None:
        nonlocal folded
        folded += records
        on_folded(folded, total)

    refold = Refold(bus, readmodel, generation, count)
    total = refold.distance(targets)
    await refold.fold_to(targets)
    return folded


async def _highs(bus: Bus) -> dict[Place, int]:
    return {
        (topic, partition): marks.high
        for topic in PROJECTED
        for partition, marks in (await bus.watermarks(topic)).items()
    }
