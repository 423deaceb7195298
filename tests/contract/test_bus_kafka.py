"""What the Kafka adapter promises beyond the port: topics fit to hold a log, one clear sentence a trouble, an honest clock
while nothing is answered, and which private parts of aiokafka it takes."""

import asyncio
import importlib
import inspect
from collections.abc import AsyncIterator, Mapping
from functools import partial, reduce
from pathlib import Path

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.coordinator.protocol import ConsumerProtocol
from aiokafka.errors import KafkaConnectionError
from aiokafka.protocol.api import Request
from aiokafka.protocol.fetch import FetchRequest_v11
from aiokafka.protocol.metadata import MetadataRequest
from pydantic import SecretStr

from shared.bus.adapters.kafka import KafkaBus, KafkaSettings
from shared.bus.adapters.kafka.assigning import Claims, Part
from shared.bus.adapters.kafka.group_requests import Heartbeat, LeaveGroup
from shared.bus.adapters.kafka.link import Lane, Link
from shared.bus.adapters.kafka.membership import KafkaMembership
from shared.bus.adapters.kafka.rounds import GroupLink, Seat
from shared.bus.partitioner import partition_of
from shared.bus.port import AppendInDoubt, NewRecord, RecordTooLarge
from shared.domain.errors import PermanentError, TransientError
from shared.runtime.clock import SystemClock
from shared.testing.bus import PARTITION_COUNT, TOPICS
from shared.testing.bus.kafka import KafkaLog, fresh_log, settings_of
from shared.testing.kafka import USERS, KafkaCluster
from shared.testing.proxy import tcp_proxies
from shared.testing.waiting import eventually

TOPIC = TOPICS[0]
KEY = b"acme"
PARTITION = partition_of(KEY, PARTITION_COUNT)
CLOCK = SystemClock()


@pytest_asyncio.fixture
async def log(kafka_broker: KafkaCluster) -> AsyncIterator[KafkaLog]:
    async with fresh_log(kafka_broker) as fresh:
        yield fresh


def new(value: bytes = b"{}") -> NewRecord:
    return NewRecord(topic=TOPIC, key=KEY, headers=(), value=value)


async def make_topics(log: KafkaLog, partitions: int = PARTITION_COUNT, **configs: str) -> None:
    good = {
        "retention.ms": "-1",
        "message.timestamp.type": "LogAppendTime",
        "max.message.bytes": "9000000",
        "compression.type": "uncompressed",
    }
    chosen = good | {name.replace("_", "."): value for name, value in configs.items()}
    admin = AIOKafkaAdminClient(bootstrap_servers=log.cluster.bootstrap_servers)
    await admin.start()
    await admin.create_topics([NewTopic(log.prefix + topic, partitions, 1, topic_configs=chosen) for topic in TOPICS])
    await admin.close()


class TestTopics:
    async def test_are_made_as_a_log_of_record_needs_them(self, log: KafkaLog) -> None:
        await log.client(record_bytes_max=2_000_000)
        await log.client(record_bytes_max=2_000_000)  # and found good the second time
        with pytest.raises(
            PermanentError, match=r"takes 2008192 bytes at once, less than UPSHOT_KAFKA_RECORD_BYTES_MAX"
        ):
            await log.client(record_bytes_max=3_000_000)

    @pytest.mark.parametrize(
        ("configs", "complaint"),
        [
            ({"cleanup_policy": "compact"}, r"is compacted.*--add-config cleanup\.policy=delete"),
            ({"retention_ms": "604800000"}, r"forgets \(retention\.ms=604800000\).*--add-config retention\.ms=-1"),
            ({"message_timestamp_type": "CreateTime"}, r"writers' clocks.*message\.timestamp\.type=LogAppendTime"),
            (
                {"max_message_bytes": "1048588"},
                r"takes 1048588 bytes at once.*--add-config max\.message\.bytes=1056768",
            ),
        ],
        ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
    )
    async def test_that_would_forget_or_lie_or_refuse_are_not_used(
        self, log: KafkaLog, configs: Mapping[str, str], complaint: str
    ) -> None:
        await make_topics(log, **configs)
        with pytest.raises(PermanentError, match=complaint):
            await log.client()

    async def test_of_another_partition_count_or_too_few_copies_are_not_used(self, log: KafkaLog) -> None:
        await make_topics(log, partitions=PARTITION_COUNT + 1)
        with pytest.raises(PermanentError, match=r"9 partitions, not 8.*UPSHOT_KAFKA_PARTITION_COUNT"):
            await log.client()
        with pytest.raises(PermanentError, match=r"1 copies, less than.*--add-config min\.insync\.replicas=2"):
            await log.client(partition_count=PARTITION_COUNT + 1, min_insync_replicas=2)

    async def test_are_not_made_with_copies_that_cannot_be(self, log: KafkaLog) -> None:
        with pytest.raises(PermanentError, match=r"3 copies .* need as many brokers, and there are 1"):
            await log.client(replication_factor=3)
        with pytest.raises(PermanentError, match="can never be met by 1 copies"):
            await log.client(min_insync_replicas=2)

    async def test_less_safe_than_the_cluster_allows_are_used_and_told_of(
        self, log: KafkaLog, caplog: pytest.LogCaptureFixture
    ) -> None:
        await log.client()
        assert "the topic" not in caplog.text
        async with fresh_log(log.cluster) as other:
            await make_topics(other, unclean_leader_election_enable="true")
            await other.client()
            assert f"the topic {other.prefix}{TOPIC} may be led by a copy that lacks acknowledged" in caplog.text


