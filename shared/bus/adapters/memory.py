"""The bus in one process's memory: for tests and nothing else. It keeps no record beyond the process.

It obeys the port's rules through the same contract suite as the durable adapters. What it cannot do (another process, a
restart, a member frozen past its session timeout) is marked in that suite.
Next: `shared/bus/groups.py`, the assignment that all adapters share.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from shared.bus.groups import Share, plan
from shared.bus.partitioner import partition_of
from shared.bus.port import Assignment, NewRecord, Position, Record, RecordTooLarge, Watermarks
from shared.bus.sizes import RECORD_BYTES_MAX_DEFAULT, record_bytes
from shared.bus.topics import PARTITION_COUNT_DEFAULT
from shared.domain.clock import Clock
from shared.domain.errors import StaleGenerationError, TransientError


class MemoryBus:
    """A `Bus` for one event loop."""

    def __init__(
        self,
        clock: Clock,
        *,
        partition_count: int = PARTITION_COUNT_DEFAULT,
        record_bytes_max: int = RECORD_BYTES_MAX_DEFAULT,
    ) -> None:
        self._clock = clock
        self._partition_count = partition_count
        self._record_bytes_max = record_bytes_max
        self._logs: dict[tuple[str, int], list[Record]] = {}
        self._groups: dict[tuple[str, str], _Group] = {}
        self._changed = asyncio.Event()
        self._closed = False

    @property
    def partition_count(self) -> int:
        return self._partition_count

    @property
    def record_bytes_max(self) -> int:
        return self._record_bytes_max

    async def append(self, records: Sequence[NewRecord]) -> Sequence[Position]:
        if self._closed:
            raise TransientError("the bus is closed")
        for record in records:
            if record_bytes(record) > self._record_bytes_max:
                raise RecordTooLarge(f"a record of more than {self._record_bytes_max} bytes")
        now = self._clock.now()
        positions: list[Position] = []
        for record in records:
            partition = partition_of(record.key, self._partition_count)
            log = self.log(record.topic, partition)
            recorded_at = max(now, log[-1].recorded_at) if log else now
            positions.append(Position(record.topic, partition, len(log), recorded_at))
            log.append(
                Record(
                    topic=record.topic,
                    partition=partition,
                    offset=len(log),
                    recorded_at=recorded_at,
                    key=record.key,
                    headers=record.headers,
                    value=record.value,
                    origin=record.origin,
                )
            )
        self._wake()
        await asyncio.sleep(0)  # others get their turn, as with every real append
        return positions

    def reader(self, topic: str) -> "MemoryReader":
        return MemoryReader(self, topic)

    async def join(self, group: str, topic: str, *, member_id: str) -> "MemoryMembership":
        shares = self._groups.get((group, topic))
        if shares is None:
            shares = self._groups[group, topic] = _Group(self._partition_count, self._wake)
        return shares.join(member_id, self)

    async def committed(self, group: str, topic: str) -> Mapping[int, int]:
        shares = self._groups.get((group, topic))
        return dict(shares.committed) if shares is not None else {}

    async def watermarks(
        self,
        topic: str,
        partitions: Sequence[int] | None = None,
        *,
        as_of: Mapping[int, Sequence[Record]] | None = None,
    ) -> Mapping[int, Watermarks]:
        if as_of is not None:
            partitions = list(as_of)
        wanted = range(self._partition_count) if partitions is None else partitions
        return {partition: Watermarks(0, len(self.log(topic, partition))) for partition in wanted}

    async def close(self) -> None:
        self._closed = True
        for group in self._groups.values():
            group.remove_all()
        self._wake()

    def log(self, topic: str, partition: int) -> list[Record]:
        """The records of a partition; tests may look."""
        return self._logs.setdefault((topic, partition), [])

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def wait_for_change(self, timeout_seconds: float) -> bool:
        """False once `timeout_seconds` have passed without any change to the bus."""
        try:
            async with asyncio.timeout(timeout_seconds):  # wait_for of Python 3.11 can swallow a cancellation
                await self._changed.wait()
        except TimeoutError:
            return False
        return True


class MemoryReader:
    """A `Reader` over the lists of a `MemoryBus`."""

    def __init__(self, bus: MemoryBus, topic: str) -> None:
        self._bus = bus
        self._topic = topic
        self._positions: dict[int, int] = {}
        self._turn = 0

    def assign(self, positions: Mapping[int, int]) -> None:
        self._positions = {partition: max(0, offset) for partition, offset in positions.items()}

    def positions(self) -> Mapping[int, int]:
        return dict(self._positions)

    async def poll(self, *, timeout_seconds: float, records_max: int = 1000) -> Mapping[int, Sequence[Record]]:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_seconds
        await asyncio.sleep(0)  # others get their turn, as with every real read; nothing is taken before it
        while not (found := self._take(records_max)):
            if not await self._bus.wait_for_change(max(0.0, deadline - loop.time())):
                return self._take(records_max)
        return found

    async def close(self) -> None:
        self._positions = {}

    def _take(self, records_max: int) -> Mapping[int, Sequence[Record]]:
        waiting = [p for p, at in self._positions.items() if at < len(self._bus.log(self._topic, p))]
        self._turn += 1
        turn = self._turn % len(waiting) if waiting else 0
        found: dict[int, Sequence[Record]] = {}
        left = records_max
        for index, partition in enumerate(waiting[turn:] + waiting[:turn]):
            quota = -(-left // (len(waiting) - index))
            at = self._positions[partition]
            if records := self._bus.log(self._topic, partition)[at : at + quota]:
                found[partition] = records
                self._positions[partition] = at + len(records)
                left -= len(records)
        return found


class MemoryMembership:
    """A `Membership` in a `MemoryBus`; it lives until it leaves, is replaced, or the bus closes."""

    def __init__(self, group: "_Group", member_id: str, bus: MemoryBus) -> None:
        self._group = group
        self._member_id = member_id
        self._bus = bus
        self._assignment = Assignment(0, frozenset(), frozenset(), frozenset())
        self._held: dict[int, int] = {}

    @property
    def assignment(self) -> Assignment:
        return self._assignment

    async def next_assignment(self, *, timeout_seconds: float) -> Assignment | None:
        self.release()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_seconds
        while self._owned() == self._held:
            if not await self._bus.wait_for_change(max(0.0, deadline - loop.time())):
                break
        owned = self._owned()
        if owned == self._held:
            return None
        self._assignment = Assignment.between(self._held, owned, self._group.generation)
        self._held = owned
        return self._assignment

    def release(self) -> None:
        self._group.release(self, self._assignment.revoked - self._assignment.partitions)

    def alive(self) -> bool:
        return self._group.members.get(self._member_id) is self

    async def committed(self) -> Mapping[int, int]:
        return {p: offset for p, offset in self._group.committed.items() if p in self._assignment.partitions}

    async def commit(self, offsets: Mapping[int, int], *, generation: int) -> None:
        if not self.alive():
            raise StaleGenerationError(f"{self._member_id} is no member any more")
        for partition in offsets:
            share = self._group.shares[partition]
            if share.owner != self._member_id or share.since > generation:
                raise StaleGenerationError(f"partition {partition} is not {self._member_id}'s under {generation}")
        self._group.committed.update(offsets)

    async def leave(self) -> None:
        self._group.remove(self)

    def holds(self, partition: int) -> bool:
        """Whether the caller was told that it owns the partition."""
        return partition in self._held

    def _owned(self) -> dict[int, int]:
        return self._group.owned(self._member_id) if self.alive() else {}


class _Group:
    def __init__(self, partition_count: int, wake: Callable[[], None]) -> None:
        self.generation = 0
        self.members: dict[str, MemoryMembership] = {}
        self.shares = {partition: Share(None, 0, False) for partition in range(partition_count)}
        self.committed: dict[int, int] = {}
        self._wake = wake

    def join(self, member_id: str, bus: MemoryBus) -> MemoryMembership:
        if former := self.members.get(member_id):
            self.remove(former)
        member = self.members[member_id] = MemoryMembership(self, member_id, bus)
        self._rebalance()
        return member

    def remove(self, member: MemoryMembership) -> None:
        if self.members.get(member._member_id) is not member:
            return
        del self.members[member._member_id]
        self._rebalance()

    def remove_all(self) -> None:
        self.members.clear()
        self._rebalance()

    def release(self, member: MemoryMembership, partitions: frozenset[int]) -> None:
        released = [p for p in partitions if self.shares[p].revoking and self.shares[p].owner == member._member_id]
        for partition in released:
            self.shares[partition] = Share(None, self.shares[partition].since, False)
        if released:
            self._rebalance()

    def owned(self, member_id: str) -> dict[int, int]:
        return {p: share.since for p, share in self.shares.items() if share.owner == member_id and not share.revoking}

    def _rebalance(self) -> None:
        for partition, share in self.shares.items():
            if share.owner is not None and share.owner not in self.members:
                self.shares[partition] = Share(None, share.since, False)
        self.generation += 1
        while step := plan(self.members, self.shares):
            for partition, member in step.assign.items():
                self.shares[partition] = Share(member, self.generation, False)
            for partition in step.revoke:
                share = self.shares[partition]
                assert share.owner is not None  # only what somebody owns is asked back
                told = self.members[share.owner].holds(partition)
                self.shares[partition] = Share(share.owner if told else None, share.since, told)
        self._wake()
