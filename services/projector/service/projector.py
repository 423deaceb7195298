"""Writes what was folded: deltas in, one transaction after the other out, checkpoints with them.

An actor on the fold of `upshot.runs`, beside the others of its process; `logs.py` hands over the other two topics. While a
write is under way the next one gathers, so that batches grow with the load and the fold never waits for the disk.
Guarantees: what is written of a partition is one unbroken stretch of its log; while PostgreSQL is away everything is
kept, up to a bound, at which `accepting` tells the readers to stop; a partition whose checkpoint somebody else has moved
is dropped and `on_lost` told. Only what is surely written is forgotten or announced. What PostgreSQL loses in a crash, before it
has flushed, is written again, also where nothing comes behind it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from weakref import WeakSet

from services.projector.core import Backlog
from services.projector.service.logs import LogFollower
from services.projector.settings import ProjectorSettings
from shared.bus.port import Bus
from shared.bus.topics import DEFINITIONS, EVENTS, RUNS
from shared.domain.clock import Clock
from shared.domain.runs.delta import RunsDelta
from shared.readmodel.errors import NotOwner, ReadModelAway
from shared.readmodel.rows import ROWS_AT_ONCE, Rows, add_rows
from shared.readmodel.store import ReadModel
from shared.runtime.progress import Place, ProjectionProgress
from shared.runtime.shard import Shard

log = logging.getLogger(__name__)

FLUSHED_SECONDS = 5.0
"""After so long a commit stands, whatever crashes: PostgreSQL flushes within three times `wal_writer_delay`, 0.2 s unless
somebody has set it to more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lag:
    """How far the read model is behind what this process has folded."""

    rows: int
    """Not written yet, about."""
    seconds: float
    """Since when the oldest of them has waited."""


