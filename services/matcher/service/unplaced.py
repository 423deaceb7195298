"""Where to begin in a partition in which the group has no place: it is new there, or its place is gone.

Kafka drops the offsets of a group without members after `offsets.retention.minutes`, a week unless a broker says otherwise, and
whoever may delete a group can, too. To begin anew then would match all that ever happened against the workflows of today: refunds
of last year would send webhooks. Guarantee: what was recorded longer ago than that can be news is not matched by mistake; the
partition stands still and says so, and events stay where they are.
"""

from services.matcher.settings import MatcherSettings
from shared.bus import codec
from shared.bus.port import Bus
from shared.bus.topics import EVENTS
from shared.domain.clock import Clock
from shared.runtime.definitions import DefinitionsFollower

_POLL_SECONDS = 1.0


class PlaceGone(Exception):
    """Nobody knows how far the group was; the text says how to mend it."""


class Unplaced:
    """For the partitions of one process."""

    def __init__(self, bus: Bus, definitions: DefinitionsFollower, settings: MatcherSettings, clock: Clock) -> None:
        self._bus = bus
        self._definitions = definitions
        self._news_seconds_max = settings.unplaced_seconds_max
        self._clock = clock

    async def begin(self, partition: int) -> int:
        """The offset to begin at. Raises PlaceGone, TransientError."""
        marks = (await self._bus.watermarks(EVENTS, [partition]))[partition]
        if marks.low >= marks.high or not self._has_workflows():
            return marks.low
        age_seconds = await self._age_of_first(partition, marks.low, marks.high)
        if age_seconds <= self._news_seconds_max:
            return marks.low
        raise PlaceGone(
            f"the group has no place in {EVENTS}/{partition}, whose first event was recorded {age_seconds / 86_400:.1f} days "
            "ago; to begin there could start runs about all of the past. Stop the matchers and set the group's offsets "
            "(kafka-consumer-groups.sh --reset-offsets --to-datetime …), or raise UPSHOT_MATCHER_UNPLACED_SECONDS_MAX to match "
            "it all"
        )

    def _has_workflows(self) -> bool:
        return any(tenant.workflows for tenant in self._definitions.definitions.tenants.values())

    async def _age_of_first(self, partition: int, low: int, high: int) -> float:
        """In seconds; 0 where there is no record after all."""
        reader = self._bus.reader(EVENTS)
        try:
            reader.assign({partition: low})
            while reader.positions()[partition] < high:
                batches = await reader.poll(timeout_seconds=_POLL_SECONDS, records_max=1)
                for record in batches.get(partition, ()):
                    return (self._clock.now() - codec.recorded_at(record)).total_seconds()
        finally:
            await reader.close()
        return 0.0
