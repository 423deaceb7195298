"""The Kafka that other tests stand on: it starts, keeps what it took, and holds who may do what."""

import asyncio
import json
import ssl
import sys
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAuthorizationFailedError

from shared.testing.kafka import USERS, KafkaCluster, kafka_cluster
from shared.testing.kafka_jars import kafka_missing
from shared.testing.kafka_metadata import ask_metadata

COMMAND = Path(__file__).resolve().parents[2] / "scripts" / "kafka.py"

pytestmark = pytest.mark.slow
needs_kafka = pytest.mark.skipif((why := kafka_missing()) is not None, reason=why or "")


def client(cluster: KafkaCluster, user: str = "admin") -> dict[str, Any]:
    """How aiokafka is told to connect."""
    settings: dict[str, Any] = {
        "bootstrap_servers": cluster.bootstrap_servers,
        "security_protocol": cluster.options.protocol,
    }
    if cluster.options.has_users:
        settings |= {
            "sasl_mechanism": "SCRAM-SHA-512",
            "sasl_plain_username": user,
            "sasl_plain_password": USERS[user],
        }
    if cluster.options.is_encrypted:
        settings["ssl_context"] = ssl.create_default_context(cafile=str(cluster.certificates / "ca.pem"))
    return settings


async def make_topic(cluster: KafkaCluster, name: str, user: str = "admin") -> None:
    admin = AIOKafkaAdminClient(**client(cluster, user))
    try:
        await admin.start()
        answer = await admin.create_topics(
            [NewTopic(name, num_partitions=1, replication_factor=min(3, len(cluster.nodes)))]
        )
        if answer.topic_errors[0][1] == TopicAuthorizationFailedError.errno:
            raise TopicAuthorizationFailedError(answer.topic_errors[0])
        assert answer.topic_errors[0][1] == 0
    finally:
        await admin.close()


async def produce(cluster: KafkaCluster, topic: str, value: bytes) -> None:
    async with AIOKafkaProducer(**client(cluster), acks="all", enable_idempotence=True) as producer:
        await producer.send_and_wait(topic, value)


async def first_of(cluster: KafkaCluster, topic: str) -> bytes | None:
    async with AIOKafkaConsumer(topic, **client(cluster), auto_offset_reset="earliest") as consumer:
        record = await consumer.getone()
        value: bytes | None = record.value
        return value


async def test_javas_console_tools_speak_to_the_shared_broker(kafka_broker: KafkaCluster) -> None:
    if not kafka_broker.nodes:
        pytest.skip("the tools come with a broker of ours; this one is somebody else's")
    await make_topic(kafka_broker, "console")
    await kafka_broker.tool("console-producer", "--topic", "console", given="one\ntwo\n")

    printed = await kafka_broker.tool(
        "console-consumer", "--topic", "console", "--from-beginning", "--max-messages", "2", "--timeout-ms", "20000"
    )
    assert printed.split() == ["one", "two"]


async def test_a_killed_node_comes_back_with_its_data_and_users_without_rights_are_refused(
    secured_kafka: KafkaCluster,
) -> None:
    await make_topic(secured_kafka, "kept")
    await produce(secured_kafka, "kept", b"before")
    await secured_kafka.nodes[0].kill()
    await secured_kafka.nodes[0].restart()

    assert await first_of(secured_kafka, "kept") == b"before"
    with pytest.raises(TopicAuthorizationFailedError):
        await make_topic(secured_kafka, "refused", user="upstream")


@needs_kafka
async def test_three_nodes_are_one_cluster_that_outlives_one_of_them() -> None:
    async with kafka_cluster(nodes=3) as cluster:
        assert set((await cluster.metadata()).brokers) == {1, 2, 3}
        await make_topic(cluster, "replicated")
        await cluster.nodes[0].kill()
        await produce(cluster, "replicated", b"still")

        assert await first_of(cluster, "replicated") == b"still"


@needs_kafka
async def test_the_command_tells_its_address_and_leaves_nothing_behind() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(COMMAND), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    assert process.stdout is not None
    told = json.loads(await process.stdout.readline())
    host, port = told["KAFKA_BOOTSTRAP_SERVERS"].split(":")
    assert await ask_metadata(host, int(port)) is not None

    process.terminate()

    assert await process.wait() == 0
    assert await ask_metadata(host, int(port)) is None
