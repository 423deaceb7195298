"""aiokafka's idempotent producer, made when first needed and made anew once it can no longer be trusted.

aiokafka's own `stop` waits until everything has been sent, for ever where brokers are away, so a producer that is given
up is taken apart by hand. That, and mending sequence numbers, needs private parts: `tests/contract/test_bus_kafka.py` names them.
"""

import asyncio
import logging
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka import errors as kafka_errors

from shared.bus.adapters.kafka.reaching import client_options, closed, why_not
from shared.bus.adapters.kafka.settings import KafkaSettings
from shared.domain.errors import TransientError

_log = logging.getLogger(__name__)


class GivenUp(kafka_errors.KafkaError):  # type: ignore[misc]  # aiokafka has no types
    """The producer that had this under way was given up."""


_REFUSALS = (
    kafka_errors.MessageSizeTooLargeError,
    kafka_errors.RecordListTooLargeError,
    kafka_errors.TopicAuthorizationFailedError,
    kafka_errors.ClusterAuthorizationFailedError,
)


async def sent(producer: Any, batch: Any, topic: str, partition: int) -> Any:  # aiokafka has no types
    """Where the batch lies: offset of its first record, append time in milliseconds. Raises aiokafka's errors.

    A batch that the broker refuses has taken its sequence numbers all the same, and the next one would be out of order: they
    are taken back. Nothing else of the partition is under way meanwhile.
    """
    try:
        return await (await producer.send_batch(batch, topic, partition=partition))
    except _REFUSALS:
        producer._txn_manager.increment_sequence_number(TopicPartition(topic, partition), -batch.record_count())
        raise


class Producer:
    """At most one aiokafka producer at a time."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._lock = asyncio.Lock()
        self._current: Any = None  # aiokafka has no types
        self._closed = False

    async def current(self) -> Any:  # as above
        """aiokafka's producer. `TransientError`: no broker to be had; `PermanentError`: brokers refuse us."""
        if self._current is not None:
            return self._current
        async with self._lock:
            if self._closed:
                raise TransientError("the bus is closed")
            if self._current is None:
                self._current = await self._made()
            return self._current

    async def give_up(self, producer: Any, reason: str) -> None:  # as above
        """Whatever it has under way raises `GivenUp`."""
        if producer is self._current:
            self._current = None
            _log.warning("a fresh producer: %s", reason)
            await _take_apart(producer)

    async def close(self) -> None:
        """Send what is there, within the time an append may take."""
        self._closed = True
        producer, self._current = self._current, None
        if producer is None:
            return
        try:
            async with asyncio.timeout(self._settings.append_timeout_seconds):
                await producer.stop()
        except TimeoutError:
            await _take_apart(producer)

    async def _made(self) -> Any:  # as above
        compression = None if self._settings.compression == "none" else self._settings.compression
        producer = AIOKafkaProducer(
            **client_options(self._settings),
            enable_idempotence=True,
            acks="all",
            max_batch_size=self._settings.batch_bytes_max,
            compression_type=compression,
        )
        try:
            async with asyncio.timeout(self._settings.request_timeout_seconds):
                await producer.start()
        except (kafka_errors.KafkaError, OSError) as error:  # OSError: TimeoutError among them
            await _take_apart(producer)
            raise await why_not(self._settings) from error
        except BaseException:
            await _take_apart(producer)
            raise
        return producer


async def _take_apart(producer: Any) -> None:  # as above
    producer._closed = True  # it is, and says so at the latest when it is collected
    producer._message_accumulator.fail_all(GivenUp("the producer was given up"))
    await closed(producer._sender)
    await closed(producer.client)
