"""The matcher's stream on a real Kafka, beside what it should have come to: a log of its own, members that come, fail and go."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import orjson
import pytest_asyncio
from aiokafka.admin import AIOKafkaAdminClient

from services.executor.actions import discover_actions
from services.matcher.service import Matching
from services.matcher.service.matcher import GROUP
from services.matcher.settings import MatcherSettings
from services.matcher.stream import MatcherStream
from services.matcher.triggers import discover_triggers
from shared.bus import codec, facts
from shared.bus.adapters.kafka.bus import KafkaBus
from shared.bus.adapters.kafka.settings import KafkaSettings
from shared.bus.facts import Cause
from shared.bus.partitioner import partition_of
from shared.bus.port import Bus, NewRecord, Record
from shared.bus.seal import Seal, SealedBus, seal_key
from shared.bus.topics import DEFINITIONS, EVENTS, RUNS, TOPICS
from shared.domain import rfc3339
from shared.domain.envelope import Event
from shared.domain.errors import TransientError
from shared.domain.records import Command, DefinitionsFact, TenantCreated, WorkflowSaved
from shared.readmodel.snapshots import WindowsSnapshot
from shared.runtime.clock import SystemClock, draw_token
from shared.runtime.definitions import DefinitionsFollower
from shared.testing.documents import COUNT, Document, wait, workflow
from shared.testing.folds import NothingRemembered
from shared.testing.kafka import KafkaCluster
from shared.testing.waiting import eventually
from shared.workflows.catalogue import Catalogue
from shared.workflows.check import check_document
from shared.workflows.document import parse_document

PARTITIONS = 4
AT = datetime(2026, 3, 1, tzinfo=UTC)
CATALOGUE = Catalogue(actions=discover_actions(), triggers=discover_triggers(), event_schemas={})
WORKFLOWS = (workflow("sold", "shop.sold", wait(1)), {"name": "denied", "trigger": COUNT, "steps": [wait(1)]})


def tenants() -> list[str]:
    """One of each partition, in their order."""
    found: dict[int, str] = {}
    for number in itertools.count():
        name = f"tenant-{number}"
        found.setdefault(partition_of(name.encode(), PARTITIONS), name)
        if len(found) == PARTITIONS:
            return [found[partition] for partition in range(PARTITIONS)]
    raise AssertionError


TENANTS = tenants()


class StandingClock(SystemClock):
    """Nothing that is appended tells when."""

    def now(self) -> datetime:
        return AT + timedelta(days=1)


def definitions(documents: Sequence[Document] = WORKFLOWS) -> list[NewRecord]:
    """Every tenant with every workflow."""
    written: list[tuple[str, DefinitionsFact]] = []
    for tenant_id in TENANTS:
        written.append((tenant_id, TenantCreated(name=tenant_id, plan="standard", command=_command(f"{tenant_id}"))))
        for document in documents:
            checked = check_document(parse_document(document), CATALOGUE)
            workflow_id = f"{document['name']}-{tenant_id}"
            written.append(
                (
                    tenant_id,
                    WorkflowSaved(
                        workflow_id=workflow_id,
                        base_revision=None,
                        document=checked.document,
                        steps=checked.steps,
                        high_risk=checked.high_risk,
                        command=_command(workflow_id),
                    ),
                )
            )
    cause = Cause(causation_id=None, correlation_id=None)
    return [
        codec.encode(
            DEFINITIONS, facts.envelop(fact, id=f"d{number}", tenant_id=tenant_id, source="/test", at=AT, cause=cause)
        )
        for number, (tenant_id, fact) in enumerate(written)
    ]


def _command(command_id: str) -> Command:
    return Command(id=command_id, payload_hash="", actor="ann")


def event(number: int, event_type: str = "shop.sold", tenant_id: str | None = None, **data: object) -> NewRecord:
    """Tenants take turns. Recorded when it happened, as in a copied log, so that windows do not depend on the broker's clock."""
    of = tenant_id if tenant_id is not None else TENANTS[number % PARTITIONS]
    happened = Event(
        id=f"e{number}", source="/shop", type=event_type, tenant_id=of, data=orjson.dumps(data), time=AT, subject="s"
    )
    record = codec.encode(EVENTS, happened)
    recorded = (codec.RECORDED_TIME, rfc3339.render(AT).encode())
    return NewRecord(topic=EVENTS, key=record.key, headers=(*record.headers, recorded), value=record.value)


class Snapshots(NothingRemembered):
    """The read model of somebody who has just begun. Counts what is restored; a test may hold it back."""

    def __init__(self) -> None:
        self.restored: list[int] = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def windows(self, partitions: Collection[int]) -> Mapping[int, WindowsSnapshot]:
        await self.may_answer.wait()
        self.restored += partitions
        return await super().windows(partitions)


