"""Restore, then follow: how a service comes to own partitions of `upshot.runs` and keeps their fold.

On assignment: the read model's snapshot, then the log from its checkpoint up to the end offset read at that moment,
silently; only then are the actors told to act (`restored`). Folding needs no ownership, acting does: `Shard.may_act`
is false the moment the partition is revoked, and when heartbeats have gone unanswered too long.
A record that cannot be understood halts its partition, loudly: skipping it would make two truths.
"""

import asyncio
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from shared.bus import codec, facts
from shared.bus.codec import UndecodableRecord
from shared.bus.port import Assignment, Bus, Membership, PartitionUnreadable, Reader, Record
from shared.bus.topics import RUNS
from shared.domain.envelope import Event
from shared.domain.errors import TransientError
from shared.domain.records import RunsFact
from shared.domain.runs.delta import RunsDelta
from shared.domain.runs.fold import CommandKey, Known, Questions, RunsFold
from shared.domain.verdicts import Verdict
from shared.readmodel.errors import ReadModelWentBack
from shared.readmodel.snapshots import Snapshot
from shared.runtime.foresight import Foresight
from shared.runtime.former_matches import FormerMatches
from shared.runtime.settings import RunsSettings

log = logging.getLogger(__name__)

Entry = tuple[Record, Event, RunsFact]

POLL_SECONDS = 1.0
"""How long one read waits for something to come. No setting: whatever comes ends the wait, and a shorter one only asks more
often whether the assignment has changed."""

STANDS_BY_AFTER = 15
"""So many waits of an answered member without any partition mean that there is none for it."""


class Snapshots(Protocol):
    """Where a shard's past is: the read model."""

    async def snapshot(self, partitions: Collection[int]) -> Mapping[int, Snapshot]:
        """State and checkpoint of these partitions of `upshot.runs`, all as of one instant."""
        ...

    async def lookup(
        self,
        questions: Questions,
        *,
        partitions: Collection[int],
        tenant_ids: Collection[str],
        below: Mapping[int, int] | None = None,
    ) -> Known:
        """What is known of ids that memory has let go. `below`: of matches and runs only those that were recorded below
        these offsets. Raises `ReadModelWentBack` where it lost what it once held."""
        ...


class Shard:
    """One partition: its fold, how far it has got, and whether this process may act on it."""

    def __init__(self, partition: int, membership: Membership) -> None:
        self.partition = partition
        self.fold = RunsFold()
        self.next = 0
        self.level = False
        self.owned = True
        self.halted: str | None = None
        self._membership = membership
        self._level_at = 0
        self._forgettable: list[tuple[list[str], list[str], list[CommandKey]]] = []

    @property
    def may_act(self) -> bool:
        return self.owned and self.level and self._membership.alive()

    def written(self, run_ids: list[str], match_ids: list[str], commands: list[CommandKey]) -> None:
        """The projector's checkpoint has passed these. Let go before the next batch, never in the middle of one: a
        lookup that is under way did not ask for what memory held."""
        self._forgettable.append((run_ids, match_ids, commands))

    @property
    def level_at(self) -> int:
        """The offset at which it is restored."""
        return self._level_at

    def begin(self, snapshot: Snapshot, end: int) -> None:
        """Take over the snapshot; level once `end` is reached."""
        self.fold.restore(
            snapshot.runs, snapshot.activities, snapshot.usage, snapshot.now or self.fold.now, snapshot.windows
        )
        self.next, self._level_at = snapshot.next, end

    def reach_level(self) -> bool:
        """True once, when the restore is over."""
        if self.level or self.next < self._level_at:
            return False
        self.level = True
        return True

    def forget_written(self) -> list[str]:
        """Let go; returns the matches among it."""
        match_ids = [match_id for _, each, _ in self._forgettable for match_id in each]
        for each in self._forgettable:
            self.fold.forget(*each)
        self._forgettable.clear()
        return match_ids


