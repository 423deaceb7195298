"""However matches are foreseen, repeated, written and let go: each is folded once, with the real follower on a log in memory."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.bus import codec, facts
from shared.bus.adapters.memory import MemoryBus
from shared.bus.facts import Cause
from shared.bus.partitioner import partition_of
from shared.bus.port import NewRecord
from shared.bus.topics import RUNS
from shared.domain.ids import match_id, matched_run_id
from shared.domain.records import EventMatched, SourceEvent
from shared.domain.runs.delta import RunsDelta
from shared.domain.runs.fold import Known, Questions
from shared.domain.workflow import Match
from shared.readmodel.errors import ReadModelAway
from shared.readmodel.match_ids import MatchIds
from shared.readmodel.snapshots import Snapshot
from shared.runtime.clock import SystemClock
from shared.runtime.foresight import ASKED_MAX, Foresight
from shared.runtime.former_matches import FormerMatches
from shared.runtime.shard import Shard
from shared.runtime.shards import RunsFollower
from shared.testing.examples import examples

AT = datetime(2026, 3, 1, tzinfo=UTC)
TENANT = "acme"
PARTITIONS = 4
HOME = partition_of(TENANT.encode(), PARTITIONS)


class ReadModelInMemory:
    """What is written, and an actor that notes what is folded. Written and let go of when the test says so."""

    def __init__(self) -> None:
        self.written: set[str] = set()
        self.lookups = 0
        self.away = False
        self.began: dict[str, set[int]] = {}
        """Per run the offsets of the records that made it."""
        self._folded: list[tuple[str, str]] = []

    async def match_ids_after(self, after: bytes, limit: int) -> MatchIds:
        packed = sorted(UUID(each).bytes for each in self.written)
        return MatchIds(
            b"".join([each for each in packed if each > after][:limit]), dict.fromkeys(range(PARTITIONS), 0)
        )

    async def snapshot(self, partitions: Collection[int]) -> Mapping[int, Snapshot]:
        return {each: Snapshot(partition=each, next=0, now=None) for each in partitions}

    async def lookup(
        self,
        questions: Questions,
        *,
        folded_to: Mapping[int, int],
        tenant_ids: Collection[str],
        may_be_ahead: bool = False,
    ) -> Known:
        self.lookups += 1
        if self.away:
            raise ReadModelAway("for a moment")
        known = Known(match_ids=frozenset(questions.match_ids & self.written))
        await asyncio.sleep(0)  # the answer is on its way
        return known

    def restored(self, shard: Shard) -> None: ...

    def revoked(self, shard: Shard) -> None: ...

    def halted(self, shard: Shard) -> None: ...

    def folded(self, shard: Shard, delta: RunsDelta) -> None:
        for run in delta.runs.values():
            assert run.event is not None
            self.began.setdefault(run.id, set()).add(run.positions[0])
            self._folded.append((run.id, match_id(run.event.id, None)))

    def write(self, shard: Shard) -> None:
        """The projector's checkpoint passes all that is folded."""
        run_ids, match_ids = [run for run, _ in self._folded], [match for _, match in self._folded]
        self._folded.clear()
        self.written.update(match_ids)
        shard.written(run_ids, match_ids, [])


def matched(number: int) -> NewRecord:
    match = match_id(f"e{number}", None)
    fact = EventMatched(
        event=SourceEvent(id=f"e{number}", source="/s", type="t", data={}),
        definitions_version=1,
        matches=(Match(run_id=matched_run_id(match, "w"), workflow_id="w", workflow_name="w", revision=1, steps=()),),
    )
    cause = Cause(causation_id=None, correlation_id=None)
    return codec.encode(RUNS, facts.envelop(fact, id=match, tenant_id=TENANT, source="/m", at=AT, cause=cause))


@asynccontextmanager
async def following(
    model: ReadModelInMemory, former: FormerMatches | None = None
) -> AsyncIterator[tuple[MemoryBus, RunsFollower]]:
    bus = MemoryBus(SystemClock(), partition_count=PARTITIONS)
    follower = RunsFollower(bus, model, [model], group="g", member_id="m", former=former)
    task = asyncio.create_task(follower.run())
    try:
        async with asyncio.timeout(10):
            while not follower.level:
                await asyncio.sleep(0)
        yield bus, follower
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def noting(model: ReadModelInMemory) -> FormerMatches:
    """What matches there were is noted, so that only about those the read model is asked."""
    return FormerMatches(model, size_bytes=1_024, retry_seconds=0)