class TestAppending:
    async def test_a_producer_that_brokers_no_longer_trust_is_made_anew(self, log: KafkaLog) -> None:
        bus = await log.client()
        await bus.append([new()])
        producer = await bus._appender._producer.current()
        producer._txn_manager.increment_sequence_number((log.prefix + TOPIC, PARTITION), 7)  # as after a lost answer
        with pytest.raises(AppendInDoubt):
            await bus.append([new()])
        (position,) = await bus.append([new()])
        assert position.offset == 1

    async def test_a_topic_that_was_narrowed_meanwhile_refuses_clearly(self, log: KafkaLog) -> None:
        await make_topics(log)
        bus = await log.client()
        admin = AIOKafkaAdminClient(bootstrap_servers=log.cluster.bootstrap_servers)
        await admin.start()
        narrower = {"message.timestamp.type": "LogAppendTime", "max.message.bytes": "1000"}
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, log.prefix + TOPIC, narrower)])
        await admin.close()

        async def complaint() -> str | None:
            try:
                await bus.append([new(b"x" * 5000)])
            except RecordTooLarge as error:
                return str(error)
            return None  # the broker has yet to hear of it

        assert "raise its max.message.bytes" in await eventually(complaint, "it is refused")
        await bus.append([new()])

    async def test_a_call_larger_than_a_batch_keeps_its_order(self, log: KafkaLog) -> None:
        bus = await log.client(batch_bytes_max=2000)
        values = [b"%d" % number * 100 for number in range(10, 60)]
        positions = await bus.append([new(value) for value in values])
        assert [position.offset for position in positions] == list(range(50))
        reader = bus.reader(TOPIC)
        reader.assign({PARTITION: 0})
        found: list[bytes | None] = []
        while len(found) < 50:
            found += [record.value for record in (await reader.poll(timeout_seconds=5))[PARTITION]]
        assert found == values


class TestReading:
    async def test_a_record_larger_than_a_read_is_not_hidden_by_a_busy_partition(self, log: KafkaLog) -> None:
        bus = await log.client(poll_bytes_max=4096, batch_bytes_max=2048)
        large_in = next(each for each in range(PARTITION_COUNT) if each != PARTITION)
        key = next(b"key%d" % n for n in range(200) if partition_of(b"key%d" % n, PARTITION_COUNT) == large_in)
        await bus.append([new(b"x" * 500)] * 200)
        await bus.append([NewRecord(topic=TOPIC, key=key, headers=(), value=b"x" * 90_000)])
        reader = bus.reader(TOPIC)
        reader.assign({PARTITION: 0, large_in: 0})
        for _ in range(20):  # of some 50 that the busy one needs
            if large_in in await reader.poll(timeout_seconds=5):
                break
        assert reader.positions()[large_in] == 1
        assert reader.positions()[PARTITION] < 200


