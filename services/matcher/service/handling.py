"""What both of the matcher's shells do with the partitions that are theirs: restore, match, append, act on what is due, commit.

A shell says whose the partitions are (`Membership`), where it reads (`Reading`), and hands over what it has read (`match`).
Guarantees: a batch is matched only once every workflow that was answered 201 before it is folded, and what its partition
remembers is restored; an offset is committed only after what its record led to is durable, in order. A shell calls `match` and
`act_on_what_is_due` one after the other, never at once.
Next: `matching.py` decides; `matcher.py` is the shell over the port's own loop, `../stream/` the one on Faust.
"""

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Protocol, TypeVar

from services.matcher.service.due import DueWaits
from services.matcher.service.firing import Firing
from services.matcher.service.matching import Matching, Produced
from services.matcher.service.remembering import Memory, WindowSnapshots, restore_memories
from services.matcher.service.unplaced import Unplaced
from services.matcher.settings import MatcherSettings
from shared.bus.port import Bus, Membership, NewRecord, Position, Record
from shared.bus.topics import EVENTS
from shared.domain.clock import Clock
from shared.domain.errors import StaleGenerationError, TransientError, UpshotError
from shared.domain.records import EventMatched
from shared.runtime.definitions import DefinitionsFollower, PartitionHalted
from shared.runtime.progress import ProjectionProgress

log = logging.getLogger(__name__)

T = TypeVar("T")

Foresee = Callable[[Mapping[int, Collection[str]]], None]
"""Told of match ids by partition."""

POLL_SECONDS = 1.0
"""How long one wait for events, or for a change of assignment, takes. No setting: what comes ends the wait."""

STANDS_BY_AFTER = 15
"""As in `shared/runtime/shards.py`: so many waits without any partition mean that there is none for this member."""


class Reading(Protocol):
    """Where a shell reads `upshot.events`: the part of a port's `Reader` that does not fetch."""

    def assign(self, positions: Mapping[int, int]) -> None:
        """Read exactly these partitions from now on, each from the given offset."""
        ...

    def positions(self) -> Mapping[int, int]:
        """The next offset to be handed over, per assigned partition."""
        ...


