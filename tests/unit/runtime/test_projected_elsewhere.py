"""A fold whose projector is in another process: however far that one is ahead or behind, each run begins where it would have."""

import asyncio
from collections.abc import Collection, Mapping
from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.bus import codec, facts
from shared.bus.adapters.memory import MemoryBus
from shared.bus.facts import Cause
from shared.bus.partitioner import partition_of
from shared.bus.port import NewRecord
from shared.bus.topics import RUNS
from shared.domain.ids import match_id, matched_run_id
from shared.domain.records import Command, EventMatched, RunRequested, RunsFact, SourceEvent
from shared.domain.runs.delta import RunsDelta
from shared.domain.runs.fold import CommandKey, Known, Questions, RunsFold
from shared.domain.verdicts import Verdict
from shared.domain.workflow import Match
from shared.readmodel.rows import forgettable_of
from shared.readmodel.snapshots import Snapshot
from shared.runtime.clock import SystemClock
from shared.runtime.elsewhere import ProjectedElsewhere
from shared.runtime.settings import RunsSettings
from shared.runtime.shard import Shard
from shared.runtime.shards import RunsFollower
from shared.testing.examples import examples

AT = datetime(2026, 3, 1, tzinfo=UTC)
TENANT = "acme"
PARTITIONS = 4
HOME = partition_of(TENANT.encode(), PARTITIONS)


class Elsewhere:
    """The other process: a fold of its own, and the tables that it writes. It goes on when the test says so."""

    def __init__(self, bus: MemoryBus) -> None:
        self.next = 0
        self.began: dict[str, set[int]] = {}
        self.answering = asyncio.Event()
        self._bus = bus
        self._fold = RunsFold()
        self._matches: dict[str, int] = {}
        self._runs: dict[str, int] = {}
        self._verdicts: dict[CommandKey, Verdict] = {}

    def project(self, count: int) -> None:
        """Fold and write that many records more, in one batch each."""
        for record in self._bus.log(RUNS, HOME)[self.next : self.next + count]:
            event = codec.decode(record)
            fact = facts.runs_fact(event)
            asked = Questions()
            self._fold.ask(asked, [(event.tenant_id, fact)])
            known = self._known(asked, {})
            delta = RunsDelta(partition=HOME, start=self.next, end=self.next, now=self._fold.now)
            delta.include(
                self._fold.apply(event, fact, record.recorded_at, record.offset, known), self._fold, record.offset + 1
            )
            note(self.began, delta)
            written = forgettable_of(delta)
            for run in delta.runs.values():
                self._runs[run.id] = run.positions[0]
                if run.event is not None:
                    self._matches.setdefault(match_id(run.event.id, None), run.positions[0])
            self._verdicts.update(delta.verdicts)
            self._fold.forget(written.run_ids, written.match_ids, written.commands)
            self.next = delta.end

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
        await self.answering.wait()
        return self._known(questions, folded_to)

    def _known(self, questions: Questions, folded_to: Mapping[int, int]) -> Known:
        bound = folded_to.get(HOME, self.next)
        return Known(
            match_ids=frozenset(each for each in questions.match_ids if self._matches.get(each, bound) < bound),
            run_ids=frozenset(each for each in questions.run_ids if self._runs.get(each, bound) < bound),
            verdicts={each: self._verdicts[each] for each in questions.commands & self._verdicts.keys()},
        )


class Noted:
    """An actor that notes where runs began."""

    def __init__(self) -> None:
        self.began: dict[str, set[int]] = {}

    def restored(self, shard: Shard) -> None: ...

    def revoked(self, shard: Shard) -> None: ...

    def halted(self, shard: Shard) -> None: ...

    def folded(self, shard: Shard, delta: RunsDelta) -> None:
        note(self.began, delta)


def note(began: dict[str, set[int]], delta: RunsDelta) -> None:
    for run in delta.runs.values():
        began.setdefault(run.id, set()).add(run.positions[0])


def matched(number: int) -> NewRecord:
    """An event that led to one run."""
    match = match_id(f"e{number}", None)
    source = SourceEvent(id=f"e{number}", source="/s", type="t", data={})
    return _record(
        EventMatched(event=source, definitions_version=1, matches=(_match(matched_run_id(match, "w")),)), match
    )


def requested(number: int) -> NewRecord:
    """A command that asks for a run; every second command asks for one that another has asked for."""
    command = Command(id=f"c{number}", payload_hash="", actor="ann", channel="api")
    return _record(RunRequested(match=_match(f"manual-{number // 2}"), inputs={}, command=command), f"c{number}")


