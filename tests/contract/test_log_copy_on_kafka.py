"""A log on Kafka that is copied: known from all others, not copied beside live members, and whatever its topics took fits."""

from types import SimpleNamespace
from typing import cast

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import MessageSizeTooLargeError

from services.foundation import Foundation
from services.log_copy import copy_log, source_id, with_room
from shared.bus.adapters.kafka import KafkaBus
from shared.bus.adapters.kafka.examining import taken_bytes_max
from shared.bus.copying import LogCopy
from shared.bus.seal import Seal, SealedBus, seal_key
from shared.bus.topics import EVENTS, TOPICS
from shared.domain.errors import PermanentError
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


@pytest.fixture
def ground(kafka_broker: KafkaCluster, monkeypatch: pytest.MonkeyPatch) -> Foundation:
    """As much of it as the source needs."""
    monkeypatch.setenv("UPSHOT_KAFKA_BOOTSTRAP_SERVERS", kafka_broker.bootstrap_servers)
    found = SimpleNamespace(settings=SimpleNamespace(bus="kafka"), clock=SystemClock())
    return cast(Foundation, found)  # all else is for other logs


async def test_a_log_is_known_by_its_cluster_and_its_prefix(
    ground: Foundation, kafka_broker: KafkaCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_broker.bootstrap_servers)
    await admin.start()
    cluster = (await admin.describe_cluster())["cluster_id"]
    await admin.close()
    found = []
    for prefix in ("", "log", "log."):
        monkeypatch.setenv("UPSHOT_KAFKA_TOPIC_PREFIX", prefix)
        found.append(await source_id(ground))
    assert found == [f"kafka:{cluster}", f"kafka:{cluster}:log", f"kafka:{cluster}:log."]


async def test_how_long_a_killed_member_counts_is_what_the_brokers_were_told(
    ground: Foundation, kafka_broker: KafkaCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UPSHOT_KAFKA_SESSION_TIMEOUT_SECONDS", "9.5")
    async with fresh_log(kafka_broker, TOPICS) as log:
        monkeypatch.setenv("UPSHOT_KAFKA_TOPIC_PREFIX", log.prefix)
        bus = await log.client(partition_count=1)
        member = await bus.join("matcher", EVENTS, member_id="m-1")
        await member.next_assignment(timeout_seconds=20)
        with pytest.raises(PermanentError, match=r"m-1.* a process that was killed counts for 9\.5 s more"):
            await copy_log(ground, "kafka:///other.", None, force=False, on_progress=print, on_folded=print, say=print)
        await member.leave()


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