class Projector:
    """One a process. Give it to the `RunsFollower` as an actor, its `accepting` as `may_read`, and run it."""

    def __init__(
        self,
        bus: Bus,
        readmodel: ReadModel,
        progress: ProjectionProgress,
        clock: Clock,
        settings: ProjectorSettings,
        *,
        on_lost: Callable[[int], Awaitable[None]],
    ) -> None:
        """`on_lost(partition)`: the read model is not as this process wrote it; `RunsFollower.restore_again` is the answer."""
        self._readmodel = readmodel
        self._progress = progress
        self._clock = clock
        self._settings = settings
        self._on_lost = on_lost
        self._shards: dict[int, Shard] = {}
        self._lost: WeakSet[Shard] = WeakSet()
        self._backlog = Backlog()
        self._work = asyncio.Event()
        self._urgent = asyncio.Event()
        self._waiting_since: float | None = None
        self._writing_rows = 0
        self._unflushed: dict[Place, tuple[Shard, int]] = {}
        """Whose it is, and how far it was written: of all that is not known to stand yet."""
        self._wrote = asyncio.Event()
        self._aftermath: set[asyncio.Task[None]] = set()
        self.accepting = asyncio.Event()
        self.accepting.set()
        self.logs = LogFollower(bus, readmodel, self, settings)

    # ------------------------------------------------------------ the runs, handed over by their follower

    def restored(self, shard: Shard) -> None:
        self._own(shard)

    def folded(self, shard: Shard, delta: RunsDelta) -> None:
        """Take over a delta. The caller folds and calls this without awaiting in between: rows are made of the fold's
        own objects, which must not be further than the deltas handed over."""
        if self._own(shard) and delta.end > delta.start:
            self._backlog.add_runs(delta)
            self.grew()

    def revoked(self, shard: Shard) -> None:
        if self._shards.get(shard.partition) is shard:
            del self._shards[shard.partition]
            self._backlog.take(shard.partition)
            self.logs.disown(shard.partition)

    def halted(self, shard: Shard) -> None:
        """What was folded before is written all the same."""

    def _own(self, shard: Shard) -> bool:
        """False for a shard whose checkpoint somebody else has moved: its follower has yet to restore it anew."""
        if shard in self._lost:
            return False
        if self._shards.get(shard.partition) is not shard:
            self._backlog.take(shard.partition)
            self._shards[shard.partition] = shard
            self.logs.own(shard.partition)
        return True

    # ------------------------------------------------------------ what is waiting

    @property
    def backlog(self) -> Backlog:
        """For `logs.py`, which adds to it; `grew()` afterwards."""
        return self._backlog

    def grew(self) -> None:
        """There is something new to write."""
        if self._waiting_since is None:
            self._waiting_since = self._clock.monotonic()
        self._work.set()
        if self._backlog.urgent:
            self._urgent.set()
        if self._backlog.rows + self._writing_rows >= self._settings.backlog_rows_max:
            self.accepting.clear()

    @property
    def lag(self) -> Lag:
        since = self._waiting_since
        waited = self._clock.monotonic() - since if since is not None else 0.0
        return Lag(rows=self._backlog.rows + self._writing_rows, seconds=waited)

    # ------------------------------------------------------------ the loop

    async def run(self) -> None:
        """Until cancelled. Raises RebuildNeeded where the read model is another version's."""
        following = asyncio.create_task(self.logs.run(), name="projector-logs")
        writing = asyncio.create_task(self._write_on(), name="projector-writes")
        looking = asyncio.create_task(self._look_for_what_is_lost(), name="projector-losses")
        try:
            await asyncio.gather(following, writing, looking)
        finally:
            tasks = (following, writing, looking, *self._aftermath)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def flush(self) -> None:
        """Return once all that was handed over before this call is written, or dropped. For an orderly end and tests."""
        while self._backlog or self._writing_rows:
            self._urgent.set()
            await asyncio.sleep(0.001)

    async def _write_on(self) -> None:
        rows_before, begun = 0, self._clock.monotonic()
        while True:
            await self._work.wait()
            since, begun = begun, self._clock.monotonic()
            rows_a_second = rows_before / max(begun - since, 1e-3)
            await self._linger(busy=rows_a_second >= self._settings.busy_rows_per_second)
            self._writing_rows = 1  # something is; `_take` says how much
            try:
                batch, rows, owners = await self._take()
                rows_before = rows.count
                if rows.moves:
                    await self._write(batch, rows, owners)
            finally:
                self._writing_rows = 0
                self.accepting.set()
                if self._backlog:
                    self.grew()

    async def _take(self) -> tuple[Backlog, Rows, dict[int, Shard]]:
        """What is waiting, its rows, and whose it is. A partition at a time, and its rows at once: others may fold and act in
        between, so that no event waits for the rows of all the others."""
        batch, rows, owners = Backlog(), Rows(), dict[int, Shard]()
        made = 0
        for partition in sorted(self._backlog.partitions):
            taken = self._backlog.take(partition)
            add_rows(rows, taken.runs.values(), taken.events.values(), taken.definitions.values())
            batch.add(taken)
            if partition in self._shards:
                owners[partition] = self._shards[partition]
            self._writing_rows = max(rows.count, 1)
            if rows.count - made >= ROWS_AT_ONCE:
                made = rows.count
                await asyncio.sleep(0)
        self._work.clear()
        self._urgent.clear()
        self._waiting_since = None
        if self._backlog:  # more came of partitions that were taken already
            self.grew()
        return batch, rows, owners

    async def _linger(self, *, busy: bool) -> None:
        seconds = self._settings.linger_busy_seconds if busy else self._settings.linger_idle_seconds
        try:
            async with asyncio.timeout(seconds):
                await self._urgent.wait()
        except TimeoutError:
            pass

    async def _write(self, batch: Backlog, rows: Rows, owners: Mapping[int, Shard]) -> None:
        try:
            await self._readmodel.write_rows(rows)
        except ReadModelAway as error:
            log.warning("the read model cannot be written; what is folded is kept: %s", error)
            await asyncio.sleep(self._settings.retry_seconds)
            await self._settle(batch, rows, owners)
        except NotOwner as error:
            log.warning("%s", error)
            await self._settle(batch, rows, owners)
        else:
            for topic, partition, _, end, _ in rows.moves:
                self._written(topic, partition, end, rows, owners)

    async def _settle(self, batch: Backlog, rows: Rows, owners: Mapping[int, Shard]) -> None:
        """Find out, move by move, what became of a write that failed: it may have been committed all the same."""
        stand = await self._checkpoints()
        again = Backlog()
        for topic, partition, start, end, _ in rows.moves:
            if stand.get((topic, partition)) == end:
                self._readmodel.note_written(topic, partition, end)
                self._written(topic, partition, end, rows, owners)
            elif self._shards.get(partition) is not owners.get(partition):
                continue
            elif stand.get((topic, partition)) == start:
                _move(topic, partition, batch, again)
            else:
                self._begin_anew(topic, partition)
        again.add(self._backlog)
        self._backlog = again

    async def _look_for_what_is_lost(self) -> None:
        """The next write would find out, but there may be none for long, and until then nobody is shown what he was answered: a
        person not even the run that waits for him."""
        while True:
            await self._wrote.wait()
            self._wrote.clear()
            written, self._unflushed = self._unflushed, {}
            await asyncio.sleep(FLUSHED_SECONDS)
            stand = await self._checkpoints()
            for (topic, partition), (owner, end) in written.items():
                if stand.get((topic, partition), 0) < end and self._shards.get(partition) is owner:
                    log.warning(
                        "the read model has lost what was written of %s/%s: it is written again", topic, partition
                    )
                    self._begin_anew(topic, partition)

    def _begin_anew(self, topic: str, partition: int) -> None:
        """From where the checkpoint stands."""
        if topic == RUNS:
            self._lose(partition)
        else:
            self._backlog.of(topic).pop(partition, None)
            self.logs.start_over(topic, partition)

    async def _checkpoints(self) -> dict[tuple[str, int], int]:
        while True:
            try:
                return {
                    (topic, partition): next_offset
                    for topic in (RUNS, EVENTS, DEFINITIONS)
                    for partition, next_offset in (await self._readmodel.next_offsets(topic)).items()
                }
            except ReadModelAway as error:
                log.warning("the read model is still away: %s", error)
                await asyncio.sleep(self._settings.retry_seconds)

    def _written(self, topic: str, partition: int, end: int, rows: Rows, owners: Mapping[int, Shard]) -> None:
        self._progress.advance(topic, partition, end)
        if partition not in owners:
            return
        self._unflushed[topic, partition] = owners[partition], end
        self._wrote.set()
        if topic == RUNS:
            forgettable = rows.forgettable[partition]
            owners[partition].written(forgettable.run_ids, forgettable.match_ids, forgettable.commands)

    def _lose(self, partition: int) -> None:
        """Somebody else has written it, or it is lost: begin anew from what stands there."""
        shard = self._shards.get(partition)
        if shard is not None:
            self.revoked(shard)
            self._lost.add(shard)

        async def tell() -> None:
            await asyncio.sleep(self._settings.retry_seconds)
            await self._on_lost(partition)

        self._in_background(tell())

    def _in_background(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(work)
        self._aftermath.add(task)
        task.add_done_callback(self._aftermath.discard)


def _move(topic: str, partition: int, source: Backlog, target: Backlog) -> None:
    if topic == RUNS:
        target.runs[partition] = source.runs[partition]
    elif topic == EVENTS:
        target.events[partition] = source.events[partition]
    else:
        target.definitions[partition] = source.definitions[partition]
