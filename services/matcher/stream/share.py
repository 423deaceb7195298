"""The partitions that Kafka's group has assigned to this process, as the matcher's core sees them; in the main loop, no I/O.

Kafka's client rebalances eagerly: every member gives up everything and is given it back, or not. A partition that comes back in
the very next generation cannot have been another's, so what is remembered of it stays; after a gap it is restored.
Guarantee: nothing is acted on from the moment that a rebalance begins until its outcome is taken over. Each partition is handled
in order and without a gap, whatever becomes of what was handed over: carriers are numbered by the epoch that they were fetched
in, each says which offset it follows, and where one is missing a new epoch begins, which fetches again what is not handled.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from shared.bus.port import Assignment, Record

_log = logging.getLogger(__name__)

RETRY_SECONDS = 10.0
"""How soon a partition that cannot be read is tried again: somebody may have mended it."""

_NOBODY = Assignment(generation=0, partitions=frozenset(), assigned=frozenset(), revoked=frozenset())


@dataclass(frozen=True, slots=True)
class Carrier:
    """A partition's records, in order and not empty, as one message of Faust's; fetched in `epoch`. `follows`: the offset after
    the last record that was handed over, or handled, before them."""

    epoch: int
    partition: int
    follows: int
    records: Sequence[Record]


@dataclass(frozen=True, slots=True)
class Fetched:
    """What one fetch brought, where it `began`, and the position of each partition after it: behind the last record, and behind
    transaction markers and aborted records that follow it."""

    began: Mapping[int, int]
    records: Mapping[int, Sequence[Record]]
    positions: Mapping[int, int]


class Committer(Protocol):
    """The group's coordinator, as reached through the consumer."""

    async def commit_offsets(self, offsets: Mapping[int, int], *, generation: int) -> None:
        """Raises `StaleGenerationError`, or `TransientError` while it is away."""
        ...