class Handling:
    """The partitions of one process, from assignment to commit."""

    def __init__(
        self,
        bus: Bus,
        definitions: DefinitionsFollower,
        matching: Matching,
        settings: MatcherSettings,
        *,
        snapshots: WindowSnapshots,
        clock: Clock,
        progress: ProjectionProgress | None = None,
        foresee: Foresee | None = None,
        unplaced: Unplaced | None = None,
    ) -> None:
        """`progress`: told how far events are matched, for whoever waits in this process. `foresee`: told of matches while
        they are being appended (`RunsFollower.foresee`, where one is in this process). `unplaced`: where to begin without a
        place; None: at the beginning, since no place is ever lost."""
        self._bus = bus
        self._progress = progress
        self._definitions = definitions
        self._matching = matching
        self._settings = settings
        self._snapshots = snapshots
        self._clock = clock
        self._due_waits = DueWaits(bus, matching, clock)
        self._firing = Firing(bus, matching.memories, clock)
        matching.listen(self._firing.put)
        self._foresee = foresee
        self._unplaced = unplaced
        self._done: dict[int, int] = {}
        self._restores: dict[int, asyncio.Task[None]] = {}
        self.assigned = False
        """Whether the group has ever said which partitions are this member's, or has had the time to."""

        self.halted: dict[int, str] = {}
        """Partitions whose memory cannot be restored, and why: nothing of them is matched."""

        self.owned: frozenset[int] = frozenset()
        """This member's partitions, as it was told last."""

    @property
    def restoring(self) -> frozenset[int]:
        """Partitions whose windows are being restored."""
        return frozenset(self._restores)

    async def follow(self, membership: Membership, reading: Reading) -> None:
        """Take over what is assigned, give up what is revoked, commit what is done; until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._commit_now_and_then(membership), name="matcher-commits")
            without_news = 0
            while True:
                change = await membership.next_assignment(timeout_seconds=POLL_SECONDS)
                if change is None:
                    without_news = without_news + 1 if membership.alive() else 0
                    self.assigned = self.assigned or without_news >= STANDS_BY_AFTER
                    continue
                for partition in change.revoked:
                    self._done.pop(partition, None)
                    self._restores.pop(partition, None)
                    self.halted.pop(partition, None)
                    self._matching.forget(partition)
                kept = change.partitions - change.assigned - change.revoked
                reading.assign({each: at for each, at in reading.positions().items() if each in kept})
                membership.release()
                new = change.partitions - reading.positions().keys() - self._restores.keys()
                if new:
                    restore = tasks.create_task(self._restore(membership, reading, new), name="matcher-restore")
                    self._restores.update(dict.fromkeys(new, restore))
                self.assigned, self.owned = True, change.partitions

    async def match(
        self, membership: Membership, reading: Reading, batches: Mapping[int, Sequence[Record]]
    ) -> Mapping[int, int]:
        """Match what was read, and append what it leads to. Returns, once that is durable, the offset after the last record
        of each partition; they are committed before long. Without partitions that are no longer this member's own, or were
        another's in between: those are read again from where they were committed."""
        held = {partition: self._matching.memories.get(partition) for partition in batches}
        # Whatever was answered 201 before one of these events was sent is folded before that event is matched.
        left = dict(await self._understood(reading, batches))
        done: dict[int, int] = {}
        while left:
            done |= await self._match_some(membership, left, held)
            if left:
                await asyncio.sleep(0)  # where it led to nothing, nobody had a turn
        return done

    async def _match_some(
        self, membership: Membership, left: dict[int, Sequence[Record]], held: Mapping[int, Memory | None]
    ) -> Mapping[int, int]:
        """As much of what is left, in all partitions, as leads to one append; usually all of it."""
        produced = Produced()
        match_ids: dict[int, list[str]] = {}
        done: dict[int, int] = {}
        for partition, records in list(left.items()):
            if not await self._may_act(membership, partition, held[partition]):
                del left[partition]  # whoever owns it now reads these records again
                continue
            led_to = self._matching.handle_batch(partition, records)
            match_ids[partition] = _match_ids(led_to.records)
            produced.extend(led_to)
            done[partition] = records[led_to.handled - 1].offset + 1
            if led_to.handled == len(records):
                del left[partition]
            else:
                left[partition] = records[led_to.handled :]
            if self._matching.is_much(produced):
                break
        generation = membership.assignment.generation
        if produced.records:
            if self._foresee is not None:
                self._foresee(match_ids)
            positions = await self._append(produced)
            for index, (key, event_id) in produced.opened.items():
                self._matching.placed(key, event_id, positions[index])
        for partition, offset in list(done.items()):
            if self._progress is not None:
                self._progress.advance(EVENTS, partition, offset)
            if not self._is_held(partition, held[partition]):
                # Whoever restored it meanwhile need not have seen what was just appended: it is to be matched again.
                del done[partition]
            elif partition in membership.assignment.partitions or membership.assignment.generation == generation:
                self.note_done(partition, offset)
        return done

    def note_done(self, partition: int, next_offset: int) -> None:
        """Everything below is matched, and durably so; committed before long."""
        self._done[partition] = next_offset

    def patience(self) -> float:
        """How long to wait for events: until something else falls due."""
        due_at = min(
            (each for each in (self._due_waits.next_due(), self._firing.next_due()) if each is not None), default=None
        )
        if due_at is None:
            return POLL_SECONDS
        return min(max((due_at - self._clock.now()).total_seconds(), 0.0), POLL_SECONDS)

    async def act_on_what_is_due(self, membership: Membership, reading: Reading) -> None:
        """Fire the schedules, and tell of the waits, that are due: not where definitions stand still, for what a workflow is by
        now is not known there."""
        positions = reading.positions()
        owned = membership.assignment.partitions if membership.alive() else frozenset[int]()
        owned = owned.difference(self._definitions.halted)
        try:
            await self._firing.act(owned)
            await self._due_waits.act({each: at for each, at in positions.items() if each in owned})
        except TransientError as error:
            log.warning("what is due cannot be told just now, trying again: %s", error)
            await asyncio.sleep(self._settings.retry_seconds)
        except UpshotError:  # the log refuses it, which should not be: events are matched all the same
            log.exception("what is due cannot be told, trying again")
            await asyncio.sleep(self._settings.retry_seconds)

    async def commit(self, membership: Membership) -> None:
        """Commit what is done by now."""
        offsets, self._done = self._done, {}
        if not offsets:
            return
        try:
            await membership.commit(offsets, generation=membership.assignment.generation)
        except StaleGenerationError:
            log.info("another member owns some of %s by now; it derives the same ids", sorted(offsets))
        except TransientError as error:
            log.warning("offsets are not committed just now, trying again: %s", error)
            self._done = {**offsets, **self._done}

    async def _commit_now_and_then(self, membership: Membership) -> None:
        while True:
            await asyncio.sleep(self._settings.commit_interval_seconds)
            await self.commit(membership)

    async def _restore(self, membership: Membership, reading: Reading, partitions: Collection[int]) -> None:
        memories, given_up = await restore_memories(
            self._bus, self._snapshots, partitions, retry_seconds=self._settings.retry_seconds
        )
        begins = await self._begins(membership, memories.keys(), given_up)
        task = asyncio.current_task()
        began = {}
        for partition in partitions:
            if self._restores.get(partition) is not task:
                continue  # another's meanwhile, or another's and then ours again
            del self._restores[partition]
            self.halted.pop(partition, None)
            if partition in begins:
                self._matching.remember(partition, memories[partition])
                self._firing.take_over(partition)
                began[partition] = begins[partition]
            else:
                self.halted[partition] = given_up[partition]
        reading.assign({**reading.positions(), **began})

    async def _begins(
        self, membership: Membership, partitions: Collection[int], given_up: dict[int, str]
    ) -> Mapping[int, int]:
        """Where to go on in each of these partitions; where nobody knows, it is given up."""
        begins = dict(await self._insist(membership.committed, "committed offsets cannot be read"))
        without_place = partitions - begins.keys()
        if self._unplaced is None:
            begins |= dict.fromkeys(without_place, 0)
        elif without_place:
            ask = functools.partial(self._unplaced.begins, without_place)
            found, gone = await self._insist(ask, "the first events of partitions cannot be read")
            begins |= found
            for partition, why in gone.items():
                log.critical("nothing of partition %s is matched: %s", partition, why)
                given_up[partition] = why
        return {partition: begins[partition] for partition in partitions if partition in begins}

    async def _insist(self, ask: Callable[[], Awaitable[T]], trouble: str) -> T:
        """The answer, however often it takes asking."""
        while True:
            try:
                return await ask()
            except TransientError as error:
                log.warning("%s just now, trying again: %s", trouble, error)
                await asyncio.sleep(self._settings.retry_seconds)

    async def _understood(
        self, reading: Reading, batches: Mapping[int, Sequence[Record]]
    ) -> Mapping[int, Sequence[Record]]:
        """The batches whose definitions are folded. They have been read: none may be let go, except where a partition
        stands still, and then nothing after it is read either, so that its offset stays."""
        while batches:
            try:
                await self._definitions.catch_up_as_of(batches)
                break
            except PartitionHalted:
                halted = self._definitions.halted
                batches = {partition: records for partition, records in batches.items() if partition not in halted}
                reading.assign({each: at for each, at in reading.positions().items() if each not in halted})
            except TransientError as error:
                log.warning("definitions cannot be read just now, trying again: %s", error)
                await asyncio.sleep(self._settings.retry_seconds)
        return batches

    async def _append(self, produced: Produced) -> Sequence[Position]:
        """One event alone can lead to more than goes into an append; what its record of matches begins comes first."""
        if not self._matching.is_much(produced):
            return await self._append_piece(produced.records)
        positions: list[Position] = []
        for piece in self._matching.pieces(produced.records):
            positions += await self._append_piece(piece)
        return positions

    async def _append_piece(self, records: Sequence[NewRecord]) -> Sequence[Position]:
        return await self._insist(lambda: self._bus.append(records), "the log does not take matches")

    async def _may_act(self, membership: Membership, partition: int, memory: Memory | None) -> bool:
        """Waits while heartbeats go unanswered: skipping records that are still this member's own would lose them."""
        while partition in membership.assignment.partitions and self._is_held(partition, memory):
            if membership.alive():
                return True
            await asyncio.sleep(self._settings.retry_seconds)
        return False

    def _is_held(self, partition: int, memory: Memory | None) -> bool:
        """Whether the partition has been this member's own ever since this was its memory: each restore makes another one."""
        return memory is not None and self._matching.memories.get(partition) is memory


def _match_ids(records: Sequence[NewRecord]) -> list[str]:
    return [each.origin.id for each in records if each.origin is not None and each.origin.type == EventMatched.TYPE]
