"""aiokafka's consumer as a member of a group: what a broker answers in the midst of its own troubles ends nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer

from shared.bus.adapters.kafka.consuming import GroupConsumer
from shared.bus.topics import EVENTS
from shared.domain.errors import PermanentError
from shared.runtime.clock import SystemClock
from shared.testing.bus.kafka import fresh_log, settings_of
from shared.testing.kafka import KafkaCluster
from shared.testing.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")

UNKNOWN_SERVER_ERROR = -1
GROUP_AUTHORIZATION_FAILED = 30


@dataclass
class Member:
    """One member, whose broker answers `code` to the next requests of a kind, as a test says."""

    group: GroupConsumer
    consumer: AIOKafkaConsumer
    heard: list[float]
    answers: dict[str, list[int]] = field(default_factory=dict)

    def fail(self, request: str, *codes: int) -> None:
        self.answers[request] = list(codes)

    def listen(self) -> None:
        coordinator: Any = self.consumer._coordinator
        send = coordinator._send_req

        async def answered(request: Any) -> Any:
            codes = self.answers.get(type(request).__name__)
            return SimpleNamespace(error_code=codes.pop(0)) if codes else await send(request)

        coordinator._send_req = answered
        self.group.listen(self.consumer)

    async def belongs(self) -> bool:
        """Whether all failures are over, and it has partitions and answered heartbeats."""
        self.group.check(self.consumer)
        return not any(self.answers.values()) and bool(self.consumer.assignment()) and bool(self.heard)


@asynccontextmanager
async def member_of(cluster: KafkaCluster) -> AsyncIterator[Member]:
    async with fresh_log(cluster, [EVENTS]) as log:
        await log.client()
        settings = settings_of(cluster.bootstrap_servers, log.prefix, heartbeat_interval_seconds=0.2)
        heard: list[float] = []
        group = GroupConsumer(settings, SystemClock(), "g", EVENTS, member_id="one", heard=heard.append)
        consumer = group.make()
        await consumer.start()
        it = Member(group, consumer, heard)
        it.listen()
        try:
            yield it
        finally:
            group.prepare_to_leave(consumer)
            await consumer.stop()


@pytest.mark.parametrize("request_kind", ["JoinGroupRequest", "SyncGroupRequest", "HeartbeatRequest"])
async def test_a_coordinator_that_fails_is_asked_again(kafka_broker: KafkaCluster, request_kind: str) -> None:
    async with member_of(kafka_broker) as it:
        it.fail(request_kind, UNKNOWN_SERVER_ERROR, UNKNOWN_SERVER_ERROR)
        it.consumer.subscribe([it.group.full_name])
        await eventually(it.belongs, "it belongs to the group")


async def test_a_member_without_the_right_to_its_group_is_told_what_to_grant(kafka_broker: KafkaCluster) -> None:
    async with member_of(kafka_broker) as it:
        it.fail("JoinGroupRequest", *[GROUP_AUTHORIZATION_FAILED] * 100)
        it.consumer.subscribe([it.group.full_name])
        with pytest.raises(PermanentError, match="grant"):
            await asyncio.wait_for(eventually(it.belongs, "it belongs to the group"), 30)
