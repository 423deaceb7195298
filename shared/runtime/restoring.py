"""How long a restore still takes: for /readyz, the metrics, and a line of the log now and then.

Guarantee: it only looks at the shards, and slows nothing down. Next: `shards.py`, which restores.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from shared.bus.topics import RUNS
from shared.domain.clock import Clock
from shared.runtime.shard import Shard

log = logging.getLogger(__name__)

TOLD_EVERY_SECONDS = 5.0
"""A line of the log each: a restore of minutes is to be followed, not to fill the disk."""
TOLD_PARTITIONS_MAX = 10
"""Of hundreds of partitions those that have most before them; the rest is in the metrics."""


@dataclass(frozen=True, slots=True)
class _Begun:
    shard: Shard
    at_seconds: float
    next: int


class RestoreProgress:
    """One a follower. Run it, or ask `sentences` when somebody wants to know."""

    def __init__(self, shards: Callable[[], Mapping[int, Shard]], clock: Clock) -> None:
        self._shards = shards
        self._clock = clock
        self._begun: dict[int, _Begun] = {}

    def remaining(self) -> dict[int, int]:
        """Records left, of each partition that is being restored."""
        now = self._clock.monotonic()
        found = {}
        for partition, shard in self._shards().items():
            if shard.level:
                self._begun.pop(partition, None)
                continue
            begun = self._begun.get(partition)
            if begun is None or begun.shard is not shard:
                self._begun[partition] = _Begun(shard, now, shard.next)
            found[partition] = max(0, shard.level_at - shard.next)
        return found

    def sentences(self) -> list[str]:
        """What is being restored, in all and by partition; nothing where all is level."""
        remaining = self.remaining()
        if not remaining:
            return []
        shards = self._shards()
        most = sorted(remaining, key=lambda partition: -remaining[partition])[:TOLD_PARTITIONS_MAX]
        total = f"{len(remaining)} of {len(shards)} partitions of {RUNS} are being restored"
        return [
            f"{total}: {_told(sum(remaining.values()), self._records_per_second(remaining))}",
            *(
                f"{RUNS}/{partition} is restored to offset {shards[partition].next} of {shards[partition].level_at}: "
                f"{_told(remaining[partition], self._records_per_second([partition]))}"
                for partition in most
            ),
        ]

    async def run(self) -> None:
        """Until cancelled: a line now and then, while something is being restored."""
        while True:
            await asyncio.sleep(TOLD_EVERY_SECONDS)
            for sentence in self.sentences()[:1]:
                log.info("%s", sentence)

    def _records_per_second(self, partitions: Mapping[int, int] | list[int]) -> float:
        now, shards, rate = self._clock.monotonic(), self._shards(), 0.0
        for partition in partitions:
            begun = self._begun[partition]
            if now > begun.at_seconds:
                rate += (shards[partition].next - begun.next) / (now - begun.at_seconds)
        return rate


def _told(records: int, records_per_second: float) -> str:
    left = f"{records} records to go"
    return f"{left}, about {max(1, round(records / records_per_second))} s" if records_per_second > 0 else left
