"""One client of the cluster that begins when it is first used and begins anew when it has lost every broker it knew.

Requests go to one broker each; who leads a partition comes from the client's metadata. What fails is told as the
port's errors. A request that a broker holds (a read that waits, a group's join) occupies its connection: such requests
have a lane (`Lane`), a connection of their own to the same broker.
"""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any

from aiokafka import TopicPartition
from aiokafka import errors as kafka_errors
from aiokafka.client import AIOKafkaClient, ConnectionGroup, CoordinationType

from shared.bus.adapters.kafka.reaching import client_options, closed, described, why_not
from shared.bus.adapters.kafka.settings import KafkaSettings
from shared.domain.clock import Clock
from shared.domain.errors import PermanentError, TransientError

_log = logging.getLogger(__name__)

_LOST_SECONDS = 15.0
"""After this long without any answer the addresses learned from the cluster may be out of date: begin with the settings'."""

_PAUSE_SECONDS_FIRST = 0.05


def leaderless(topic: str, partition: int) -> TransientError:
    """What to tell of a partition while brokers agree on who leads it."""
    return TransientError(f"{topic}/{partition} has no leading broker just now")


class Lane(Enum):
    """aiokafka keeps one connection a broker for each of these."""

    FIRST = ConnectionGroup.DEFAULT
    SECOND = ConnectionGroup.COORDINATION


