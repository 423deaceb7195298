"""Where to begin in a partition in which the group has no place: it is new there, or its place is gone.

Kafka drops the offsets of a group without members after `offsets.retention.minutes`, a week unless a broker says otherwise, and
whoever may delete a group can, too. To begin anew then would match all that ever happened against the workflows of today: refunds
of last year would send webhooks. Guarantee: what was recorded longer ago than that can be news is not matched by mistake; the
partition stands still and says so, and events stay where they are.
"""

from collections.abc import Collection
from datetime import datetime

from services.matcher.settings import MatcherSettings
from shared.bus import codec
from shared.bus.codec import UndecodableRecord
from shared.bus.port import Bus, Record, Watermarks
from shared.bus.ranges import BusRange, first_in
from shared.bus.topics import EVENTS
from shared.domain.clock import Clock
from shared.runtime.definitions import DefinitionsFollower


class Unplaced:
    """For the partitions of one process."""

    def __init__(self, bus: Bus, definitions: DefinitionsFollower, settings: MatcherSettings, clock: Clock) -> None:
        self._bus = bus
        self._definitions = definitions
        self._news_seconds_max = settings.unplaced_seconds_max
        self._clock = clock

    async def begins(self, partitions: Collection[int]) -> tuple[dict[int, int], dict[int, str]]:
        """The offset to begin at, of each partition where one may; of the others why not, and how to mend it. Raises
        TransientError."""
        begins: dict[int, int] = {}
        gone: dict[int, str] = {}
        for partition, marks in (await self._bus.watermarks(EVENTS, sorted(partitions))).items():
            age_seconds = await self._age_of_first(partition, marks) if self._has_workflows() else 0.0
            if age_seconds <= self._news_seconds_max:
                begins[partition] = marks.low
            else:
                gone[partition] = (
                    f"the group has no place in {EVENTS}/{partition}, whose first event was recorded "
                    f"{age_seconds / 86_400:.1f} days ago; to begin there could start runs about all of the past. Stop the "
                    "matchers and set the group's offsets (kafka-consumer-groups.sh --reset-offsets --to-datetime …), or "
                    "raise UPSHOT_MATCHER_UNPLACED_SECONDS_MAX to match it all"
                )
        return begins, gone

    def _has_workflows(self) -> bool:
        return any(tenant.workflows for tenant in self._definitions.definitions.tenants.values())

    async def _age_of_first(self, partition: int, marks: Watermarks) -> float:
        """In seconds; 0 where there is no record."""
        log = BusRange(self._bus, EVENTS, partition)
        try:
            record = await first_in(log, marks.low, marks.high)
        finally:
            await log.close()
        return (self._clock.now() - _recorded_at(record)).total_seconds() if record is not None else 0.0


def _recorded_at(record: Record) -> datetime:
    """Whatever an upstream wrote into it: that it cannot be understood is for the matching to say."""
    try:
        return codec.recorded_at(record)
    except UndecodableRecord:
        return record.recorded_at