class Actor(Protocol):
    """A service on top of the fold. All three are called from the event loop and must be quick."""

    def restored(self, shard: Shard) -> None:
        """The shard is level: act on whatever its state says is due."""
        ...

    def folded(self, shard: Shard, delta: RunsDelta) -> None:
        """More was folded; also while the shard is not level yet."""
        ...

    def revoked(self, shard: Shard) -> None:
        """Stop acting on it now."""
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
        self._settings = settings or RunsSettings()
        self._membership: Membership | None = None
        self._reader: Reader = bus.reader(RUNS)
        self.shards: dict[int, Shard] = {}
        self._to_restore: set[int] = set()
        self._foresight = Foresight(snapshots)
        self._may_read = may_read if may_read is not None else _always()
        self._projected_elsewhere = projected_elsewhere
        self._patient = patient
        self._former = former
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
        level = {partition: shard for partition, shard in self.shards.items() if shard.level and shard.owned}
        doubtful = {
            level[partition]: set(ids) - self._surely_new(level[partition], ids)
            for partition, ids in matches.items()
            if partition in level
        }
        self._foresight.ask({shard: ids for shard, ids in doubtful.items() if ids})

    async def run(self) -> None:
        """Join, follow, act; until cancelled. Leaves the group on the way out."""
        self._membership = await self._bus.join(self._group, RUNS, member_id=self._member_id)
        changes: asyncio.Queue[Assignment] = asyncio.Queue()
        beside = [asyncio.create_task(self._watch(self._membership, changes), name="runs-assignment")]
        if self._former is not None:
            beside.append(asyncio.create_task(self._former.run(), name="runs-former-matches"))
        try:
            while True:
                await self._take_over(self._membership, changes)
                await self._follow_once()
                for each in beside:
                    if each.done():
                        each.result()
        finally:
            for each in beside:
                each.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
            for shard in self.shards.values():
                self._revoke(shard)
            await self._foresight.close()
            await self._membership.leave()
            await self._reader.close()

    async def _watch(self, membership: Membership, changes: asyncio.Queue[Assignment]) -> None:
        """Stops acting at once; restoring is left to the loop."""
        without_news = 0
        while True:
            change = await membership.next_assignment(timeout_seconds=POLL_SECONDS)
            if change is None:
                without_news = without_news + 1 if membership.alive() else 0
                self.assigned = self.assigned or without_news >= STANDS_BY_AFTER
                continue
            for partition in change.revoked:
                shard = self.shards.pop(partition, None)
                if shard is not None:
                    self._revoke(shard)
            membership.release()
            changes.put_nowait(change)

    def _revoke(self, shard: Shard) -> None:
        shard.owned = False
        for actor in self._actors:
            actor.revoked(shard)

    async def _take_over(self, membership: Membership, changes: asyncio.Queue[Assignment]) -> None:
        # Without partitions there is nothing to poll: wait here instead of spinning.
        again, self._to_restore = sorted(self._to_restore & self.shards.keys()), set()
        if again:
            for partition in again:
                del self.shards[partition]
            await self._restore([each for each in again if each in membership.assignment.partitions], membership)
            self._read_on()
        waits = not self.shards
        while waits or not changes.empty():
            change = await changes.get()
            waits = False
            wanted = sorted(each for each in change.assigned if each in membership.assignment.partitions)
            if wanted:
                await self._restore(wanted, membership)
            self._read_on()
        self.assigned = True

    async def _restore(self, partitions: Sequence[int], membership: Membership) -> None:
        while partitions:
            try:
                snapshots = await self._snapshots.snapshot(partitions)
                ends = await self._bus.watermarks(RUNS, partitions)
                break
            except TransientError as error:
                log.warning("cannot restore partitions %s just now, trying again: %s", partitions, error)
                await asyncio.sleep(self._settings.retry_seconds)
        for partition in partitions:
            if partition not in membership.assignment.partitions:
                continue  # taken away while its snapshot was on its way
            shard = Shard(partition, membership)
            shard.begin(snapshots[partition], ends[partition].high)
            self.shards[partition] = shard
            if self._former is not None:
                self._former.restored(shard, shard.next)
            if shard.next < ends[partition].low:
                deleted = f"the log begins at {ends[partition].low}, what came before was deleted"
                self._halt(shard, shard.next, deleted, "Restore it, or a read model that is further.")
                continue
            self._announce_level(shard)

    async def _follow_once(self) -> None:
        await self._may_read.wait()
        try:
            batches = await self._reader.poll(
                timeout_seconds=POLL_SECONDS, records_max=self._settings.batch_records_max
            )
        except PartitionUnreadable as error:
            for partition in error.partitions & self.shards.keys():
                self.shards[partition].halted = str(error)
            log.critical("%s", error)
            self._read_on()
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
        known = await self._look_up(decoded)
        if known is None:
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

    async def _look_up(self, decoded: Mapping[int, Sequence[Entry]]) -> Known | None:
        """One question for all partitions. None: the read model has gone back behind what some fold has let go, and all
        of them are restored, so that no batch is folded without its answers."""
        questions = Questions()
        tenant_ids: set[str] = set()
        foreseen: set[str] = set()
        folded_to: dict[int, int] = {}
        asked_at: dict[CommandKey, datetime] = {}
        for partition, entries in decoded.items():
            shard = self.shards.get(partition)
            if shard is None:
                continue
            folded_to[partition] = shard.next
            self._forgotten(shard.forget_written())
            asked = Questions()
            shard.fold.ask(asked, ((event.tenant_id, fact) for _, event, fact in entries))
            asked.match_ids -= self._surely_new(shard, asked.match_ids)
            answered, known = await self._foresight.answer(shard, asked.match_ids)
            foreseen |= known
            questions.match_ids |= asked.match_ids - answered
            questions.run_ids |= asked.run_ids
            questions.commands |= asked.commands
            asked_at.update(dict.fromkeys(asked.commands, shard.fold.now))
            tenant_ids.update(event.tenant_id for _, event, _ in entries)
        while questions:
            try:
                if not self._projected_elsewhere:
                    found = await self._snapshots.lookup(questions, partitions=list(decoded), tenant_ids=tenant_ids)
                    return replace(found, match_ids=found.match_ids | foreseen)
                found = await self._snapshots.lookup(
                    questions, partitions=list(decoded), tenant_ids=tenant_ids, below=folded_to
                )
                return replace(found, verdicts=_decided_before(asked_at, found.verdicts))
            except ReadModelWentBack as error:
                log.warning("%s", error)
                for partition in decoded:
                    await self.restore_again(partition)
                return None
            except TransientError as error:
                log.warning("the read model does not answer; nothing is admitted until it does: %s", error)
                await asyncio.sleep(self._settings.retry_seconds)
        return Known(match_ids=frozenset(foreseen))

    def _forgotten(self, match_ids: Collection[str]) -> None:
        self._foresight.forgotten(match_ids)
        if self._former is not None:
            self._former.forgotten(match_ids)

    def _surely_new(self, shard: Shard, match_ids: Collection[str]) -> set[str]:
        return self._former.surely_new(shard, match_ids) if self._former is not None else set()

    def _fold(self, shard: Shard, entries: Sequence[Entry], known: Known, end: int) -> None:
        delta = RunsDelta(partition=shard.partition, start=shard.next, end=shard.next, now=shard.fold.now)
        for record, event, fact in entries:
            folded = shard.fold.apply(event, fact, codec.recorded_at(record), record.offset, known)
            delta.include(folded, shard.fold, record.offset + 1)
        delta.end = max(delta.end, end)
        shard.next = delta.end
        for actor in self._actors:
            actor.folded(shard, delta)
        self._announce_level(shard)

    def _announce_level(self, shard: Shard) -> None:
        if shard.reach_level():
            for actor in self._actors:
                actor.restored(shard)

    def _read_on(self) -> None:
        self._reader.assign({shard.partition: shard.next for shard in self.shards.values() if shard.halted is None})

    def _halt(self, shard: Shard, offset: int, reason: str, remedy: str = "Update this process.") -> None:
        shard.halted = f"{RUNS}/{shard.partition} stands still at offset {offset}: {reason}. {remedy}"
        log.critical("%s", shard.halted)
        self._read_on()


def _decided_before(
    asked_at: Mapping[CommandKey, datetime], verdicts: Mapping[CommandKey, Verdict]
) -> dict[CommandKey, Verdict]:
    """Without the verdicts on what is only being folded here: a row of a verdict names no offset, but a time. One of the same
    instant is left out too: what the fold then does again, the state of its run already rules out."""
    return {command: each for command, each in verdicts.items() if each.decided_at < asked_at[command]}


def _always() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event