async def read_to_the_end(former: FormerMatches, follower: RunsFollower) -> None:
    """The past that the shard of `HOME` began with."""
    async with asyncio.timeout(10):
        while not former.surely_new(follower.shards[HOME], [match_id("never", None)]):
            await asyncio.sleep(0)


async def append(bus: MemoryBus, follower: RunsFollower, number: int) -> None:
    await bus.append([matched(number)])
    async with asyncio.timeout(10):
        while follower.shards[HOME].next < len(bus.log(RUNS, HOME)):
            await asyncio.sleep(0)


OPERATIONS = st.lists(
    st.tuples(st.sampled_from(["foresee", "append", "both", "write", "restore", "read"]), st.integers(0, 2)),
    max_size=14,
)


@settings(max_examples=examples(150), deadline=None)
@given(OPERATIONS, st.booleans())
def test_a_match_is_folded_once_whatever_was_foreseen_of_it(operations: list[tuple[str, int]], notes: bool) -> None:
    model = ReadModelInMemory()

    async def play() -> None:
        former = noting(model) if notes else None
        async with following(model, former) as (bus, follower):
            for operation, number in operations:
                if operation == "write":
                    model.write(follower.shards[HOME])
                if operation == "restore":
                    await follower.restore_again(HOME)
                if operation == "read" and former is not None:
                    await read_to_the_end(former, follower)
                if operation in ("foresee", "both"):
                    follower.foresee({HOME: [match_id(f"e{number}", None)]})
                if operation == "foresee":
                    await asyncio.sleep(0)  # it is answered now, and the answer waits
                if operation in ("append", "both"):
                    await append(bus, follower, number)

    asyncio.run(play())
    assert all(len(offsets) == 1 for offsets in model.began.values())
    assert len(model.began) == len({number for operation, number in operations if operation in ("append", "both")})


async def test_what_was_foreseen_is_not_asked_again() -> None:
    model = ReadModelInMemory()
    async with following(model) as (bus, follower):
        follower.foresee({HOME: [match_id("e1", None)], (HOME + 1) % PARTITIONS: []})
        await append(bus, follower, 1)
        assert (model.lookups, len(model.began)) == (1, 1)
        await append(bus, follower, 2)
        assert (model.lookups, len(model.began)) == (2, 2)


async def test_about_a_match_that_is_surely_new_nobody_asks() -> None:
    model = ReadModelInMemory()
    former = noting(model)
    async with following(model, former) as (bus, follower):
        await read_to_the_end(former, follower)
        follower.foresee({HOME: [match_id("e1", None)]})
        await append(bus, follower, 1)
        assert (model.lookups, len(model.began)) == (0, 1)
        model.write(follower.shards[HOME])
        await append(bus, follower, 1)
        assert (model.lookups, len(model.began)) == (1, 1)
        assert all(len(offsets) == 1 for offsets in model.began.values())


async def test_without_an_answer_the_question_is_asked_as_ever() -> None:
    model = ReadModelInMemory()
    async with following(model) as (bus, follower):
        model.away = True
        follower.foresee({HOME: [match_id("e1", None)]})
        async with asyncio.timeout(10):
            while not model.lookups:
                await asyncio.sleep(0)
        model.away = False
        await append(bus, follower, 1)
        assert (model.lookups, len(model.began)) == (2, 1)


async def test_an_answer_belongs_to_one_shard_and_the_oldest_give_way() -> None:
    class Place:
        partition = next = 0

    model = ReadModelInMemory()
    foresight, mine, another = Foresight(model), Place(), Place()
    foresight.ask({mine: ["a"]})
    assert await foresight.answer(another, ["a"]) == (set(), set())
    foresight.ask({mine: ["old"]})
    foresight.ask({mine: [str(number) for number in range(ASKED_MAX)]})
    assert await foresight.answer(mine, ["old", "7"]) == ({"7"}, set())
    await foresight.close()


@pytest.mark.parametrize("partition", [HOME, 99])
async def test_nothing_is_asked_for_a_partition_that_is_not_ours(partition: int) -> None:
    model = ReadModelInMemory()
    follower = RunsFollower(MemoryBus(SystemClock(), partition_count=PARTITIONS), model, [], group="g", member_id="m")
    follower.foresee({partition: ["a"]})
    await asyncio.sleep(0)
    assert model.lookups == 0
