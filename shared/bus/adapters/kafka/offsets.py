"""Where partitions begin and end, asked of their leaders: also of empty ones, and up to the last *stable* offset. And how far
groups are, asked of their coordinators.

A record of a transaction that is still open is in nobody's hands yet; what readers cannot be given lies above `high`.
"""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence

from aiokafka.protocol.commit import OffsetFetchRequest
from aiokafka.protocol.offset import OffsetRequest

from shared.bus.adapters.kafka.answers import NOT_COORDINATING, Answer, judge
from shared.bus.adapters.kafka.link import Link
from shared.bus.port import Watermarks
from shared.domain.errors import TransientError

READ_COMMITTED = 1
_EARLIEST, _LATEST = -2, -1
_PAUSE_SECONDS = 0.05


class Offsets:
    """Asks over a link that no long read occupies."""

    def __init__(self, link: Link, timeout_seconds: float) -> None:
        self._link = link
        self._timeout_seconds = timeout_seconds
        self._lows: dict[tuple[str, int], int] = {}  # as they were told last

    async def ends(self, topic: str, partitions: Sequence[int]) -> Mapping[int, Watermarks]:
        """As `watermarks`, with one question instead of two: `low` may be one of before, where one was ever told."""
        if any((topic, partition) not in self._lows for partition in partitions):
            return await self.watermarks(topic, partitions)
        try:
            async with asyncio.timeout(self._timeout_seconds):
                highs = await self._ask(topic, partitions, _LATEST)
        except TimeoutError:
            raise TransientError(f"no broker told in time where {topic} ends") from None
        return {each: Watermarks(min(self._lows[topic, each], highs[each]), highs[each]) for each in partitions}

    async def watermarks(self, topic: str, partitions: Sequence[int]) -> Mapping[int, Watermarks]:
        """Of these partitions of a topic (its full name), now. `TransientError`: a leader did not tell in time."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                lows, highs = await asyncio.gather(
                    self._ask(topic, partitions, _EARLIEST), self._ask(topic, partitions, _LATEST)
                )
        except TimeoutError:
            raise TransientError(f"no broker told in time where {topic} begins and ends") from None
        self._lows.update({(topic, partition): low for partition, low in lows.items()})
        return {partition: Watermarks(lows[partition], highs[partition]) for partition in partitions}

    async def committed(self, group_id: str, topic: str, partitions: Sequence[int]) -> Mapping[int, int]:
        """What a group has committed, of those partitions that have something. `TransientError`: nobody keeps it now."""
        node_id = await self._link.coordinator(group_id)
        response = await self._link.ask(node_id, OffsetFetchRequest(group_id, [(topic, list(partitions))]))
        codes = [response.error_code, *(code for _, rows in response.topics for _, _, _, code in rows)]
        if any(code in NOT_COORDINATING or judge(code, f"the group {group_id}") is Answer.AGAIN for code in codes):
            raise TransientError(f"the group {group_id} has no coordinator just now")
        return {partition: offset for _, rows in response.topics for partition, offset, _, _ in rows if offset >= 0}

    async def _ask(self, topic: str, partitions: Sequence[int], instant: int) -> dict[int, int]:
        found: dict[int, int] = {}
        while missing := [partition for partition in partitions if partition not in found]:
            try:
                by_leader: dict[int, list[int]] = defaultdict(list)
                for partition, node_id in (await self._link.leaders(topic, missing)).items():
                    by_leader[node_id].append(partition)
                answers = await asyncio.gather(
                    *(self._ask_one(node_id, topic, asked, instant) for node_id, asked in by_leader.items())
                )
            except TransientError:
                if self._link.closed:
                    raise
                await asyncio.sleep(_PAUSE_SECONDS)
                continue
            for answer in answers:
                found.update(answer)
            if len(found) < len(partitions):
                self._link.refresh()
                await asyncio.sleep(_PAUSE_SECONDS)
        return found

    async def _ask_one(self, node_id: int, topic: str, partitions: Sequence[int], instant: int) -> dict[int, int]:
        request = OffsetRequest(-1, READ_COMMITTED, [(topic, [(partition, instant) for partition in partitions])])
        response = await self._link.ask(node_id, request)
        found: dict[int, int] = {}
        for _, parts in response.topics:
            for partition, code, _, offset in parts:
                if judge(code, f"{topic}/{partition}") is Answer.DONE:
                    found[partition] = offset
        return found
