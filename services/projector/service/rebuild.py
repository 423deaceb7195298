"""Rebuild: fold the whole log into a new generation beside the live one, compare, and only then switch.

The live projector goes on meanwhile. Once the new generation is nearly level, one transaction holds the pointer (writers
wait), folds the rest to exactly the live checkpoints, compares every table and moves the pointer; the live projector
then finds its checkpoints, unchanged, in the new generation. If anything differs, nothing is switched and the report says
which rows. Where the live generation is another version's there is nothing to compare with, and nobody of this version
writes it; `bring_level` is for a start that finds an earlier one's. Next: `refold.py`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from services.projector.service.refold import Place, Refold
from shared.bus.port import Bus
from shared.domain.clock import Clock
from shared.readmodel.checksums import Checksum, Difference, checksums, differences
from shared.readmodel.connect import Pooled
from shared.readmodel.errors import RebuildNeeded
from shared.readmodel.generations import (
    PROJECTED,
    Pointer,
    create_generation,
    drop_generation,
    read_pointer,
    rebuilding,
    switch_to,
)
from shared.readmodel.store import ReadModel
from shared.readmodel.versions import MODEL_VERSION

NEARLY_LEVEL_RECORDS = 2_000
"""With no more to fold than this the pointer is held: writers wait for about a second, plus the comparison."""
_ROUNDS_MAX = 50
"""After so many rounds of catching up the pointer is held all the same: the log grows faster than it is folded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RebuildProgress:
    """How far it is: records folded, and how many there were to fold when this was said.

    `behind`: (topic, partition), the next offset it has and the one it needs, of every partition that is not there yet.
    """

    folded: int
    total: int
    behind: Mapping[Place, tuple[int, int]] = field(default_factory=dict)

    def told(self, seconds: float) -> str:
        """The whole, and the partition that has most before it; `seconds`: how long it has taken so far."""
        remaining = self.total - self.folded
        rate = self.folded / seconds if seconds > 0 else 0.0
        eta = f", about {remaining / rate:.0f} s to go" if rate and remaining else ""
        line = f"{self.folded} of {self.total} records, {remaining} remain, {rate:.0f}/s{eta}"
        if not self.behind:
            return line
        (topic, partition), (have, need) = max(self.behind.items(), key=lambda each: each[1][1] - each[1][0])
        return f"{line}; {len(self.behind)} partitions left, most in {topic}/{partition}: have {have}, need {need}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RebuildReport:
    """What came of it. Equal: `comparable` and no `differences`."""

    generation: int
    switched: bool
    comparable: bool
    records: int
    seconds: float
    held_seconds: float
    """How long writers waited."""
    tables: Mapping[str, Checksum] = field(default_factory=dict)
    differences: tuple[Difference, ...] = ()

    @property
    def equal(self) -> bool:
        return self.comparable and not self.differences


OnProgress = Callable[[RebuildProgress], None]


def _say_nothing(_: RebuildProgress) -> None:
    return None


async def rebuild(
    bus: Bus, readmodel: ReadModel, clock: Clock, on_progress: OnProgress = _say_nothing
) -> RebuildReport:
    """Fold anew, compare, switch. Raises RebuildRunning, LogEndsEarly."""
    return await _run(bus, readmodel, clock, on_progress, may_switch=True)


async def verify(bus: Bus, readmodel: ReadModel, clock: Clock, on_progress: OnProgress = _say_nothing) -> RebuildReport:
    """Fold anew and compare, and leave everything as it is."""
    return await _run(bus, readmodel, clock, on_progress, may_switch=False)


async def bring_level(
    bus: Bus, readmodel: ReadModel, clock: Clock, on_progress: OnProgress = _say_nothing
) -> RebuildReport | None:
    """Where the current generation is an earlier version's, fold one of this version and switch to it; the other is removed.

    None: there was nothing to do. Raises RebuildRunning (another process is at it: come again), LogEndsEarly, and
    RebuildNeeded for a later version's, which is left alone: two versions that run side by side would otherwise each
    undo what the other built.
    """
    async with readmodel.pool.acquire() as connection, rebuilding(connection):
        if await _is_level(connection):  # whoever had the lock before has done it
            return None
        before = await read_pointer(connection)
        report = await _build(bus, readmodel, connection, clock, on_progress, may_switch=True, compares=False)
        await drop_generation(connection, before.generation)
        return report


