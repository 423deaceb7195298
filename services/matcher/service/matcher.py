"""The loop over the bus port: a member of the group `matcher` on `upshot.events`."""

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping, Sequence

from services.matcher.service.due import DueWaits
from services.matcher.service.firing import Firing
from services.matcher.service.matching import Matching, Produced
from services.matcher.service.remembering import WindowSnapshots, restore_memories
from services.matcher.settings import MatcherSettings
from shared.bus.port import Bus, Membership, NewRecord, Position, Reader, Record
from shared.bus.topics import EVENTS
from shared.domain.clock import Clock
from shared.domain.errors import StaleGenerationError, TransientError
from shared.domain.records import EventMatched
from shared.runtime.definitions import DefinitionsFollower, PartitionHalted
from shared.runtime.progress import ProjectionProgress

log = logging.getLogger(__name__)

Foresee = Callable[[Mapping[int, Collection[str]]], None]
"""Told of match ids by partition."""

POLL_SECONDS = 1.0
"""How long one read waits for events. No setting: what comes ends the wait."""


class Matcher:
    """Matches the events of the partitions that this process owns, until cancelled."""

    def __init__(
        self,
        bus: Bus,
        definitions: DefinitionsFollower,
        matching: Matching,
        settings: MatcherSettings,
        *,
        member_id: str,
        snapshots: WindowSnapshots,
        clock: Clock,
        progress: ProjectionProgress | None = None,
        foresee: Foresee | None = None,
    ) -> None:
        """`progress`: told how far events are matched, for whoever waits in this process. `foresee`: told of matches while
        they are being appended (`RunsFollower.foresee`, where one is in this process)."""
        self._bus = bus
        self._progress = progress
        self._definitions = definitions
        self._matching = matching
        self._settings = settings
        self._member_id = member_id
        self._snapshots = snapshots
        self._clock = clock
        self._due_waits = DueWaits(bus, matching, clock)
        self._firing = Firing(bus, matching.memories, clock)
        matching.listen(self._firing.put)
        self._foresee = foresee
        self._done: dict[int, int] = {}

    async def run(self) -> None:
        membership = await self._bus.join("matcher", EVENTS, member_id=self._member_id)
        reader = self._bus.reader(EVENTS)
        committer = asyncio.create_task(self._commit_now_and_then(membership), name="matcher-commits")
        watcher = asyncio.create_task(self._watch(membership, reader), name="matcher-assignment")
        try:
            while True:
                for task in (committer, watcher):
                    if task.done():
                        task.result()
                await self._match_once(membership, reader)
        finally:
            for task in (committer, watcher):
                task.cancel()
            await asyncio.gather(committer, watcher, return_exceptions=True)
            await self._commit(membership)
            await membership.leave()
            await reader.close()

    async def _watch(self, membership: Membership, reader: Reader) -> None:
        while True:
            change = await membership.next_assignment(timeout_seconds=POLL_SECONDS)
            if change is None:
                continue
            kept = {each: at for each, at in reader.positions().items() if each in change.partitions - change.assigned}
            reader.assign(kept)
            for partition in change.revoked:
                self._done.pop(partition, None)
                self._matching.forget(partition)
            membership.release()
            if change.assigned:
                memories = await restore_memories(
                    self._bus, self._snapshots, change.assigned, retry_seconds=self._settings.retry_seconds
                )
                committed = await self._committed(membership)
                current = membership.assignment.partitions & memories.keys()
                for partition in change.assigned & current:
                    self._matching.remember(partition, memories[partition])
                    self._firing.take_over(partition)
                began = {each: committed.get(each, 0) for each in change.assigned if each in current}
                reader.assign({**reader.positions(), **began})

    async def _match_once(self, membership: Membership, reader: Reader) -> None:
        try:
            batches = await reader.poll(timeout_seconds=self._patience(), records_max=self._settings.batch_records_max)
        except TransientError as error:
            log.warning("events cannot be read just now, trying again: %s", error)
            await asyncio.sleep(self._settings.retry_seconds)
            return
        # Whatever was answered 201 before one of these events was sent is folded before that event is matched.
        batches = await self._understood(reader, batches)
        await self._handle(membership, batches)
        await self._act_on_what_is_due(membership, reader)
        if sum(map(len, batches.values())) >= self._settings.busy_records:
            # Under load a moment's wait lets the next batch grow: what a batch costs by itself is paid less often.
            await asyncio.sleep(self._settings.linger_seconds)

    def _patience(self) -> float:
        """How long to wait for events: until something else falls due."""
        due_at = min(
            (each for each in (self._due_waits.next_due(), self._firing.next_due()) if each is not None), default=None
        )
        if due_at is None:
            return POLL_SECONDS
        return min(max((due_at - self._clock.now()).total_seconds(), 0.0), POLL_SECONDS)

    async def _act_on_what_is_due(self, membership: Membership, reader: Reader) -> None:
        positions = reader.positions()
        owned = membership.assignment.partitions if membership.alive() else frozenset[int]()
        try:
            await self._firing.act(owned)
            await self._due_waits.act({each: at for each, at in positions.items() if each in owned})
        except TransientError as error:
            log.warning("what is due cannot be told just now, trying again: %s", error)
            await asyncio.sleep(self._settings.retry_seconds)

    async def _understood(
        self, reader: Reader, batches: Mapping[int, Sequence[Record]]
    ) -> Mapping[int, Sequence[Record]]:
        """The batches whose definitions are folded. The reader has moved past all of them: none may be let go, except where
        a partition stands still, and then nothing after it is read either, so that its offset stays."""
        while batches:
            try:
                await self._definitions.catch_up_as_of(batches)
                break
            except PartitionHalted:
                halted = self._definitions.halted
                batches = {partition: records for partition, records in batches.items() if partition not in halted}
                reader.assign({each: at for each, at in reader.positions().items() if each not in halted})
            except TransientError as error:
                log.warning("definitions cannot be read just now, trying again: %s", error)
                await asyncio.sleep(self._settings.retry_seconds)
        return batches

    async def _handle(self, membership: Membership, batches: Mapping[int, Sequence[Record]]) -> None:
        produced = Produced()
        match_ids: dict[int, list[str]] = {}
        done: dict[int, int] = {}
        for partition, records in batches.items():
            if not await self._may_act(membership, partition):
                continue  # whoever owns it now reads these records again
            led_to = self._matching.handle_batch(partition, records)
            match_ids[partition] = _match_ids(led_to.records)
            produced.extend(led_to)
            done[partition] = records[-1].offset + 1
        if produced.records:
            if self._foresee is not None:
                self._foresee(match_ids)
            positions = await self._append(produced.records)
            for index, (key, event_id) in produced.opened.items():
                self._matching.placed(key, event_id, positions[index])
        for partition, offset in done.items():
            if self._progress is not None:
                self._progress.advance(EVENTS, partition, offset)
            if partition in membership.assignment.partitions:
                self._done[partition] = offset

    async def _append(self, produced: Sequence[NewRecord]) -> Sequence[Position]:
        while True:
            try:
                return await self._bus.append(produced)
            except TransientError as error:
                log.warning("the log does not take matches just now, trying again: %s", error)
                await asyncio.sleep(self._settings.retry_seconds)

    async def _commit_now_and_then(self, membership: Membership) -> None:
        while True:
            await asyncio.sleep(self._settings.commit_interval_seconds)
            await self._commit(membership)

    async def _commit(self, membership: Membership) -> None:
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

    async def _may_act(self, membership: Membership, partition: int) -> bool:
        """Waits while heartbeats go unanswered: skipping records that are still this member's own would lose them."""
        while partition in membership.assignment.partitions:
            if membership.alive():
                return True
            await asyncio.sleep(self._settings.retry_seconds)
        return False

    async def _committed(self, membership: Membership) -> Mapping[int, int]:
        while True:
            try:
                return await membership.committed()
            except TransientError as error:
                log.warning("committed offsets cannot be read just now, trying again: %s", error)
                await asyncio.sleep(self._settings.retry_seconds)


def _match_ids(records: Sequence[NewRecord]) -> list[str]:
    return [each.origin.id for each in records if each.origin is not None and each.origin.type == EventMatched.TYPE]
