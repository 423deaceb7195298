"""Restore, then follow: how a service comes to own partitions of `upshot.runs` and keeps their fold.

On assignment: the read model's snapshot, then the log from its checkpoint up to the end offset read at that moment,
silently; only then are the actors told to act (`restored`).
A record that cannot be understood halts its partition, loudly: skipping it would make two truths.
Next: `shard.py`, one partition; `recall.py`, what is asked before a batch is folded.
"""

import asyncio
import logging
from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from shared.bus import codec, facts
from shared.bus.codec import UndecodableRecord
from shared.bus.port import Bus, Membership, PartitionUnreadable, Reader, Record, Watermarks
from shared.bus.topics import RUNS
from shared.domain.errors import TransientError
from shared.domain.runs.delta import RunsDelta
from shared.domain.runs.fold import Known
from shared.readmodel.errors import ReadModelWentAhead, ReadModelWentBack
from shared.readmodel.snapshots import Snapshot
from shared.runtime.foresight import Lookups
from shared.runtime.former_matches import FormerMatches
from shared.runtime.recall import Entry, Recall
from shared.runtime.settings import RunsSettings, read_settings_of
from shared.runtime.shard import Actor, Shard

log = logging.getLogger(__name__)

POLL_SECONDS = 1.0
"""How long one read waits for something to come. No setting: whatever comes ends the wait, and a shorter one only asks more
often whether the assignment has changed."""

STANDS_BY_AFTER = 15
"""So many waits of an answered member without any partition mean that there is none for it."""


class Snapshots(Lookups, Protocol):
    """Where a shard's past is: the read model."""

    async def snapshot(self, partitions: Collection[int]) -> Mapping[int, Snapshot]:
        """State and checkpoint of these partitions of `upshot.runs`, all as of one instant."""
        ...