class Member:
    """One process of the matcher, without the process."""

    def __init__(
        self,
        log: "Log",
        name: str,
        matching: Matching,
        definitions: DefinitionsFollower,
        bus: Bus,
        settings: MatcherSettings,
    ) -> None:
        self.matching = matching
        self.snapshots = Snapshots()
        self.stream = MatcherStream(
            bus,
            definitions,
            matching,
            settings,
            kafka=log.kafka,
            member_id=f"{name}-{draw_token(6)}",
            snapshots=self.snapshots,
            clock=log.clock,
        )
        self.running: asyncio.Task[None] | None = None

    def start(self) -> None:
        self.running = asyncio.create_task(self.stream.run())

    async def stop(self) -> None:
        if self.running is not None:
            self.running.cancel()
            await asyncio.gather(self.running, return_exceptions=True)

    @property
    def owned(self) -> set[int]:
        """What it acts on."""
        return set(self.matching.memories)


class Log:
    """Topics of its own on the session's broker."""

    def __init__(self, kafka: KafkaSettings, bus: Bus, admin: AIOKafkaAdminClient, clock: SystemClock) -> None:
        self.kafka = kafka
        self.admin = admin
        self.bus = bus
        self.clock = clock
        self._runs = bus.reader(RUNS)
        self._runs.assign(dict.fromkeys(range(PARTITIONS), 0))
        self.runs: list[Record] = []

    @contextlib.asynccontextmanager
    async def member(
        self,
        name: str,
        *,
        bus: Bus | None = None,
        matching: type[Matching] = Matching,
        settings: MatcherSettings | None = None,
    ) -> AsyncIterator[Member]:
        """Ready to be started; stopped, if it has not ended, and gone in the end."""
        settings = settings or MatcherSettings(retry_seconds=0.05, commit_interval_seconds=0.05)
        followed = DefinitionsFollower(self.bus)
        made = matching(
            followed.definitions,
            CATALOGUE,
            settings,
            self.clock,
            partition_count=PARTITIONS,
            record_bytes_max=self.bus.record_bytes_max,
        )
        followed.listen(made.definition_changed)
        await followed.start()
        it = Member(self, name, made, followed, bus or self.bus, settings)
        try:
            yield it
        finally:
            await it.stop()
            await followed.close()

    async def read_runs(self) -> list[Record]:
        """All of `upshot.runs` by now, in the order in which it was read."""
        ends = await self.bus.watermarks(RUNS)
        while any(at < ends[partition].high for partition, at in self._runs.positions().items()):
            for records in (await self._runs.poll(timeout_seconds=1.0)).values():
                self.runs += records
        return self.runs

    async def matched(self, count: int) -> list[str]:
        """The ids of the events that `event.matched` tells of, once there are that many."""

        async def told() -> list[str]:
            found = [codec.decode(record) for record in await self.read_runs()]
            ids = [str(each.causation_id) for each in found if each.type == "event.matched"]
            return ids if len(set(ids)) >= count else []

        return await eventually(told, f"{count} events are matched", interval_seconds=0.02)

    async def committed(self) -> Mapping[int, int]:
        """What the group has committed, to whoever is no member of it."""
        return await self.bus.committed(GROUP, EVENTS)

    async def ends(self) -> Mapping[int, int]:
        """Where `upshot.events` ends."""
        return {partition: marks.high for partition, marks in (await self.bus.watermarks(EVENTS)).items()}

    async def settled(self) -> None:
        """Returns when everything is committed."""

        async def level() -> bool:
            try:
                committed = await self.committed()
            except TransientError:  # the first group of a new broker has no coordinator for a moment
                return False
            return all(committed.get(partition) == end for partition, end in (await self.ends()).items())

        await eventually(level, "lag is back at 0", interval_seconds=0.02)


@pytest_asyncio.fixture(loop_scope="session")
async def log(kafka_broker: KafkaCluster) -> AsyncIterator[Log]:
    """With every tenant and workflow defined."""
    async with opened(kafka_broker) as it:
        yield it


@contextlib.asynccontextmanager
async def opened(
    kafka_broker: KafkaCluster,
    documents: Sequence[Document] = WORKFLOWS,
    clock: Callable[[], SystemClock] = StandingClock,
) -> AsyncIterator[Log]:
    kafka = KafkaSettings(
        bootstrap_servers=kafka_broker.bootstrap_servers,
        topic_prefix=f"{draw_token(6)}.",
        partition_count=PARTITIONS,
        heartbeat_interval_seconds=0.2,
    )
    made_clock = clock()
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    await admin.start()
    bus = SealedBus(await KafkaBus.open(kafka, made_clock), Seal(seal_key(b"master")))
    try:
        await bus.append(definitions(documents))
        yield Log(kafka, bus, admin, made_clock)
    finally:
        await bus.close()
        await admin.delete_topics([kafka.topic_prefix + topic for topic in TOPICS])
        await admin.close()
