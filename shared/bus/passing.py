"""A bus, or a reader, that hands everything on to another: what wraps one states only what it does differently.

Next: `metered.py`, `seal.py`, `write_level.py`, which do.
"""

from collections.abc import Mapping, Sequence

from shared.bus.port import Bus, Membership, NewRecord, Position, Reader, Record, Watermarks


class PassingBus:
    """A `Bus` on another one."""

    def __init__(self, beneath: Bus) -> None:
        self.beneath = beneath

    @property
    def partition_count(self) -> int:
        return self.beneath.partition_count

    @property
    def record_bytes_max(self) -> int:
        return self.beneath.record_bytes_max

    async def append(self, records: Sequence[NewRecord]) -> Sequence[Position]:
        return await self.beneath.append(records)

    def reader(self, topic: str) -> Reader:
        return self.beneath.reader(topic)

    async def join(self, group: str, topic: str, *, member_id: str) -> Membership:
        return await self.beneath.join(group, topic, member_id=member_id)

    async def committed(self, group: str, topic: str) -> Mapping[int, int]:
        return await self.beneath.committed(group, topic)

    async def watermarks(
        self,
        topic: str,
        partitions: Sequence[int] | None = None,
        *,
        as_of: Mapping[int, Sequence[Record]] | None = None,
    ) -> Mapping[int, Watermarks]:
        return await self.beneath.watermarks(topic, partitions, as_of=as_of)

    async def close(self) -> None:
        await self.beneath.close()


class PassingReader:
    """A `Reader` on another one."""

    def __init__(self, beneath: Reader) -> None:
        self.beneath = beneath

    def assign(self, positions: Mapping[int, int]) -> None:
        self.beneath.assign(positions)

    def positions(self) -> Mapping[int, int]:
        return self.beneath.positions()

    async def poll(self, *, timeout_seconds: float, records_max: int = 1000) -> Mapping[int, Sequence[Record]]:
        return await self.beneath.poll(timeout_seconds=timeout_seconds, records_max=records_max)

    async def close(self) -> None:
        await self.beneath.close()
