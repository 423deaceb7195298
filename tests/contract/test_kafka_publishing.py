"""Clients that share no code with us append to `upshot.events` of a real Kafka: each of their events starts one run, and what
is no event is a dead letter and holds nothing up. The samples of the documentation are among them.
"""

import asyncio
import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from aiokafka.admin import AIOKafkaAdminClient

from services.executor.actions import discover_actions
from services.matcher.service import Matching
from services.matcher.settings import MatcherSettings
from services.matcher.triggers import discover_triggers
from shared.bus import codec, facts
from shared.bus.adapters.kafka import KafkaBus, KafkaSettings
from shared.bus.deadletters import DeadLetter, read_letter
from shared.bus.partitioner import partition_of
from shared.bus.port import Record
from shared.bus.seal import Seal, SealedBus, seal_key
from shared.bus.sizes import RECORD_BYTES_MAX_DEFAULT
from shared.bus.topics import DEADLETTERS, EVENTS, RUNS, TOPICS
from shared.domain.definitions import Definitions
from shared.domain.ids import published_event_id
from shared.domain.records import Command, EventMatched, TenantCreated, WorkflowSaved
from shared.runtime.clock import SystemClock
from shared.testing.kafka import TOOLS, KafkaCluster, java_command
from shared.testing.markdown import snippets
from shared.workflows.catalogue import Catalogue
from shared.workflows.check import check_document
from shared.workflows.document import parse_document

pytestmark = pytest.mark.asyncio(loop_scope="session")

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = [each for each in snippets(ROOT) if each.document == "docs/how-to/publish-to-kafka.md"]
PARTITIONS = 4
TENANTS = ("acme", "globex", "initech", "umbrella", "hooli", "stark")
needs_kcat = pytest.mark.skipif(
    shutil.which("kcat") is None, reason="kcat is not installed: clients of librdkafka were not tested"
)


@dataclass(slots=True)
class Published:
    """A log that others write to, and the matcher's core upon it."""

    cluster: KafkaCluster
    prefix: str
    bus: SealedBus
    matching: Matching
    scripts: Path

    async def run(self, *command: str | bytes, given: bytes = b"") -> str:
        """A client; it ends well."""
        environment = os.environ | {
            "KAFKA_BOOTSTRAP_SERVERS": self.cluster.bootstrap_servers,
            "PATH": f"{self.scripts}:{os.environ['PATH']}",
        }
        done = await asyncio.to_thread(
            subprocess.run,
            command,
            input=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=self.scripts,
            timeout=60,
            check=False,
        )
        told = done.stdout.decode(errors="replace")
        assert done.returncode == 0, told
        return told

    async def kcat(self, *options: str | bytes, given: bytes = b"{}", topic: str = EVENTS) -> None:
        servers = self.cluster.bootstrap_servers
        await self.run("kcat", "-P", "-b", servers, "-t", self.prefix + topic, *options, given=given)

    async def sample(self, kind: str, text: str) -> None:
        """One of the documentation's, told the prefix of this log."""
        text = text.replace("upshot.events", self.prefix + EVENTS)
        await self.run(
            *((sys.executable, "-c") if kind.startswith("python") else ("bash", "-euo", "pipefail", "-c")), text
        )

    async def match_all(self) -> None:
        """Up to the end, which the matcher itself moves on."""
        for partition in range(PARTITIONS):
            self.matching.memories.clear()
            await self._match(partition)
        for partition in range(PARTITIONS):
            await self._match(partition)

    async def _match(self, partition: int) -> None:
        reader = self.bus.reader(EVENTS)
        try:
            reader.assign({partition: 0})
            end = (await self.bus.watermarks(EVENTS, [partition]))[partition].high
            while reader.positions()[partition] < end:
                for records in (await reader.poll(timeout_seconds=5)).values():
                    await self.bus.append(self.matching.handle_batch(partition, records).records)
        finally:
            await reader.close()

    async def all_of(self, topic: str) -> list[Record]:
        reader = self.bus.reader(topic)
        try:
            ends = {each: marks.high for each, marks in (await self.bus.watermarks(topic)).items()}
            reader.assign(dict.fromkeys(ends, 0))
            found: list[Record] = []
            while any(at < ends[each] for each, at in reader.positions().items()):
                for records in (await reader.poll(timeout_seconds=5)).values():
                    found += records
            return found
        finally:
            await reader.close()

    async def runs(self) -> dict[str, set[str]]:
        """Run ids by the event that started them."""
        started: dict[str, set[str]] = {}
        for record in await self.all_of(RUNS):
            fact = facts.runs_fact(codec.decode(record))
            assert isinstance(fact, EventMatched)
            started.setdefault(fact.event.id, set()).update(each.run_id for each in fact.matches)
        return started

    async def letters(self) -> list[DeadLetter]:
        read = [read_letter(each) for each in await self.all_of(DEADLETTERS)]
        return [each for each in read if isinstance(each, DeadLetter)]