class TestGroups:
    async def test_kafkas_own_tools_see_what_each_member_owns_and_its_lag(self, log: KafkaLog) -> None:
        bus = await log.client()
        member = await bus.join("g", TOPIC, member_id="worker-1")
        owned = await member.next_assignment(timeout_seconds=5)
        assert owned is not None
        await bus.append([new()] * 3)
        await member.commit({PARTITION: 1}, generation=owned.generation)
        admin = AIOKafkaAdminClient(bootstrap_servers=log.cluster.bootstrap_servers)
        await admin.start()
        group_id = f"{log.prefix}{TOPIC}.g"
        (answer,) = await admin.describe_consumer_groups([group_id])
        offsets = await admin.list_consumer_group_offsets(group_id)
        await admin.close()
        ((_, _, state, _, _, ((member_id, *_, assignment),), *_),) = answer.groups
        assert (state, member_id.startswith("worker-1")) == ("Stable", True)
        assigned = ConsumerProtocol.ASSIGNMENT.decode(assignment).partitions()
        assert {place.partition for place in assigned} == set(range(PARTITION_COUNT))
        assert [(place.partition, found.offset) for place, found in offsets.items()] == [(PARTITION, 1)]

    async def test_a_session_that_brokers_do_not_take_and_a_strangers_group_are_refused(self, log: KafkaLog) -> None:
        bus = await log.client(session_timeout_seconds=0.5)
        with pytest.raises(PermanentError, match=r"UPSHOT_KAFKA_SESSION_TIMEOUT_SECONDS=0\.5: it must lie between"):
            await bus.join("g", TOPIC, member_id="a")
        stranger = AIOKafkaConsumer(
            log.prefix + TOPIC, bootstrap_servers=log.cluster.bootstrap_servers, group_id=f"{log.prefix}{TOPIC}.taken"
        )
        await stranger.start()
        await eventually(lambda: _truth(stranger.assignment()), "the stranger is in the group")
        with pytest.raises(PermanentError, match="members that are not Upshot's"):
            await (await log.client()).join("taken", TOPIC, member_id="a")
        await stranger.stop()

    async def test_a_join_of_its_own_that_is_noticed_late_does_not_end_a_member(self, log: KafkaLog) -> None:
        """As of a broker that was asleep: it reads what waited in its sockets, and nobody waits for the answer any more."""
        await log.client()  # makes the topics
        settings = settings_of(log.cluster.bootstrap_servers, log.prefix)
        names = {"group_id": f"{log.prefix}late", "topic": log.prefix + TOPIC, "instance": "a"}

        class UnansweredOnce(GroupLink):
            unanswered = 1

            async def join(self, seat: Seat, claims: Claims) -> tuple[Seat, Mapping[str, Part]]:
                if self.unanswered:
                    self.unanswered -= 1
                    raise TransientError("no answer came")
                return await super().join(seat, claims)

        link = UnansweredOnce(settings, CLOCK, partition_count=PARTITION_COUNT, **names)
        member = KafkaMembership(link, settings, CLOCK, member_id="a", name="late")
        await member.start()
        owned = await member.next_assignment(timeout_seconds=10)
        assert owned is not None
        assert len(owned.partitions) == PARTITION_COUNT

        # when the broker takes notice of what went unanswered
        late = GroupLink(settings, CLOCK, partition_count=PARTITION_COUNT, **names)
        await late.join(Seat("", -1), Claims())
        told = await member.next_assignment(timeout_seconds=10)
        while told is not None and not told.partitions:
            told = await member.next_assignment(timeout_seconds=10)

        # then
        assert told is not None
        await eventually(lambda: _truth(member.alive()), "it may act again")
        await member.commit({PARTITION: 1}, generation=told.generation)
        await member.leave()
        await late.close()


