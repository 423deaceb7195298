"""What others appended to a log on Kafka, as large as its topics take it, fits into the log that it is copied to."""

from aiokafka import AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError

from services.log_copy import with_room
from shared.bus.adapters.kafka import KafkaBus
from shared.bus.adapters.kafka.examining import taken_bytes_max
from shared.bus.copying import LogCopy
from shared.bus.seal import Seal, SealedBus, seal_key
from shared.bus.topics import EVENTS, TOPICS
from shared.runtime.clock import SystemClock
from shared.testing.bus.kafka import KafkaLog, fresh_log, settings_of
from shared.testing.kafka import KafkaCluster

SEAL = Seal(seal_key(b"master"))


async def test_the_largest_foreign_record_is_copied(kafka_broker: KafkaCluster) -> None:
    async with fresh_log(kafka_broker, TOPICS) as first, fresh_log(kafka_broker, TOPICS) as second:
        source = SealedBus(await first.client(partition_count=1), SEAL)
        settings = settings_of(first.cluster.bootstrap_servers, first.prefix, partition_count=1)
        size = await append_largest(first, await taken_bytes_max(settings))
        assert size > settings.record_bytes_max
        roomy = with_room(settings, await taken_bytes_max(settings))
        target = await KafkaBus.open(roomy.model_copy(update={"topic_prefix": second.prefix}), SystemClock())
        try:
            copied = await LogCopy(source, SealedBus(target, SEAL), "x" * 150, print).copy(EVENTS)
        finally:
            await target.close()
        assert copied.copied == 1
        await second.client(partition_count=1)  # the platform finds its topics good


async def append_largest(log: KafkaLog, size_max: int) -> int:
    """A value as large as the broker takes; its bytes."""
    producer = AIOKafkaProducer(bootstrap_servers=log.cluster.bootstrap_servers, max_request_size=2 * size_max)
    await producer.start()
    try:
        for size in range(size_max, size_max - 200, -1):
            try:
                await producer.send_and_wait(log.prefix + EVENTS, b"x" * size, key=b"k")
            except MessageSizeTooLargeError:
                continue
            return size
        raise AssertionError("the broker takes no record")
    finally:
        await producer.stop()
