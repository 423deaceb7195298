"""A Faust agent does the matching: as the port's own loop does, through exceptions and rebalances, until nothing lags."""

import asyncio
from collections import Counter

import pytest

from services.matcher.service import Matcher, Matching
from services.matcher.settings import MatcherSettings
from shared.bus import codec, facts
from shared.bus.adapters.memory import MemoryBus
from shared.bus.port import NewRecord, Record
from shared.bus.sizes import RECORD_BYTES_MAX_DEFAULT
from shared.bus.topics import RUNS
from shared.domain.envelope import Event
from shared.domain.records import EventMatched
from shared.domain.windows import WindowKey, Windows
from shared.runtime.definitions import DefinitionsFollower
from shared.testing.folds import NothingRemembered
from shared.testing.waiting import eventually
from tests.contract.matcher_stream.conftest import CATALOGUE, PARTITIONS, TENANTS, Log, Member, definitions, event

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.xdist_group("kafka-stream")]


def mixed(count: int) -> list[NewRecord]:
    """Events that match, events that are counted (each third of a user's matches), events that nobody waits for."""
    kinds = ("shop.sold", "authz.denied", "shop.seen")
    return [event(n, kinds[n // PARTITIONS % 3], user=f"u{n // 24 % 2}") for n in range(count)]


def told(record: Record) -> tuple[int, str, bytes, bytes | None]:
    headers = dict(record.headers)
    return record.partition, headers["ce_type"].decode(), headers["ce_id"], record.value


async def by_the_ports_loop(log: Log, records: list[NewRecord]) -> list[Record]:
    """What the same log leads to there."""
    bus = MemoryBus(log.clock, partition_count=PARTITIONS)
    await bus.append(definitions())
    await bus.append(records)
    followed = DefinitionsFollower(bus)
    settings = MatcherSettings()
    matching = Matching(
        followed.definitions,
        CATALOGUE,
        settings,
        log.clock,
        partition_count=PARTITIONS,
        record_bytes_max=RECORD_BYTES_MAX_DEFAULT,
    )
    followed.listen(matching.definition_changed)
    await followed.start()
    matcher = Matcher(
        bus, followed, matching, settings, member_id="loop", snapshots=NothingRemembered(), clock=log.clock
    )
    running = asyncio.create_task(matcher.run())

    async def done() -> bool:
        return matching.counts["events"] == len(records)

    await eventually(done, "all is matched", interval_seconds=0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await followed.close()
    return [record for partition in range(PARTITIONS) for record in bus.log(RUNS, partition)]


async def test_the_agent_matches_as_the_ports_loop_does(log: Log) -> None:
    records = mixed(240)
    expected = await by_the_ports_loop(log, records)
    async with log.member("one") as member:
        await log.bus.append(records[:100])
        member.start()
        await log.bus.append(records[100:])
        await log.settled()
        assert member.matching.counts["events"] == len(records)

    for partition in range(PARTITIONS):
        of_loop = [told(each) for each in expected if each.partition == partition]
        assert [told(each) for each in await log.read_runs() if each.partition == partition] == of_loop
    kinds = Counter(kind for _, kind, _, _ in map(told, expected))
    assert kinds["event.matched"] > 80 < kinds["window.counted"] + 20, kinds


class FailsAt(Matching):
    """Comes upon a mistake of our own in the middle of a batch: what stands before it is matched."""

    def _match(self, event: Event, *rest: object) -> None:
        if event.id == "e50":
            raise MemoryError("in the middle of a batch")  # which no dead letter could mend
        super()._match(event, *rest)


async def test_an_exception_in_a_batch_ends_the_process_and_the_batch_is_read_again(log: Log) -> None:
    records = mixed(96)
    await log.bus.append(records[:40])
    async with log.member("one", matching=FailsAt) as member:
        member.start()
        await log.settled()
        before = await log.committed()
        await log.bus.append(records[40:])
        assert member.running is not None
        with pytest.raises(MemoryError, match="in the middle of a batch"):
            await asyncio.wait_for(member.running, 10)
        failed_in = TENANTS[50 % PARTITIONS]
        assert (await log.committed())[TENANTS.index(failed_in)] == before[TENANTS.index(failed_in)]
    async with log.member("two") as member:
        member.start()
        await log.settled()

    expected = await by_the_ports_loop(log, records)
    assert folded(await log.read_runs()) == folded(expected)


def folded(records: list[Record]) -> tuple[dict[str, bytes | None], dict[WindowKey, str]]:
    """What executors see: the first `event.matched` of each event, and the windows."""
    matched: dict[str, bytes | None] = {}
    windows = Windows()
    for record in records:
        event = codec.decode(record)
        fact = facts.runs_fact(event)
        if isinstance(fact, EventMatched):
            matched.setdefault(event.id, record.value)
        else:
            windows.apply(event.tenant_id, fact, codec.recorded_at(record), 0)
    return matched, {key: repr(window) for key, window in windows.items()}


class Held:
    """A bus whose appends wait, once they are told to."""

    def __init__(self, log: Log) -> None:
        self._bus = log.bus
        self.may_append = asyncio.Event()
        self.may_append.set()
        self.waiting = asyncio.Event()

    def __getattr__(self, name: str) -> object:
        return getattr(self._bus, name)

    async def append(self, records: list[NewRecord]) -> object:
        if not self.may_append.is_set():
            self.waiting.set()
            await self.may_append.wait()
        return await self._bus.append(records)


async def test_a_rebalance_in_the_middle_of_a_batch_waits_for_it_and_restores_only_what_moves(log: Log) -> None:
    held = Held(log)
    async with log.member("one", bus=held) as one, log.member("two") as two:
        await log.bus.append(mixed(48))
        one.start()
        await log.settled()
        assert sorted(one.snapshots.restored) == list(range(PARTITIONS))
        held.may_append.clear()
        await log.bus.append([event(n, "authz.denied", user="late") for n in range(100, 104)])
        await held.waiting.wait()
        two.start()
        # The group is asked to rebalance; it does not get far while the batch is in one's hands.
        await eventually(lambda: rebalancing(one), "the rebalance has begun", interval_seconds=0.02)
        assert two.owned == set()
        held.may_append.set()

        await eventually(lambda: shared_out(one, two), "both own their share", interval_seconds=0.02)
        await log.bus.append([event(n, "authz.denied", user="late") for n in range(104, 116)])
        await log.settled()
        assert sorted(one.snapshots.restored) == list(range(PARTITIONS)), "what stays is not restored again"
        assert sorted(two.snapshots.restored) == sorted(two.owned)

    expected = await by_the_ports_loop(
        log, [*mixed(48), *(event(n, "authz.denied", user="late") for n in range(100, 116))]
    )
    runs = await log.read_runs()
    assert sorted(map(told, runs)) == sorted(map(told, expected)), "nothing is lost, and nothing told twice"


async def rebalancing(member: Member) -> bool:
    return not member.stream.share.assignment.partitions


async def shared_out(one: Member, two: Member) -> bool:
    mine, others = one.owned, two.owned
    return bool(mine and others and mine | others == set(range(PARTITIONS)) and not mine & others)
