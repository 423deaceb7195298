"""The Kafka adapter under the bus contract, on a broker of its own that the contract may kill.

Each log is topics of a prefix of its own, and they go with it: a broker that comes back looks through all that it has.
"""

import json
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient

from shared.bus.adapters.kafka import KafkaBus, KafkaSettings
from shared.runtime.clock import SystemClock
from shared.testing.bus import (
    HEARTBEAT_SECONDS,
    PARTITION_COUNT,
    RECORD_BYTES_MAX,
    SESSION_TIMEOUT_SECONDS,
    TOPICS,
    Variant,
)
from shared.testing.kafka import KafkaCluster, kafka_cluster
from shared.testing.kafka_jars import kafka_missing

_numbers = count()


def variants() -> Sequence[Variant]:
    return [Variant(name="kafka", adapter="kafka", start=_start, missing=kafka_missing())]


def settings_of(servers: str, prefix: str, **overrides: object) -> KafkaSettings:
    """The contract's settings. Overrides that only other adapters have are left out."""
    values: dict[str, object] = {
        "bootstrap_servers": servers,
        "topic_prefix": prefix,
        "partition_count": PARTITION_COUNT,
        "record_bytes_max": RECORD_BYTES_MAX,
        "heartbeat_interval_seconds": HEARTBEAT_SECONDS,
        "session_timeout_seconds": SESSION_TIMEOUT_SECONDS,
        "reconnect_seconds_max": 0.2,
    }
    known = {name: value for name, value in overrides.items() if name in KafkaSettings.model_fields}
    return KafkaSettings.model_validate(values | known)


class KafkaLog:
    """A log under a prefix of its own."""

    def __init__(self, cluster: KafkaCluster, topics: Sequence[str] = TOPICS) -> None:
        self.cluster = cluster
        self.prefix = f"log-{os.getpid()}-{next(_numbers)}."
        self.address = json.dumps([cluster.bootstrap_servers, self.prefix])
        self._topics = topics
        self._clients: list[KafkaBus] = []

    async def client(self, **settings: object) -> KafkaBus:
        chosen = settings_of(self.cluster.bootstrap_servers, self.prefix, **settings)
        bus = await KafkaBus.open(chosen, SystemClock(), topics=self._topics)
        self._clients.append(bus)
        return bus

    async def kill_server(self) -> None:
        node = self.cluster.nodes[0]
        await node.kill()
        node.launch()
        await node.ready()

    async def close(self) -> None:
        """Close all clients and delete the topics."""
        for bus in self._clients:
            await bus.close()
        admin = AIOKafkaAdminClient(bootstrap_servers=self.cluster.bootstrap_servers)
        await admin.start()
        try:
            await admin.delete_topics([self.prefix + topic for topic in self._topics])
        finally:
            await admin.close()


@asynccontextmanager
async def fresh_log(cluster: KafkaCluster, topics: Sequence[str] = TOPICS) -> AsyncIterator[KafkaLog]:
    """A log for one test, deleted at its end."""
    log = KafkaLog(cluster, topics)
    try:
        yield log
    finally:
        await log.close()


class _Server:
    def __init__(self, cluster: KafkaCluster) -> None:
        self._cluster = cluster

    @asynccontextmanager
    async def log(self) -> AsyncIterator[KafkaLog]:
        async with fresh_log(self._cluster) as log:
            yield log


@asynccontextmanager
async def _start(tmp: Path) -> AsyncIterator[_Server]:
    del tmp  # Kafka's processes run in a workspace of tests, whose watchdog ends them
    # Coming back after a kill it waits until its former self counts as silent.
    async with kafka_cluster(overrides={"broker.session.timeout.ms": "2000"}) as cluster:
        yield _Server(cluster)


async def open_at(address: str) -> KafkaBus:
    """Another bus on the log at `address`."""
    servers, prefix = json.loads(address)
    return await KafkaBus.open(settings_of(servers, prefix), SystemClock(), topics=TOPICS)
