"""Who must not be worked beside: the live members of a log's groups, and nobody of another log's."""

import pytest

from shared.bus.adapters.kafka.members import live_members
from shared.runtime.clock import SystemClock
from shared.testing.bus import TOPICS
from shared.testing.bus.kafka import fresh_log, settings_of
from shared.testing.kafka import KafkaCluster

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_members_are_known_as_long_as_they_are_in_a_group(kafka_broker: KafkaCluster) -> None:
    clock = SystemClock()
    async with fresh_log(kafka_broker) as log, fresh_log(kafka_broker) as other:
        ours = settings_of(kafka_broker.bootstrap_servers, log.prefix)
        theirs = settings_of(kafka_broker.bootstrap_servers, other.prefix)
        bus = await log.client()
        assert await live_members(ours, clock, TOPICS) == []
        member = await bus.join("matcher", TOPICS[0], member_id="one")
        await member.next_assignment(timeout_seconds=10)
        (found,) = await live_members(ours, clock, TOPICS)
        assert found.startswith("one")
        assert await live_members(theirs, clock, TOPICS) == []
        await member.leave()
        assert await live_members(ours, clock, TOPICS) == []