class TestWhenNothingIsAnswered:
    async def test_members_fall_silent_by_their_own_clock_and_appends_are_in_doubt(self, log: KafkaLog) -> None:
        """As behind a cable that was pulled out: connections stay open and nothing arrives."""
        async with tcp_proxies(log.cluster.detours) as network:
            settings = settings_of(
                log.cluster.detour_servers,
                log.prefix,
                append_timeout_seconds=2,
                append_patience_seconds=0.5,
                request_timeout_seconds=3,
            )
            bus = await KafkaBus.open(settings, CLOCK, topics=TOPICS)
            member = await bus.join("g", TOPIC, member_id="a")
            owned = await member.next_assignment(timeout_seconds=5)
            reader = bus.reader(TOPIC)
            reader.assign({PARTITION: 0})
            await bus.append([new()])
            assert len((await reader.poll(timeout_seconds=5))[PARTITION]) == 1
            for proxy in network.proxies:
                proxy.hang()
            hanging = asyncio.create_task(bus.append([new()]))
            await eventually(
                lambda: _truth(not member.alive()), "the member knows that it must not act", timeout_seconds=5
            )
            with pytest.raises(AppendInDoubt):
                await hanging
            with pytest.raises(TransientError):
                await bus.watermarks(TOPIC)
            for proxy in network.proxies:
                await proxy.heal()

            async def again() -> bool:
                try:
                    return bool(await bus.append([new()]))
                except TransientError:
                    return False

            await eventually(again, "appends are taken again")
            # The group had given it up meanwhile: it is told so before it may act again.
            change = await member.next_assignment(timeout_seconds=10)
            assert owned is not None
            assert change is not None
            assert change.revoked == owned.partitions
            await eventually(lambda: _truth(member.alive()), "the member is heard again")

            async def read() -> bool:
                try:
                    return bool(await reader.poll(timeout_seconds=1))
                except TransientError:
                    return False

            await eventually(read, "the reader goes on")
            await bus.close()

    async def test_who_gives_up_soon_is_answered_in_the_end_though_connections_are_dead(self, log: KafkaLog) -> None:
        """As after a firewall that began anew: nothing tells a client that its connection leads nowhere any more."""
        await log.client()  # makes the topics
        async with tcp_proxies(log.cluster.detours) as network:
            settings = settings_of(log.cluster.detour_servers, log.prefix, request_timeout_seconds=2)
            bus = await KafkaBus.open(settings, CLOCK, topics=TOPICS)
            await bus.watermarks(TOPIC)
            for proxy in network.proxies:
                proxy.forget()
            await eventually(partial(_is_told_in, 0.5, bus), "the impatient are answered", timeout_seconds=20)
            await bus.close()

    async def test_who_gives_up_soon_is_answered_in_the_end_though_an_address_is_dead(self, log: KafkaLog) -> None:
        await log.client()  # makes the topics
        async with tcp_proxies(log.cluster.detours) as network:
            for proxy in network.proxies:
                proxy.hang()
            servers = f"{log.cluster.detour_servers},{log.cluster.bootstrap_servers}"
            settings = settings_of(servers, log.prefix, request_timeout_seconds=1.5)
            bus = KafkaBus(settings, CLOCK, TOPICS)
            await eventually(partial(_is_told_in, 0.5, bus), "the impatient are answered", timeout_seconds=20)
            await bus.close()

    async def test_a_client_that_knows_no_broker_any_more_begins_anew(self, log: KafkaLog) -> None:
        """As one that was told of none, by a broker that had just come back before all others."""
        await log.client()  # makes the topics
        clock = SettableClock()
        link = Link(settings_of(log.cluster.bootstrap_servers, log.prefix), clock, frozenset({log.prefix + TOPIC}))
        partitions = range(PARTITION_COUNT)
        assert (await link.leaders(log.prefix + TOPIC, partitions)).keys() == set(partitions)
        client = await link.client()
        client.cluster._brokers.clear()
        client.cluster._partitions.clear()
        for connection in tuple(client._conns.values()):
            connection.close()
        assert not await link.leaders(log.prefix + TOPIC, partitions)
        clock.seconds += 60
        assert not await link.leaders(log.prefix + TOPIC, partitions)
        assert (await link.leaders(log.prefix + TOPIC, partitions)).keys() == set(partitions)
        await link.close()

    async def test_a_connection_that_the_loop_has_closed_is_taken_for_one_that_is_closed(
        self, kafka_broker: KafkaCluster
    ) -> None:
        """In the moment in which aiokafka has not been told yet. The RuntimeError of this loop ended the tasks that it
        reached."""
        link = Link(settings_of(kafka_broker.bootstrap_servers, ""), CLOCK)
        client = await link.client()
        (node_id, *_) = await link.broker_ids()
        await link.send(node_id, MetadataRequest([]))
        connection = client._conns[node_id, Lane.FIRST.value]
        connection._writer.transport.abort()
        await asyncio.sleep(0)
        with pytest.raises(KafkaConnectionError):
            connection.send(MetadataRequest([]))
        await link.send(node_id, MetadataRequest([]))
        await link.close()

    async def test_a_client_that_keeps_no_metadata_any_more_is_replaced(self, log: KafkaLog) -> None:
        link = Link(settings_of(log.cluster.bootstrap_servers, log.prefix), CLOCK)
        client = await link.client()
        client._sync_task.cancel()
        await asyncio.wait([client._sync_task])
        assert await link.client() is not client
        await link.close()