class Share:
    """A port's `Membership`, and where its partitions are read."""

    def __init__(
        self,
        *,
        session_timeout_seconds: float,
        monotonic: Callable[[], float],
        committed: Callable[[], Awaitable[Mapping[int, int]]],
    ) -> None:
        """`committed`: asks for the group's committed offsets, and raises `TransientError` where nobody knows them just now."""
        self._session_timeout_seconds = session_timeout_seconds
        self._monotonic = monotonic
        self._committed = committed
        self._heartbeat_at = monotonic()
        self._committer: Committer | None = None
        self._taken = _NOBODY
        self._newest = _NOBODY.partitions
        self._generation = 0
        self._held = _NOBODY.partitions  # of what was taken over, never another's since
        self._rebalancing = False
        self._settled = False
        self._closed = False
        self._epoch = 0
        self._changed = asyncio.Event()
        self._handled: dict[int, int] = {}  # the offset after the last one matched, of partitions that are read
        self._next: dict[int, int] = {}  # where the next fetch begins
        self._halted: dict[int, str] = {}
        self._halted_until: dict[int, float] = {}
        self._given: dict[int, int] = {}  # the offset after the last record handed over in this epoch

    # Told by the consumer.

    def connect(self, committer: Committer) -> None:
        """Commits go through there."""
        self._committer = committer

    def heard(self, sent_at: float) -> None:
        """A heartbeat that was sent then was answered. From any thread."""
        self._heartbeat_at = sent_at

    def heard_now(self) -> None:
        """The group has answered just now."""
        self._heartbeat_at = self._monotonic()

    def begin_rebalance(self) -> None:
        """Nothing is this process's own until further notice."""
        self._rebalancing = True
        self._settled = False

    def end_rebalance(self, partitions: Collection[int], generation: int, *, finished: bool) -> None:
        """These are. `finished`: what was in hand when the rebalance began is appended, or was not begun."""
        self._rebalancing = False
        partitions = frozenset(partitions)
        unbroken = finished and generation == self._generation + 1
        self._held = self._held & partitions if unbroken else frozenset()
        self._generation, self._newest = generation, partitions
        self._changed.set()

    @property
    def epoch(self) -> int:
        """In which fetching goes on now. Not the group's generation: a member may be given the same one twice."""
        return self._epoch

    def wanted(self, among: Collection[int]) -> dict[int, int]:
        """What may be fetched now, and from where."""
        if not self._settled or self._closed:
            return {}
        now = self._monotonic()
        return {
            partition: at
            for partition, at in self._next.items()
            if partition in among and self._halted_until.get(partition, now) <= now
        }

    def halt(self, partitions: Collection[int], why: str) -> None:
        """These cannot be read just now; the others are. They are tried again before long."""
        for partition in self._handled.keys() & set(partitions):
            if self._halted.get(partition) != why:
                _log.critical("nothing of partition %s is matched: %s", partition, why)
            self._halted[partition] = why
            self._halted_until[partition] = self._monotonic() + RETRY_SECONDS

    def accept(self, fetched: Fetched, epoch: int) -> list[Carrier]:
        """What is to be handed over of a fetch that began in `epoch`. What is not is fetched again."""
        if not self._settled or epoch != self._epoch:
            return []
        carriers = []
        for partition, position in fetched.positions.items():
            if partition not in self._next or self._next[partition] != fetched.began.get(partition):
                continue
            self._next[partition] = position
            records = fetched.records.get(partition)
            if records or not fetched.records:  # else it may not have been its turn
                self._halted.pop(partition, None)
            if records:
                follows = self._given.get(partition, self._handled[partition])
                self._given[partition] = records[-1].offset + 1
                carriers.append(Carrier(epoch=epoch, partition=partition, follows=follows, records=records))
        return carriers

    # Asked by the shell.

    def take(self, carriers: Sequence[Carrier]) -> dict[int, list[Record]]:
        """What may be handled now of what has come, by partition. Nothing where a carrier is missing between what is handled
        and what has come: then all of it is fetched again."""
        batches: dict[int, list[Record]] = {}
        reached = dict(self._handled)
        for each in carriers:
            if not self._settled or each.epoch != self._epoch or each.partition not in reached:
                continue
            if each.follows != reached[each.partition]:
                self._begin_again_at({each.partition: reached[each.partition]})
                return {}
            batches.setdefault(each.partition, []).extend(each.records)
            reached[each.partition] = each.records[-1].offset + 1
        return batches

    def handled(self, next_offsets: Mapping[int, int], epoch: int) -> None:
        """All below is matched, and durably so; it was taken in `epoch`."""
        for partition, next_offset in next_offsets.items():
            if partition in self._handled and epoch == self._epoch:
                self._handled[partition] = next_offset

    @property
    def halted(self) -> Mapping[int, str]:
        """Partitions that cannot be read, and why."""
        return dict(self._halted)

    @property
    def awaited(self) -> Mapping[int, int]:
        """What was handed over and is not handled yet: the offset after it, by partition."""
        if not self._settled:
            return {}
        return {partition: at for partition, at in self._given.items() if at > self._handled[partition]}

    def begin_again(self) -> None:
        """What is awaited will never come: it is fetched again."""
        self._begin_again_at({partition: self._handled[partition] for partition in self.awaited})

    def close(self) -> None:
        """Fetch nothing any more; what was fetched is let go."""
        self._closed = True
        self._settled = False

    # A port's `Reader`, without the fetching.

    def assign(self, positions: Mapping[int, int]) -> None:
        """Read exactly these partitions from now on. Those that were read already go on where they are."""
        for known in (self._handled, self._next, self._given):
            for partition in known.keys() - positions.keys():
                del known[partition]
        self._halted = {partition: why for partition, why in self._halted.items() if partition in positions}
        self._halted_until = {partition: at for partition, at in self._halted_until.items() if partition in positions}
        for partition, at in positions.items():
            if partition not in self._handled:
                self._handled[partition] = self._next[partition] = at

    def positions(self) -> Mapping[int, int]:
        """The next offset of each partition that is read: with nothing in hand, where the next fetch begins."""
        return {
            partition: self._next[partition] if self._given.get(partition, 0) <= at else at
            for partition, at in self._handled.items()
        }

    # A port's `Membership`.

    @property
    def assignment(self) -> Assignment:
        if self._settled:
            return self._taken
        return Assignment(
            generation=self._taken.generation, partitions=frozenset(), assigned=frozenset(), revoked=frozenset()
        )

    async def next_assignment(self, *, timeout_seconds: float) -> Assignment | None:
        """The outcome of the last rebalance. `assigned` are those that were another's, or may have been, meanwhile."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._changed.wait()
        except TimeoutError:
            return None
        self._changed.clear()
        self._taken = Assignment(
            generation=self._generation,
            partitions=self._newest,
            assigned=self._newest - self._held,
            revoked=self._taken.partitions - self._held,
        )
        # What was fetched and not handled went with the rebalance.
        self._handled = {partition: at for partition, at in self._handled.items() if partition in self._held}
        self._begin_epoch()
        self._held = self._newest
        self._settled = not (self._closed or self._rebalancing)  # the next one may have begun meanwhile
        return self._taken

    def release(self) -> None:
        """A rebalance goes on only once nothing is in hand any more: there is nothing left to release."""

    def alive(self) -> bool:
        return self._monotonic() - self._heartbeat_at < self._session_timeout_seconds

    async def committed(self) -> Mapping[int, int]:
        found = await self._committed()
        return {partition: at for partition, at in found.items() if partition in self._newest}

    async def commit(self, offsets: Mapping[int, int], *, generation: int) -> None:
        if self._committer is None:
            raise RuntimeError("the consumer is not there yet")
        await self._committer.commit_offsets(offsets, generation=generation)

    async def leave(self) -> None:
        """The group is left with the consumer."""
        self.close()

    def _begin_again_at(self, missing: Mapping[int, int]) -> None:
        _log.warning(
            "events were fetched, but not delivered by Faust; reading again from (by partition) %s", dict(missing)
        )
        self._begin_epoch()

    def _begin_epoch(self) -> None:
        self._epoch += 1
        self._next = dict(self._handled)
        self._given = {}
