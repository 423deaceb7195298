"""The Kafka that other tests stand on: it starts, keeps what it took, and holds who may do what."""

import pytest

from shared.testing.kafka import KafkaCluster, kafka_cluster
from shared.testing.kafka_jars import kafka_missing

needs_kafka = pytest.mark.skipif((why := kafka_missing()) is not None, reason=why or "")


async def consume(cluster: KafkaCluster, topic: str, count: int) -> list[str]:
    printed = await cluster.tool(
        "console-consumer", "--topic", topic, "--from-beginning", "--max-messages", str(count), "--timeout-ms", "20000"
    )
    return printed.split()


async def test_the_shared_broker_takes_records_of_javas_console_producer(kafka_broker: KafkaCluster) -> None:
    if not kafka_broker.nodes:
        pytest.skip("the tools come with a broker of ours; this one is somebody else's")
    await kafka_broker.tool("topics", "--create", "--topic", "console", "--partitions", "1")
    await kafka_broker.tool("console-producer", "--topic", "console", given="one\ntwo\n")

    assert await consume(kafka_broker, "console", 2) == ["one", "two"]


@needs_kafka
async def test_a_killed_node_comes_back_with_its_data_and_users_without_rights_are_refused() -> None:
    async with kafka_cluster(security="sasl_tls") as cluster:
        await cluster.tool("topics", "--create", "--topic", "kept", "--partitions", "1")
        await cluster.tool("console-producer", "--topic", "kept", given="before\n")
        await cluster.nodes[0].kill()
        await cluster.nodes[0].restart()

        assert await consume(cluster, "kept", 1) == ["before"]
        with pytest.raises(RuntimeError, match="Authorization failed"):
            await cluster.tool("topics", "--create", "--topic", "refused", user="upstream")


@needs_kafka
async def test_three_nodes_are_one_cluster_that_outlives_one_of_them() -> None:
    async with kafka_cluster(nodes=3) as cluster:
        assert set((await cluster.metadata()).brokers) == {1, 2, 3}
        await cluster.tool("topics", "--create", "--topic", "replicated", "--partitions", "3")
        await cluster.nodes[0].kill()
        await cluster.tool("console-producer", "--topic", "replicated", given="still\n")

        assert await consume(cluster, "replicated", 1) == ["still"]