class SettableClock(SystemClock):
    """As the system's, but for what is added."""

    seconds = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.seconds


async def _is_told_in(seconds: float, bus: KafkaBus) -> bool:
    try:
        async with asyncio.timeout(seconds):
            return bool(await bus.watermarks(TOPIC))
    except (TimeoutError, TransientError):
        return False


class TestReaching:
    async def test_brokers_that_are_away_or_unknown_are_named(self) -> None:
        for servers, complaint in (
            ("127.0.0.1:1", r"at 127\.0\.0\.1:1 is away: nothing listens there"),
            (
                "no-such-host.invalid:9092",
                r"the name of .*no-such-host\.invalid.* check UPSHOT_KAFKA_BOOTSTRAP_SERVERS",
            ),
        ):
            with pytest.raises(TransientError, match=complaint):
                await KafkaBus.open(settings_of(servers, ""), CLOCK)

    async def test_brokers_without_a_request_that_is_needed_are_refused(self, log: KafkaLog) -> None:
        class FromAnotherTime(FetchRequest_v11):  # type: ignore[misc]  # aiokafka has no types
            API_VERSION = 30_000

        class Unheard(Request[FromAnotherTime]):  # type: ignore[misc]  # as above
            API_KEY = FromAnotherTime.API_KEY

            def build(self, request_struct_class: type[FromAnotherTime]) -> FromAnotherTime:
                raise AssertionError("no broker has it")

        link = Link(settings_of(log.cluster.bootstrap_servers, log.prefix), CLOCK)
        (node_id, *_) = await link.broker_ids()
        with pytest.raises(PermanentError, match="too old or too new"):
            await link.send(node_id, Unheard())
        await link.close()

    async def test_users_and_certificates_are_checked_and_each_refusal_says_what_to_look_at(
        self, secured_kafka: KafkaCluster, tmp_path: Path
    ) -> None:
        def secure(**overrides: object) -> KafkaSettings:
            values: dict[str, object] = {
                "security_protocol": "SASL_SSL",
                "sasl_user": "admin",
                "sasl_password": USERS["admin"],
                "tls_ca_file": secured_kafka.certificates / "ca.pem",
            }
            return settings_of(secured_kafka.bootstrap_servers, "", **(values | overrides))

        async def complaint(**overrides: object) -> str:
            with pytest.raises((PermanentError, TransientError)) as raised:
                await KafkaBus.open(secure(**overrides), CLOCK, topics=TOPICS)
            return str(raised.value)

        for mechanism in ("SCRAM-SHA-512", "PLAIN"):
            bus = await KafkaBus.open(secure(sasl_mechanism=mechanism), CLOCK, topics=TOPICS)
            await bus.append([new()])
            await bus.close()
        assert "refuses the user admin" in await complaint(sasl_password=SecretStr("wrong"))
        assert "not trusted" in await complaint(tls_ca_file=None)
        assert "cannot be used" in await complaint(tls_ca_file=tmp_path / "none.pem")
        plain = await complaint(security_protocol="PLAINTEXT", tls_ca_file=None, request_timeout_seconds=1)
        assert "UPSHOT_KAFKA_SECURITY_PROTOCOL" in plain or "does not answer" in plain
        assert "SASL_USER and UPSHOT_KAFKA_SASL_PASSWORD" in await complaint(sasl_user=None)
        assert "grant" in await complaint(sasl_user="upstream", sasl_password=USERS["upstream"], topic_prefix="x.")

    async def test_a_port_in_plain_text_is_not_taken_for_one_with_tls(self, kafka_broker: KafkaCluster) -> None:
        settings = settings_of(kafka_broker.bootstrap_servers, "", security_protocol="SSL")
        with pytest.raises((PermanentError, TransientError), match="UPSHOT_KAFKA_SECURITY_PROTOCOL"):
            await KafkaBus.open(settings, CLOCK)