class Link:
    """Any number of requests at a time."""

    def __init__(
        self,
        settings: KafkaSettings,
        clock: Clock,
        topics: frozenset[str] = frozenset(),
        *,
        request_timeout_seconds: float | None = None,
    ) -> None:
        """`topics`: full names of those whose leaders will be asked for."""
        self._settings = settings
        self._clock = clock
        self._topics = topics
        self._timeout = request_timeout_seconds or settings.request_timeout_seconds
        self._client: Any = None  # aiokafka has no types
        self._beginning: asyncio.Task[Any] | None = None
        self._answered_at = 0.0
        self._pause_seconds = 0.0
        self._pause_until = float("-inf")
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether there will be no further request."""
        return self._closed

    @property
    def topics(self) -> frozenset[str]:
        """Full names of those whose leaders it knows."""
        return self._topics

    @property
    def began(self) -> bool:
        """Whether there is a client: else the next request takes as long as it takes to reach a broker."""
        return self._client is not None

    async def send(self, node_id: int, request: Any, lane: Lane = Lane.FIRST) -> Any:  # aiokafka has no types
        """The broker's answer. `TransientError`: none came; whether the request took effect is unknown."""
        client = await self.client()
        try:
            answer = await client.send(node_id, request, group=lane.value)
        except (kafka_errors.IncompatibleBrokerVersion, NotImplementedError) as error:
            raise PermanentError(f"the Kafka brokers are too old or too new for this version: {error}") from error
        except (kafka_errors.KafkaError, OSError) as error:
            await self._missed(client)
            raise TransientError(f"Kafka broker {node_id} is away: {described(error)}") from error
        self._answered_at = self._clock.monotonic()
        return answer

    async def ask(self, node_id: int, request: Any) -> Any:  # as above
        """As `send`, for callers that may give up sooner than a broker is given up: the request itself goes on, since only a
        request that nobody answers in its whole time finds out that its connection is dead."""
        sending = asyncio.create_task(self.send(node_id, request), name="ask Kafka")
        sending.add_done_callback(_noted)
        return await asyncio.shield(sending)

    async def leaders(self, topic: str, partitions: Iterable[int]) -> Mapping[int, int]:
        """The broker that leads each partition; without those that none leads just now."""
        client = await self.client()
        cluster = client.cluster
        found = {each: cluster.leader_for_partition(TopicPartition(topic, each)) for each in partitions}
        led = {each: int(node_id) for each, node_id in found.items() if node_id is not None and node_id >= 0}
        if len(led) < len(found):
            self.refresh()
            await self._missed(client)  # it may know no broker at all, and then it learns of none
        return led

    async def coordinator(self, group_id: str) -> int:
        """The broker that keeps the group. `TransientError`: none does just now."""
        client = await self.client()
        try:
            found = await client.coordinator_lookup(CoordinationType.GROUP, group_id)
        except kafka_errors.GroupAuthorizationFailedError as error:
            raise PermanentError(f"this user may not be in the Kafka group {group_id}: grant Read on it") from error
        except (kafka_errors.KafkaError, OSError, AssertionError) as error:  # asserts that it knows any broker
            await self._missed(client)
            raise TransientError(f"no Kafka broker keeps group {group_id} just now: {described(error)}") from error
        if client.cluster.broker_metadata(found) is None:
            await self.refreshed()
        self._answered_at = self._clock.monotonic()
        return int(found)

    async def broker_ids(self) -> frozenset[int]:
        """All brokers known now."""
        return frozenset(broker.nodeId for broker in (await self.client()).cluster.brokers())

    def refresh(self) -> None:
        """Ask for metadata anew, in the background."""
        if self._client is not None:
            self._client.force_metadata_update()

    async def refreshed(self) -> None:
        """Ask for metadata anew and wait for it."""
        client = await self.client()
        try:
            async with asyncio.timeout(self._timeout):
                await client.force_metadata_update()
        except TimeoutError:
            raise TransientError("no Kafka broker says who leads what") from None

    async def client(self) -> Any:  # aiokafka has no types
        """The aiokafka client, begun. `TransientError` while all brokers are away, `PermanentError` if they refuse us.

        Beginning goes on when a caller gives up: each of several addresses may take its whole time to be found dead.
        """
        if self._closed:
            raise TransientError("the bus is closed")
        if self._client is not None:
            if not self._client._sync_task.done():
                return self._client
            # It ended at an error that aiokafka does not know: no former leader would ever be forgotten.
            _log.error("a Kafka client has stopped keeping its metadata: beginning anew")
            await self._end_client()
            return await self.client()
        beginning = self._beginning
        if beginning is None:
            beginning = self._beginning = asyncio.create_task(self._begin(), name="reach Kafka")
            beginning.add_done_callback(self._begun)
        try:
            return await asyncio.shield(beginning)
        except asyncio.CancelledError:
            if beginning.cancelled():
                raise TransientError("the connection to Kafka was broken off") from None
            raise

    async def _begin(self) -> Any:  # as above
        wait_seconds = self._pause_until - self._clock.monotonic()
        if wait_seconds > 0:
            raise TransientError("the Kafka brokers are away", retry_after_seconds=wait_seconds)
        client = AIOKafkaClient(**client_options(self._settings, request_timeout_seconds=self._timeout))
        try:
            await client.bootstrap()
            if self._topics:
                async with asyncio.timeout(self._timeout):
                    await client.set_topics(self._topics)
        except BaseException as error:
            await closed(client)
            if isinstance(error, kafka_errors.KafkaError | OSError):  # OSError: TimeoutError among them
                self._pause_seconds = min(
                    max(_PAUSE_SECONDS_FIRST, self._pause_seconds * 2), self._settings.reconnect_seconds_max
                )
                self._pause_until = self._clock.monotonic() + self._pause_seconds
                raise await why_not(self._settings) from error
            raise
        self._pause_seconds = 0.0
        self._answered_at = self._clock.monotonic()
        self._client = client
        return client

    def _begun(self, beginning: asyncio.Task[Any]) -> None:  # as above
        _noted(beginning)
        if self._beginning is beginning:
            self._beginning = None

    async def close(self) -> None:
        """No further request. Closing twice is harmless."""
        self._closed = True
        await self.restart()

    async def restart(self) -> None:
        """Break off what is under way; the next request begins anew."""
        beginning, self._beginning = self._beginning, None
        if beginning is not None:
            beginning.cancel()
            await asyncio.wait([beginning])
        await self._end_client()

    async def _missed(self, client: Any) -> None:  # as above
        if self._clock.monotonic() - self._answered_at < _LOST_SECONDS or self._client is not client:
            return
        _log.warning("no Kafka broker has answered for %g s: beginning anew", _LOST_SECONDS)
        await self._end_client()

    async def _end_client(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await closed(client)


def _noted(task: asyncio.Task[Any]) -> None:
    """Whoever still waits for it is told of its error; asyncio need not."""
    if not task.cancelled():
        task.exception()
