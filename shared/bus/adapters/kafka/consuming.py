"""aiokafka's own consumer as a group member, for whoever brings a loop of its own: the matcher's stream.

Guarantees: a fetch begins where it is told to, whatever was fetched before; what it gives was fetched under one generation; a
position stands behind transaction markers and aborted records too. What aiokafka offers no public way to is named in
`PRIVATE_NAMES`, and a contract test fails where a version drops one of it.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka import errors as kafka_errors
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor

from shared.bus.adapters.kafka.appending import EPOCH
from shared.bus.adapters.kafka.bus import group_id
from shared.bus.adapters.kafka.lenient import read_foreign_batches
from shared.bus.adapters.kafka.reaching import client_options, described
from shared.bus.adapters.kafka.settings import KafkaSettings
from shared.bus.port import Record
from shared.domain.clock import Clock
from shared.domain.errors import PermanentError, StaleGenerationError, TransientError

_log = logging.getLogger(__name__)

PRIVATE_NAMES = {
    AIOKafkaConsumer: ("_coordinator", "_subscription"),
    GroupCoordinator: ("_do_heartbeat", "_group_instance_id"),
}

_MAX_POLL_INTERVAL_MS = (
    24 * 3600 * 1000
)  # a long restore reads nothing; who hangs is found by readiness, not by the group
_REBALANCE_TIMEOUT_MS = 60_000  # how long the others wait for a member that finishes what it has in hand
_FETCH_WAIT_MS = 100  # a partition with records in hand is left out of a fetch, and may wait as long for the next one
_COMMIT_SECONDS = 5.0
"""Longest wait for the coordinator; whoever commits, or asks, tries again."""


@dataclass(frozen=True, slots=True)
class FetchedRecords:
    """What one fetch brought, and the position of each partition after it."""

    records: Mapping[int, Sequence[Record]]
    positions: Mapping[int, int]


class GroupConsumer:
    """A member of a group on one topic. Everything but `consumer`'s making happens in the loop that runs it."""

    def __init__(
        self,
        settings: KafkaSettings,
        clock: Clock,
        group: str,
        topic: str,
        *,
        member_id: str,
        heard: Callable[[float], None],
    ) -> None:
        """`heard` is told, in the consumer's loop, when a heartbeat was sent that is answered now."""
        self.topic = topic
        self.full_name = settings.topic_prefix + topic
        self.group_id = group_id(settings, group, topic)
        self._settings = settings
        self._clock = clock
        self._member_id = member_id
        self._heard = heard

    def make(self) -> AIOKafkaConsumer:
        """The consumer, not started and not subscribed."""
        read_foreign_batches()
        settings = self._settings
        # aiokafka keeps what a sticky member owned in the class: one for each member.
        assignor = type("Sticky", (StickyPartitionAssignor,), {})
        return AIOKafkaConsumer(
            group_id=self.group_id,
            group_instance_id=self._member_id,
            enable_auto_commit=False,
            auto_offset_reset="none",  # where to read from is always said
            isolation_level="read_committed",
            partition_assignment_strategy=[assignor],
            session_timeout_ms=int(settings.session_timeout_seconds * 1000),
            heartbeat_interval_ms=int(settings.heartbeat_interval_seconds * 1000),
            rebalance_timeout_ms=_REBALANCE_TIMEOUT_MS,
            max_poll_interval_ms=_MAX_POLL_INTERVAL_MS,
            fetch_max_wait_ms=_FETCH_WAIT_MS,
            fetch_max_bytes=settings.poll_bytes_max,
            **client_options(settings),
        )

    def listen(self, consumer: AIOKafkaConsumer) -> None:
        """Once the consumer is started: tell of heartbeats that are answered."""
        coordinator = consumer._coordinator
        beat = coordinator._do_heartbeat

        async def heartbeat() -> bool:
            sent_at = self._clock.monotonic()
            answered: bool = await beat()
            if answered:
                self._heard(sent_at)
            return answered

        coordinator._do_heartbeat = heartbeat

    async def fetch(
        self, consumer: AIOKafkaConsumer, positions: Mapping[int, int], *, timeout_seconds: float, records_max: int
    ) -> FetchedRecords:
        """The next records of these partitions, each from the given offset; where records were deleted, from what is left.

        Raises `TransientError`, and `PermanentError` where a partition ends below its offset.
        """
        coordinator = consumer._coordinator
        generation = coordinator.generation
        tps = {TopicPartition(self.full_name, partition): at for partition, at in positions.items()}
        for tp, at in tps.items():
            state = _state(consumer, tp)
            if state is None:
                return _NOTHING
            if not state.has_valid_position or state.position != at:
                consumer.seek(tp, at)
        try:
            found = await consumer.getmany(*tps, timeout_ms=int(timeout_seconds * 1000), max_records=records_max)
        except kafka_errors.NoOffsetForPartitionError:
            return _NOTHING  # it rebalanced meanwhile; the next fetch says where to begin
        except kafka_errors.OffsetOutOfRangeError as error:
            if coordinator.generation != generation:
                return _NOTHING
            return FetchedRecords(records={}, positions=await self._mended(consumer, error.args[0]))
        except kafka_errors.KafkaError as error:
            if error.retriable:
                raise TransientError(f"{self.full_name} cannot be read just now: {described(error)}") from error
            raise
        states = {tp: _state(consumer, tp) for tp in tps}
        if coordinator.generation != generation:
            return _NOTHING
        return FetchedRecords(
            records={tp.partition: self._records(records) for tp, records in found.items()},
            positions={tp.partition: each.position for tp, each in states.items() if each and each.has_valid_position},
        )

    async def _mended(self, consumer: AIOKafkaConsumer, positions: Mapping[TopicPartition, int]) -> dict[int, int]:
        lows = await consumer.beginning_offsets(list(positions))
        for tp, at in positions.items():
            if at > lows[tp]:
                raise PermanentError(
                    f"{tp.topic}/{tp.partition} ends below {at}, from where it is to be read: "
                    "the log has lost records, or this position belongs to another log"
                )
            if at > 0:
                _log.error("%s/%s begins at %s: records from %s on were deleted", tp.topic, tp.partition, lows[tp], at)
        return {tp.partition: low for tp, low in lows.items()}

    async def commit(self, consumer: AIOKafkaConsumer, offsets: Mapping[int, int], *, generation: int) -> None:
        """Raises `StaleGenerationError`, or `TransientError` while the coordinator is away."""
        if consumer._coordinator.generation != generation:
            raise StaleGenerationError(f"generation {generation} of {self.group_id} is over")
        try:
            async with asyncio.timeout(_COMMIT_SECONDS):
                await consumer.commit({TopicPartition(self.full_name, each): at for each, at in offsets.items()})
        except (kafka_errors.CommitFailedError, kafka_errors.IllegalStateError) as error:
            raise StaleGenerationError(str(error)) from error
        except (kafka_errors.KafkaError, TimeoutError) as error:
            raise TransientError(f"offsets of {self.group_id} cannot be committed: {described(error)}") from error

    async def committed(self, consumer: AIOKafkaConsumer, partitions: Collection[int]) -> Mapping[int, int]:
        """The committed next offsets of those that have one. Raises `TransientError`."""
        try:
            async with asyncio.timeout(_COMMIT_SECONDS):
                found = {each: await consumer.committed(TopicPartition(self.full_name, each)) for each in partitions}
        except (kafka_errors.KafkaError, TimeoutError) as error:
            raise TransientError(f"offsets of {self.group_id} cannot be read: {described(error)}") from error
        return {partition: offset for partition, offset in found.items() if offset is not None}

    @staticmethod
    def prepare_to_leave(consumer: AIOKafkaConsumer) -> None:
        """A static member that ends does not say so, lest its restart move partitions; this one's name never comes again."""
        if consumer._coordinator is not None:
            consumer._coordinator._group_instance_id = None

    def _records(self, found: Sequence[Any]) -> list[Record]:  # aiokafka has no types
        records = []
        recorded_ms = -1
        recorded_at = EPOCH
        for each in found:
            if each.timestamp != recorded_ms:  # one a batch: the broker's append time
                recorded_ms = each.timestamp
                recorded_at = _instant(recorded_ms)
            headers = each.headers
            if None in [value for _, value in headers]:
                headers = tuple((name, value or b"") for name, value in headers)
            headers = each.headers
            if None in [value for _, value in headers]:  # Kafka lets a header have none
                headers = tuple((name, value or b"") for name, value in headers)
            records.append(
                Record(
                    topic=self.topic,
                    partition=each.partition,
                    offset=each.offset,
                    recorded_at=recorded_at,
                    key=each.key or b"",
                    headers=headers,
                    value=each.value,
                )
            )
        return records


_NOTHING = FetchedRecords(records={}, positions={})


def _instant(milliseconds: int) -> datetime:
    return EPOCH + timedelta(milliseconds=milliseconds)


def _state(consumer: AIOKafkaConsumer, tp: TopicPartition) -> Any:  # as above
    """aiokafka's state of a partition, None where it is not assigned."""
    subscription = consumer._subscription.subscription
    assignment = subscription.assignment if subscription is not None else None
    return assignment.state_value(tp) if assignment is not None and tp in assignment.tps else None
