"""aiokafka's own consumer as a member of a group, for whoever brings a loop of its own: the matcher's stream.

It joins, sends heartbeats and commits, in whichever loop runs it; it reads nothing, which a reader of the bus does better: with
one rule for what is unreadable, deleted or aborted, and without a copy of each record. What aiokafka offers no public way to is
named in `PRIVATE_NAMES`, and a contract test fails where a version drops one of it.
"""

import asyncio
import logging
import re
from collections.abc import Callable, Mapping

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka import errors as kafka_errors
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor

from shared.bus.adapters.kafka.answers import judge
from shared.bus.adapters.kafka.bus import group_id
from shared.bus.adapters.kafka.reaching import client_options, described
from shared.bus.adapters.kafka.settings import KafkaSettings
from shared.domain.clock import Clock
from shared.domain.errors import StaleGenerationError, TransientError

log = logging.getLogger(__name__)

PRIVATE_NAMES = {
    AIOKafkaConsumer: ("_coordinator",),
    GroupCoordinator: ("_do_heartbeat", "_group_instance_id", "_coordination_task"),
}

_MAX_POLL_INTERVAL_MS = 10 * 365 * 24 * 3600 * 1000  # it is never polled; who hangs is found by readiness
_REBALANCE_TIMEOUT_MS = 60_000  # how long the others wait for a member that finishes what it has in hand
_COMMIT_SECONDS = 5.0
"""Longest wait for the coordinator; whoever commits tries again."""


_NAMED = re.compile(r"(\w+)\(\)$")
"""aiokafka tells of what it did not expect in words that end so: `UnknownError()`."""


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
        settings = self._settings
        # aiokafka keeps what a sticky member owned in the class: one for each member.
        assignor = type("Sticky", (StickyPartitionAssignor,), {})
        return AIOKafkaConsumer(
            group_id=self.group_id,
            group_instance_id=self._member_id,
            enable_auto_commit=False,
            auto_offset_reset="none",
            partition_assignment_strategy=[assignor],
            session_timeout_ms=int(settings.session_timeout_seconds * 1000),
            heartbeat_interval_ms=int(settings.heartbeat_interval_seconds * 1000),
            rebalance_timeout_ms=_REBALANCE_TIMEOUT_MS,
            max_poll_interval_ms=_MAX_POLL_INTERVAL_MS,
            **client_options(settings),
        )

    def listen(self, consumer: AIOKafkaConsumer) -> None:
        """Once the consumer is started: tell of heartbeats that are answered."""
        coordinator = consumer._coordinator
        beat = coordinator._do_heartbeat

        async def heartbeat() -> bool:
            sent_at = self._clock.monotonic()
            try:
                answered: bool = await beat()
            except kafka_errors.KafkaError as error:
                self._pass_over(error)
                coordinator.coordinator_dead()  # aiokafka would never send another one
                return False
            if answered:
                self._heard(sent_at)
            return answered

        coordinator._do_heartbeat = heartbeat

    def begin(self, consumer: AIOKafkaConsumer) -> None:
        """Once partitions are assigned: aiokafka reads none of them, a reader of the bus does."""
        consumer.pause(*consumer.assignment())

    def check(self, consumer: AIOKafkaConsumer) -> None:
        """Raises what keeps this member out of its group for good, such as a right that it lacks. To all else that aiokafka
        asks about, as a broker that failed in the midst of a takeover, the answer is to try again."""
        coordinator = consumer._coordinator
        if coordinator is None:  # it is there once a broker has answered
            return
        try:
            coordinator.check_errors()
        except kafka_errors.KafkaError as error:
            if coordinator._coordination_task.done():
                raise
            self._pass_over(error)

    def _pass_over(self, error: kafka_errors.KafkaError) -> None:
        """Raises `PermanentError` where trying again will not mend it."""
        named = _NAMED.search(str(error))
        kind = getattr(kafka_errors, named[1], None) if named is not None else type(error)
        code = getattr(kind, "errno", None)
        if isinstance(code, int):
            judge(code, f"the group {self.group_id}")
        log.warning("the group %s cannot be kept just now, trying again: %s", self.group_id, described(error))

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

    @staticmethod
    def prepare_to_leave(consumer: AIOKafkaConsumer) -> None:
        """A static member that ends does not say so, lest its restart move partitions; this one's name never comes again."""
        if consumer._coordinator is not None:
            consumer._coordinator._group_instance_id = None