PRIVATE_PARTS = (
    "aiokafka.client:AIOKafkaClient.bootstrap",
    "aiokafka.client:AIOKafkaClient.send",
    "aiokafka.client:AIOKafkaClient.set_topics",
    "aiokafka.client:AIOKafkaClient.force_metadata_update",
    "aiokafka.client:AIOKafkaClient.coordinator_lookup",
    "aiokafka.client:AIOKafkaClient.close",
    "aiokafka.client:ConnectionGroup.COORDINATION",
    "aiokafka.client:CoordinationType.GROUP",
    "aiokafka.cluster:ClusterMetadata.leader_for_partition",
    "aiokafka.cluster:ClusterMetadata.broker_metadata",
    "aiokafka.cluster:ClusterMetadata.brokers",
    "aiokafka.client:AIOKafkaClient._md_synchronizer",
    "aiokafka.conn:AIOKafkaConnection.send",
    "aiokafka.conn:AIOKafkaConnection._send_sasl_token",
    "aiokafka.conn:create_conn",
    "aiokafka.conn:collect_hosts",
    "aiokafka.coordinator.protocol:ConsumerProtocol.METADATA",
    "aiokafka.coordinator.protocol:ConsumerProtocol.ASSIGNMENT",
    "aiokafka.errors:for_code",
    "aiokafka.producer.message_accumulator:MessageAccumulator.fail_all",
    "aiokafka.producer.sender:Sender.close",
    "aiokafka.protocol.api:Request.build",
    "aiokafka.protocol.commit:OffsetCommitRequest",
    "aiokafka.protocol.commit:OffsetFetchRequest",
    "aiokafka.protocol.fetch:FetchRequest_v11",
    "aiokafka.protocol.group:JoinGroupRequest",
    "aiokafka.protocol.group:SyncGroupRequest",
    "aiokafka.protocol.offset:OffsetRequest",
    "aiokafka.record.control_record:ControlRecord.parse",
    "aiokafka.record.memory_records:MemoryRecords",
)


class TestPrivateParts:
    """A new version of aiokafka that drops one of them fails here, by name, and not in production."""

    @pytest.mark.parametrize("name", PRIVATE_PARTS)
    def test_of_aiokafka_that_are_used_are_there(self, name: str) -> None:
        module, _, path = name.partition(":")
        assert reduce(getattr, path.split("."), importlib.import_module(module)) is not None

    def test_signatures_are_those_that_are_called(self) -> None:
        from aiokafka.client import AIOKafkaClient
        from aiokafka.protocol.commit import OffsetCommitRequest
        from aiokafka.protocol.fetch import FetchResponse_v11
        from aiokafka.protocol.group import JoinGroupRequest, JoinGroupResponse_v5, SyncGroupRequest
        from aiokafka.protocol.offset import OffsetRequest

        def parameters(call: object) -> list[str]:
            return list(inspect.signature(call).parameters)[1:]  # type: ignore[arg-type]  # a function of aiokafka's

        assert parameters(AIOKafkaClient.send) == ["node_id", "request", "group"]
        assert len(parameters(JoinGroupRequest.__init__)) == 7
        assert len(parameters(SyncGroupRequest.__init__)) == 5
        assert len(parameters(OffsetCommitRequest.__init__)) == 5
        session = ("isolation_level", "session_id", "session_epoch", "topics", "forgotten_topics_data", "rack_id")
        assert FetchRequest_v11.SCHEMA.names == ("replica_id", "max_wait_time", "min_bytes", "max_bytes", *session)
        assert parameters(OffsetRequest.__init__) == ["replica_id", "isolation_level", "topics"]
        assert JoinGroupResponse_v5.SCHEMA.names[-1] == "members"
        assert FetchResponse_v11.SCHEMA.names[-1] == "topics"

    async def test_a_producer_has_the_parts_by_which_it_is_taken_apart(self, kafka_broker: KafkaCluster) -> None:
        from aiokafka import AIOKafkaProducer

        producer = AIOKafkaProducer(bootstrap_servers=kafka_broker.bootstrap_servers, enable_idempotence=True)
        await producer.start()
        sequences = producer._txn_manager.increment_sequence_number
        parts = [producer.client.close, producer._sender.close, producer._message_accumulator.fail_all, sequences]
        assert all(map(callable, parts))
        assert producer._closed is False
        await producer.stop()

    def test_requests_of_our_own_are_those_that_know_static_members(self) -> None:
        heartbeat = Heartbeat("g", 1, "m", "i").prepare({12: (0, 4)})
        leave = LeaveGroup("g", "m", "i").prepare({13: (0, 5)})
        assert (heartbeat.API_VERSION, leave.API_VERSION) == (3, 3)
        assert heartbeat.encode() == b"\x00\x01g\x00\x00\x00\x01\x00\x01m\x00\x01i"
        assert leave.encode() == b"\x00\x01g\x00\x00\x00\x01\x00\x01m\x00\x01i"


async def _truth(state: object) -> bool:
    return bool(state)