@pytest.fixture(scope="module")
def scripts(kafka_broker: KafkaCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Kafka's shell scripts, as its distribution has them on the PATH; `admin.properties` is for the plain-text broker."""
    folder = tmp_path_factory.mktemp("scripts")
    if kafka_broker.nodes:
        node = kafka_broker.nodes[0]
        for name in ("console-producer", "acls"):
            command = java_command(node.jars, heap_mb=128, temporary=folder)
            script = folder / f"kafka-{name}.sh"
            script.write_text(f'#!/bin/sh\nexec {" ".join(command)} {TOOLS[name]} "$@"\n')
            script.chmod(0o755)
    yield folder


_numbers = iter(range(1000))


@asynccontextmanager
async def published(cluster: KafkaCluster, scripts: Path) -> AsyncIterator[Published]:
    prefix = f"pub-{os.getpid()}-{next(_numbers)}."
    settings = KafkaSettings(
        bootstrap_servers=cluster.bootstrap_servers, topic_prefix=prefix, partition_count=PARTITIONS
    )
    clock = SystemClock()
    bus = await KafkaBus.open(settings, clock)
    definitions = Definitions()
    catalogue = Catalogue(actions=discover_actions(), triggers=discover_triggers(), event_schemas={})
    matching = Matching(
        definitions,
        catalogue,
        MatcherSettings(),
        clock,
        partition_count=PARTITIONS,
        record_bytes_max=RECORD_BYTES_MAX_DEFAULT,
    )
    document = {
        "name": "note",
        "trigger": {"event": ["order.created", "shop.opened"]},
        "steps": [{"id": "note", "uses": "wait", "with": {"seconds": 0}}],
    }
    checked = check_document(parse_document(document), catalogue)
    for tenant in TENANTS:
        created = TenantCreated(name=tenant, plan="free", command=Command(id="c1", payload_hash="", actor="ann"))
        saved = WorkflowSaved(
            workflow_id=f"w-{tenant}",
            base_revision=None,
            document=checked.document,
            steps=checked.steps,
            high_risk=False,
            command=Command(id="c2", payload_hash="", actor="ann"),
        )
        for fact in (created, saved):
            matching.definition_changed(definitions.apply(tenant, fact, clock.now()))
    try:
        yield Published(cluster, prefix, SealedBus(bus, Seal(seal_key(b"master"))), matching, scripts)
    finally:
        await bus.close()
        admin = AIOKafkaAdminClient(bootstrap_servers=cluster.bootstrap_servers)
        await admin.start()
        await admin.delete_topics([prefix + topic for topic in TOPICS])
        await admin.close()


@pytest_asyncio.fixture(loop_scope="session")
async def log(kafka_broker: KafkaCluster, scripts: Path) -> AsyncIterator[Published]:
    async with published(kafka_broker, scripts) as it:
        yield it


def named(tenant: str, event_id: str, event_type: str = "shop.opened", **more: str) -> list[str]:
    """kcat's options for an event's headers."""
    attributes = {
        "specversion": "1.0",
        "id": event_id,
        "source": "/shop",
        "type": event_type,
        "tenantid": tenant,
        **more,
    }
    return [option for name, value in attributes.items() for option in ("-H", f"ce_{name}={value}")]


@needs_kcat
async def test_the_samples_of_the_documentation_are_events(log: Published) -> None:
    samples = [each for each in SAMPLES if each.kind in ("python kafka", "sh kafka")]
    if not log.cluster.nodes:
        samples = [each for each in samples if "console-producer" not in each.text]
    await asyncio.gather(*(log.sample(each.kind, each.text) for each in samples))
    await log.match_all()

    by = {"o-1": "aiokafka", "o-2": "kcat", "o-3": "kcat", "o-4": "console"}
    expected = {published_event_id("acme", f"/samples/{who}", each) for each, who in by.items()}
    assert len(samples) == len(expected)
    runs = await log.runs()
    assert set(runs) == expected
    assert all(len(each) == 1 for each in runs.values())
    assert log.matching.counts["rerouted"] == 0
    assert await log.letters() == []


@needs_kcat
async def test_whatever_the_partitioner_each_event_starts_one_run(log: Published) -> None:
    """librdkafka's default is CRC32; a client without a key scatters. Each is sent in either mode, and all is read twice."""
    for tenant in TENANTS:
        members = {"specversion": "1.0", "id": "s-1", "source": "/shop", "type": "shop.opened", "tenantid": tenant}
        body = json.dumps({**members, "data": {}})
        await log.kcat("-k", tenant, *named(tenant, "b-1"))
        await log.kcat("-k", tenant, "-X", "topic.partitioner=murmur2_random", *named(tenant, "b-1"))
        await log.kcat("-H", "content-type=Application/CloudEvents+JSON; charset=utf-8", given=body.encode())
    await log.match_all()
    await log.match_all()

    expected = {published_event_id(tenant, "/shop", each) for tenant in TENANTS for each in ("b-1", "s-1")}
    runs = await log.runs()
    assert set(runs) == expected
    assert all(len(each) == 1 for each in runs.values())
    assert log.matching.counts["rerouted"] > 0
    right = {tenant: partition_of(tenant.encode(), PARTITIONS) for tenant in TENANTS}
    events = [(each, codec.decode(each)) for each in await log.all_of(EVENTS)]
    assert {event.id for record, event in events if record.partition == right[event.tenant_id]} == expected
    assert await log.letters() == []


@needs_kcat
async def test_what_is_no_event_is_a_dead_letter_and_holds_nothing_up(log: Published) -> None:
    """One partition: everything lies behind something that is none, in batches of every compression."""
    to_acme = ("-k", "acme", "-X", "topic.partitioner=murmur2_random")
    sick: Mapping[str, tuple[tuple[str | bytes, ...], bytes]] = {
        "tombstone": (("-K:", "-Z"), b"acme:\n"),
        "no event": ((), b"hello"),
        "bytes": (tuple(named("acme", "x", subject="\udcff")), b"{}"),
        "no JSON": (tuple(named("acme", "y")), b"\xff\xfe"),
        "no tenant": (tuple(named("acme", "z"))[:-2], b"{}"),
        "schema": (tuple(named("acme", "v", "order.created")), b'{"order_id": 7}'),
        "forged": (tuple(named("acme", "w", "upshot.schedule.fired")), b"{}"),
        "large": (tuple(named("acme", "u")), b'"%s"' % (b"x" * 900_000)),
    }
    compressions = itertools.cycle(("none", "zstd", "lz4", "snappy", "gzip"))
    for options, value in sick.values():
        await log.kcat(*to_acme, "-z", next(compressions), *map(os.fsencode, options), given=value)
    await log.kcat(*to_acme, "-z", "zstd", "-H", b"\xffname=1", *named("acme", "well"))
    await log.kcat("-k", "x", *named("nobody", "n"))
    await log.match_all()

    assert set(await log.runs()) == {published_event_id("acme", "/shop", "well")}
    letters = {letter.id: letter for letter in await log.letters()}
    nobodys = [each for each in letters.values() if "there is no tenant 'nobody'" in each.reason]
    acme = sorted((each for each in letters.values() if each not in nobodys), key=lambda each: each.offset)
    assert [(each.partition, each.offset) for each in acme] == [
        (partition_of(b"acme", PARTITIONS), offset) for offset in range(len(sick))
    ]
    pointers = dict(zip(sick, ([flaw.pointer for flaw in each.flaws] for each in acme), strict=True))
    assert pointers == {
        "tombstone": ["#"],
        "no event": ["#"],
        "bytes": ["#/subject"],
        "no JSON": ["#/data"],
        "no tenant": ["#/tenantid"],
        "schema": ["#/data", "#/data", "#/data/order_id"],
        "forged": ["#/type", "#/data", "#/data", "#/data"],
        "large": ["#/data"],
    }
    assert acme[3].value == b"\xff\xfe"
    assert acme[-1].omitted_bytes > 900_000
    assert nobodys