def _match(run_id: str) -> Match:
    return Match(run_id=run_id, workflow_id="w", workflow_name="w", revision=1, steps=())


def _record(fact: RunsFact, record_id: str) -> NewRecord:
    cause = Cause(causation_id=None, correlation_id=None)
    return codec.encode(RUNS, facts.envelop(fact, id=record_id, tenant_id=TENANT, source="/m", at=AT, cause=cause))


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.lists(st.tuples(st.booleans(), st.integers(0, 3)), min_size=1, max_size=4)),
        st.tuples(st.sampled_from(["project", "hold", "release", "let go"]), st.just([])),
    ),
    max_size=16,
)


@settings(max_examples=examples(200), deadline=None)
@given(OPERATIONS)
def test_runs_begin_as_they_do_where_they_are_projected(
    operations: list[tuple[str, list[tuple[bool, int]]]],
) -> None:
    async def play() -> None:
        bus = MemoryBus(SystemClock(), partition_count=PARTITIONS)
        model, noted = Elsewhere(bus), Noted()
        model.answering.set()
        elsewhere = ProjectedElsewhere(_never, RunsSettings())
        follower = RunsFollower(bus, model, [elsewhere, noted], group="g", member_id="m", projected_elsewhere=True)
        task = asyncio.create_task(follower.run())
        try:
            for operation, records in operations:
                match operation:
                    case "append":
                        await bus.append([matched(number) if event else requested(number) for event, number in records])
                    case "project":
                        model.project(2)
                    case "hold":  # what is asked is answered only once the projector is further
                        model.answering.clear()
                    case "release":
                        model.answering.set()
                    case "let go":
                        elsewhere.passed({HOME: model.next})
                for _ in range(3):
                    await asyncio.sleep(0)
            model.answering.set()
            end = len(bus.log(RUNS, HOME))
            async with asyncio.timeout(10):
                while end and (HOME not in follower.shards or follower.shards[HOME].next < end):
                    await asyncio.sleep(0)
            model.project(end)
            elsewhere.passed({HOME: model.next})
            assert noted.began == model.began
            assert elsewhere.kept == 0
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    asyncio.run(play())


async def test_what_is_not_written_yet_is_bounded() -> None:
    bus = MemoryBus(SystemClock(), partition_count=PARTITIONS)
    model, noted = Elsewhere(bus), Noted()
    model.answering.set()
    elsewhere = ProjectedElsewhere(_never, RunsSettings(unwritten_max=100, batch_records_max=10))
    follower = RunsFollower(
        bus,
        model,
        [elsewhere, noted],
        group="g",
        member_id="m",
        settings=RunsSettings(batch_records_max=10, busy_records=1000),
        may_read=elsewhere.accepting,
        projected_elsewhere=True,
    )
    await bus.append([matched(number) for number in range(400)])
    task = asyncio.create_task(follower.run())
    try:
        async with asyncio.timeout(10):
            while elsewhere.accepting.is_set():
                await asyncio.sleep(0)
        for _ in range(50):
            await asyncio.sleep(0)
        shard = follower.shards[HOME]
        assert shard.next < 100
        assert len(shard.fold.runs) + len(shard.fold.match_ids) <= 120

        # when the projector goes on, so does the fold, and memory stays small
        async with asyncio.timeout(10):
            while len(noted.began) < 400:
                model.project(20)
                elsewhere.passed({HOME: model.next})
                await asyncio.sleep(0)
        model.project(400)
        elsewhere.passed({HOME: model.next})
        assert elsewhere.kept == 0
        shard.forget_written()
        assert not shard.fold.runs
        assert not shard.fold.match_ids
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_checkpoints_are_asked_for_while_something_waits_and_only_then() -> None:
    asked = 0

    async def checkpoints() -> Mapping[int, int]:
        nonlocal asked
        asked += 1
        return {HOME: 400}

    bus = MemoryBus(SystemClock(), partition_count=PARTITIONS)
    model = Elsewhere(bus)
    model.answering.set()
    elsewhere = ProjectedElsewhere(checkpoints, RunsSettings(checkpoint_interval_seconds=0.001))
    follower = RunsFollower(bus, model, [elsewhere], group="g", member_id="m", projected_elsewhere=True)
    tasks = [asyncio.create_task(follower.run()), asyncio.create_task(elsewhere.run())]
    try:
        await bus.append([matched(1)])
        async with asyncio.timeout(10):
            while not asked or elsewhere.kept:
                await asyncio.sleep(0)
        assert asked == 1
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _never() -> Mapping[int, int]:
    raise AssertionError("the test says itself how far the projector is")