class RunsFollower:
    """A member of a group on `upshot.runs`, with the fold of every partition it owns and the actors on top."""

    def __init__(
        self,
        bus: Bus,
        snapshots: Snapshots,
        actors: Sequence[Actor],
        *,
        group: str,
        member_id: str,
        settings: RunsSettings | None = None,
        may_read: asyncio.Event | None = None,
        projected_elsewhere: bool = False,
        patient: bool = False,
        former: FormerMatches | None = None,
    ) -> None:
        """`may_read`: while it is clear, nothing more is read (what is not projected yet bounds memory).
        `projected_elsewhere`: the read model may be ahead of this fold, so what it tells of later records is left out.
        `patient`: no actor has a run's next step to do, so records may gather before they are folded.
        `former`: knows of most matches that they are new; without it the read model is asked about each."""
        self._bus = bus
        self._snapshots = snapshots
        self._actors = actors
        self._group = group
        self._member_id = member_id
        self._settings = settings or read_settings_of(RunsSettings)
        self._membership: Membership | None = None
        self._reader: Reader = bus.reader(RUNS)
        self.shards: dict[int, Shard] = {}
        self._to_restore: set[int] = set()
        self._restoring: set[int] = set()
        """What is being restored just now and was not revoked meanwhile."""
        self._later: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        """There may be something to restore."""
        self._may_read = may_read if may_read is not None else _always()
        self._patient = patient
        self._recall = Recall(
            snapshots,
            former,
            projected_elsewhere=projected_elsewhere,
            retry_seconds=self._settings.retry_seconds,
        )
        self.assigned = False
        """Whether the group has ever said which partitions are this member's, or has had the time to: with more members than
        partitions one stands by."""

    @property
    def level(self) -> bool:
        """Whether all owned partitions are restored (false before the first assignment)."""
        return bool(self.shards) and all(shard.level for shard in self.shards.values())

    @property
    def alive(self) -> bool:
        """Whether the log answers this member's heartbeats."""
        return self._membership is not None and self._membership.alive()

    @property
    def halted(self) -> dict[int, str]:
        """Partitions that stand still, and why."""
        return {each.partition: each.halted for each in self.shards.values() if each.halted is not None}

    def foresee(self, matches: Mapping[int, Collection[str]]) -> None:
        """These match ids, by partition, are being appended: ask now what will have to be known when they are folded."""
        self._recall.foresee(
            {
                shard: ids
                for partition, ids in matches.items()
                if (shard := self.shards.get(partition)) is not None and shard.level and shard.owned
            }
        )

    async def run(self) -> None:
        """Join, follow, act; until cancelled. Leaves the group on the way out."""
        self._membership = await self._bus.join(self._group, RUNS, member_id=self._member_id)
        beside = [
            asyncio.create_task(self._watch(self._membership), name="runs-assignment"),
            asyncio.create_task(self._recall.run(), name="runs-recall"),
        ]
        for each in beside:
            each.add_done_callback(lambda _: self._changed.set())  # whoever waits for a partition learns of it, too
        try:
            while True:
                await self._take_over(self._membership)
                await self._follow_once()
                for each in beside:
                    if each.done():
                        each.result()
        finally:
            ending = (*beside, *self._later)
            for each in ending:
                each.cancel()
            await asyncio.gather(*ending, return_exceptions=True)
            for shard in self.shards.values():
                self._revoke(shard)
            await self._recall.close()
            await self._membership.leave()
            await self._reader.close()

    async def _watch(self, membership: Membership) -> None:
        """Stops acting at once; restoring is left to the loop."""
        without_news = 0
        while True:
            change = await membership.next_assignment(timeout_seconds=POLL_SECONDS)
            if change is None:
                without_news = without_news + 1 if membership.alive() else 0
                self.assigned = self.assigned or without_news >= STANDS_BY_AFTER
                continue
            self._to_restore -= change.revoked
            self._restoring -= change.revoked  # somebody else's until it comes back: its snapshot is old by then
            for partition in change.revoked:
                shard = self.shards.pop(partition, None)
                if shard is not None:
                    self._revoke(shard)
            membership.release()
            self._to_restore |= change.assigned
            self._changed.set()

    def _revoke(self, shard: Shard) -> None:
        shard.owned = False
        for actor in self._actors:
            actor.revoked(shard)

    async def _take_over(self, membership: Membership) -> None:
        """Restore what has become this member's, or has to begin anew, since the last call."""
        if not self.shards:
            await self._changed.wait()  # there is nothing to poll: wait here instead of spinning
        if self._changed.is_set():
            self._changed.clear()
            wanted, self._to_restore = self._to_restore, set()
            for partition in wanted:
                former = self.shards.pop(partition, None)
                if former is not None and former.owned:
                    self._revoke(former)
            await self._restore(wanted, membership)
            self._read_on()
        self.assigned = True

    async def _restore(self, partitions: set[int], membership: Membership) -> None:
        self._restoring = partitions
        while asked := sorted(self._restoring):
            try:
                snapshots = await self._snapshots.snapshot(asked)
                ends = await self._bus.watermarks(RUNS, asked)
            except TransientError as error:
                log.warning("cannot restore partitions %s just now, trying again: %s", asked, error)
                await asyncio.sleep(self._settings.retry_seconds)
                continue
            for partition in sorted(self._restoring):
                self._begin(partition, snapshots[partition], ends[partition], membership)
            self._restoring = set()

    def _begin(self, partition: int, snapshot: Snapshot, marks: Watermarks, membership: Membership) -> None:
        shard = Shard(partition, membership, parsed_bytes_max=self._settings.parsed_bytes_max)
        shard.begin(snapshot, marks.high)
        self.shards[partition] = shard
        self._recall.restored(shard)
        if shard.next < marks.low:
            deleted = f"the log begins at {marks.low}, what came before was deleted"
            self._halt(shard, shard.next, deleted, "Restore it, or a read model that is further.")
        else:
            self._announce_level(shard)

    async def _follow_once(self) -> None:
        await self._may_read.wait()
        try:
            batches = await self._reader.poll(
                timeout_seconds=POLL_SECONDS, records_max=self._settings.batch_records_max
            )
        except PartitionUnreadable as error:
            for partition in error.partitions & self.shards.keys():
                self._stop(self.shards[partition], str(error))
            return
        except TransientError as error:
            log.warning("runs cannot be read just now, trying again: %s", error)
            await asyncio.sleep(self._settings.retry_seconds)
            return
        passed = {partition: at for partition, at in self._reader.positions().items() if partition in self.shards}
        decoded = {
            partition: self._decode(self.shards[partition], records)
            for partition, records in batches.items()
            if partition in self.shards
        }
        try:
            known = await self._recall.look_up({self.shards[partition]: each for partition, each in decoded.items()})
        except ReadModelWentAhead as error:
            # Its former owner, which has not heard yet. What it wrote is the truth; an answer from there would not be.
            log.warning("%s", error)
            self._restore_later(error.partitions)
            self._read_on()
            return
        except ReadModelWentBack as error:
            # Behind what some fold has let go: all of them are restored, so that no batch is folded without its answers.
            log.warning("%s", error)
            for partition in decoded:
                await self.restore_again(partition)
            return
        for partition, at in passed.items():
            shard = self.shards.get(partition)
            if shard is None or not shard.owned:
                continue
            # Offsets that hold nothing for anybody (a transaction's marker) are passed as well, where nothing stands still.
            end = at if shard.halted is None else shard.next
            entries = decoded.get(partition, ())
            if entries or shard.next < end:
                self._fold(shard, entries, known, end)
        if self._patient and decoded:
            await asyncio.sleep(self._settings.patient_linger_seconds)
        elif sum(map(len, decoded.values())) >= self._settings.busy_records:
            await asyncio.sleep(self._settings.linger_seconds)

    async def restore_again(self, partition: int) -> None:
        """The read model no longer agrees with this fold (it lost its newest writes, or somebody else wrote): the loop
        begins that partition anew, between two batches."""
        shard = self.shards.get(partition)
        if shard is not None:
            self._revoke(shard)
            self._to_restore.add(partition)
            self._changed.set()

    def _restore_later(self, partitions: Collection[int]) -> None:
        """Not at once: whoever is further may go on as long as its session lasts, and every restore reads all that is open."""
        shards = [self.shards[partition] for partition in partitions if partition in self.shards]
        for shard in shards:
            self._revoke(shard)

        async def restore() -> None:
            await asyncio.sleep(self._settings.retry_seconds)
            for shard in shards:
                if self.shards.get(shard.partition) is shard:
                    await self.restore_again(shard.partition)

        task = asyncio.create_task(restore(), name="runs-restore-later")
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    def _decode(self, shard: Shard, records: Sequence[Record]) -> list[Entry]:
        entries: list[Entry] = []
        for record in records:
            if record.offset < shard.next:
                continue
            try:
                event = codec.decode(record)
                entries.append((record, event, facts.runs_fact(event)))
            except UndecodableRecord as error:
                self._halt(shard, record.offset, str(error))
                break
        return entries

    def _fold(self, shard: Shard, entries: Sequence[Entry], known: Known, end: int) -> None:
        delta = RunsDelta(partition=shard.partition, start=shard.next, end=shard.next, now=shard.fold.now)
        for record, event, fact in entries:
            folded = shard.fold.apply(event, fact, codec.recorded_at(record), record.offset, known)
            delta.include(folded, shard.fold, record.offset + 1)
            shard.holding.weigh(folded.runs, len(record.value or b""))
        delta.end = max(delta.end, end)
        shard.next = delta.end
        for actor in self._actors:
            actor.folded(shard, delta)
        shard.holding.settle(delta.runs.values(), shard.fold.now)
        self._announce_level(shard)

    def _announce_level(self, shard: Shard) -> None:
        if shard.reach_level():
            for actor in self._actors:
                actor.restored(shard)

    def _read_on(self) -> None:
        self._reader.assign({shard.partition: shard.next for shard in self.shards.values() if shard.halted is None})

    def _halt(self, shard: Shard, offset: int, reason: str, remedy: str = "Update this process.") -> None:
        self._stop(shard, f"{RUNS}/{shard.partition} stands still at offset {offset}: {reason}. {remedy}")

    def _stop(self, shard: Shard, detail: str) -> None:
        shard.halted = detail
        log.critical("%s", detail)
        for actor in self._actors:
            actor.halted(shard)
        self._read_on()


def _always() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event