async def is_level(readmodel: ReadModel) -> bool:
    """Whether the current generation is this version's. Raises RebuildNeeded where it is a later version's."""
    async with readmodel.pool.acquire() as connection:
        return await _is_level(connection)


async def _is_level(connection: Pooled) -> bool:
    pointer = await read_pointer(connection)
    if pointer.fold_version > MODEL_VERSION:
        raise RebuildNeeded(pointer.fold_version, MODEL_VERSION)
    return pointer.comparable


async def _run(
    bus: Bus, readmodel: ReadModel, clock: Clock, on_progress: OnProgress, *, may_switch: bool
) -> RebuildReport:
    async with readmodel.pool.acquire() as connection, rebuilding(connection):
        return await _build(bus, readmodel, connection, clock, on_progress, may_switch=may_switch, compares=True)


async def _build(
    bus: Bus,
    readmodel: ReadModel,
    connection: Pooled,
    clock: Clock,
    on_progress: OnProgress,
    *,
    may_switch: bool,
    compares: bool,
) -> RebuildReport:
    begun = clock.monotonic()
    generation = await create_generation(connection, bus.partition_count)
    work = _Work(bus, readmodel, connection, generation, on_progress)
    switched = False
    try:
        await work.catch_up()
        held = clock.monotonic()
        async with connection.transaction():
            pointer = await read_pointer(connection, hold=True)
            await work.fold_rest(pointer)
            found = await work.compare(pointer) if compares else []
            switched = may_switch and not found
            if switched:
                await switch_to(connection, generation)
    finally:
        if not switched and not connection.is_closed():
            await drop_generation(connection, generation)
    return RebuildReport(
        generation=generation,
        switched=switched,
        comparable=pointer.comparable,
        records=work.folded,
        seconds=clock.monotonic() - begun,
        held_seconds=clock.monotonic() - held,
        tables=work.tables,
        differences=tuple(found),
    )


class _Work:
    """One rebuild under way. `connection` holds the lock and the pointer; rows go over others."""

    def __init__(
        self, bus: Bus, readmodel: ReadModel, connection: Pooled, generation: int, on_progress: OnProgress
    ) -> None:
        self.folded = 0
        self.tables: Mapping[str, Checksum] = {}
        self._bus = bus
        self._readmodel = readmodel
        self._connection = connection
        self._refold = Refold(bus, readmodel, generation, self._count)
        self._on_progress = on_progress
        self._total = 0
        self._needed: Mapping[Place, int] = {}

    async def catch_up(self) -> None:
        """Fold, writers writing, until little is left."""
        for _ in range(_ROUNDS_MAX):
            targets = await self._targets(await read_pointer(self._connection))
            distance = self._aim(targets)
            if distance <= NEARLY_LEVEL_RECORDS:
                return
            await self._refold.fold_to(targets)

    async def fold_rest(self, pointer: Pointer) -> None:
        """Fold to exactly where the live generation stands."""
        targets = await self._targets(pointer)
        self._aim(targets)
        await self._refold.fold_to(targets)

    async def compare(self, pointer: Pointer) -> list[Difference]:
        """What differs from the live generation; nothing where it is another version's."""
        self.tables = await checksums(self._connection, self._refold.generation)
        if not pointer.comparable:
            return []
        return await differences(self._connection, pointer.generation, self._refold.generation, self.tables)

    async def _targets(self, pointer: Pointer) -> dict[Place, int]:
        if pointer.comparable:
            stand = await self._readmodel.checkpoints_of(pointer.generation)
            return {(each.topic, each.partition): each.next for each in stand}
        return {
            (topic, partition): each.high
            for topic in PROJECTED
            for partition, each in (await self._bus.watermarks(topic)).items()
        }

    def _aim(self, targets: Mapping[Place, int]) -> int:
        """How many records there are to fold to get there."""
        distance = self._refold.distance(targets)
        self._total, self._needed = self.folded + distance, targets
        return distance

    def _count(self, records: int) -> None:
        self.folded += records
        positions = ((place, self._refold.positions.get(place, 0), need) for place, need in self._needed.items())
        behind = {place: (have, need) for place, have, need in positions if have < need}
        self._on_progress(RebuildProgress(folded=self.folded, total=max(self._total, self.folded), behind=behind))
