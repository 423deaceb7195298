"""A partition that goes and comes back while what its events led to is being appended is matched with all of its past."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any

from services.matcher.service.handling import Handling
from services.matcher.service.matching import SECONDS_AT_ONCE
from services.matcher.settings import MatcherSettings
from shared.bus.port import Assignment, NewRecord, Position, Record
from shared.bus.topics import EVENTS, RUNS
from shared.readmodel.snapshots import WindowsSnapshot
from shared.testing.documents import ABSENCE, COUNT
from shared.testing.folds import NothingRemembered

ALL = frozenset({0})
NOBODY = frozenset[int]()
DENIED = COUNT["count"]["event"]


class Member:
    """Of a group that answers at once, with whatever changes of assignment a test thinks up."""

    def __init__(self) -> None:
        self.assignment = Assignment(0, NOBODY, NOBODY, NOBODY)
        self.changes: asyncio.Queue[Assignment] = asyncio.Queue()
        self.offsets: dict[int, int] = {}
        self.may_tell = asyncio.Event()
        self.may_tell.set()

    def give(self, *, revoked: frozenset[int] = NOBODY) -> None:
        self.changes.put_nowait(Assignment(self.assignment.generation + 1, ALL, ALL, revoked))

    async def next_assignment(self, *, timeout_seconds: float) -> Assignment | None:
        del timeout_seconds
        self.assignment = await self.changes.get()
        return self.assignment

    def release(self) -> None:
        return

    def alive(self) -> bool:
        return True

    async def committed(self) -> Mapping[int, int]:
        await self.may_tell.wait()
        return dict(self.offsets)

    async def commit(self, offsets: Mapping[int, int], *, generation: int) -> None:
        del generation
        self.offsets |= offsets


class UpToDate:
    """Definitions that are folded as far as anybody needs."""

    def __init__(self) -> None:
        self.halted: dict[int, str] = {}

    async def catch_up_as_of(self, batches: Mapping[int, Sequence[Record]]) -> None:
        del batches


class Snapshots(NothingRemembered):
    """Given once a test allows it."""

    def __init__(self) -> None:
        self.may_go = asyncio.Event()
        self.may_go.set()

    async def windows(self, partitions: Collection[int]) -> Mapping[int, WindowsSnapshot]:
        await self.may_go.wait()
        return await super().windows(partitions)


class Held:
    """One partition of a matcher whose appends wait until a test allows them."""

    def __init__(self, world: Any, records_max: int) -> None:
        self.world = world
        self.member, self.snapshots = Member(), Snapshots()
        self.reader = world.bus.reader(EVENTS)
        self.may_append = asyncio.Event()
        self.may_append.set()
        self._append = world.bus.append
        world.bus.append = self._append_once_allowed
        settings = MatcherSettings(append_records_max=records_max, commit_interval_seconds=0.001)
        world.matching.forget(0)
        world.matching._settings = settings
        self.definitions = UpToDate()
        self.handling = Handling(
            world.bus, self.definitions, world.matching, settings, snapshots=self.snapshots, clock=world.clock
        )

    async def _append_once_allowed(self, records: Sequence[NewRecord]) -> Sequence[Position]:
        if any(record.topic == RUNS for record in records):
            await self.may_append.wait()
        return await self._append(records)

    async def is_read(self) -> None:
        async with asyncio.timeout(5):
            while 0 not in self.reader.positions():
                await asyncio.sleep(0.001)

    async def denied(self, event_id: str, user: str) -> None:
        await self.world.happen(event_id, DENIED, {"user": user})

    async def act(self) -> None:
        await self.handling.act_on_what_is_due(self.member, self.reader)

    async def match(self) -> None:
        batches = await self.reader.poll(timeout_seconds=0)
        await self.handling.match(self.member, self.reader, batches)


@contextlib.asynccontextmanager
async def held(world: Any, *, records_max: int) -> AsyncIterator[Held]:
    it = Held(world, records_max)
    following = asyncio.create_task(it.handling.follow(it.member, it.reader))
    it.member.give()
    await it.is_read()
    try:
        yield it
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


async def test_what_is_left_of_a_batch_waits_for_what_came_before_it(world: Any) -> None:
    world.save(COUNT)
    async with held(world, records_max=1) as it:
        await it.denied("first", "ann")
        await it.denied("second", "ann")
        await it.match()
        await it.denied("other", "bob")
        await it.denied("third", "ann")
        it.may_append.clear()
        matching = asyncio.create_task(it.match())
        await moments()
        it.snapshots.may_go.clear()
        it.member.give(revoked=ALL)
        await moments()
        it.may_append.set()
        await matching
        await moments()  # whatever is done is committed
        it.snapshots.may_go.set()
        await it.is_read()
        await it.match()
    await world._fold()
    assert world.told() == ["third"]


async def test_what_was_on_its_way_while_its_past_was_read_is_part_of_it(world: Any) -> None:
    world.save(COUNT)
    async with held(world, records_max=1000) as it:
        await it.denied("first", "ann")
        await it.match()
        await it.denied("second", "ann")
        it.may_append.clear()
        matching = asyncio.create_task(it.match())
        await moments()
        it.member.may_tell.clear()
        it.member.give(revoked=ALL)
        await moments()  # its past is read to the end
        it.may_append.set()
        await matching
        await moments()  # whatever is done is committed
        it.member.may_tell.set()
        await it.is_read()
        await it.match()
        await it.denied("third", "ann")
        await it.match()
    await world._fold()
    assert world.told() == ["third"]


async def moments() -> None:
    await asyncio.sleep(0.02)


async def test_events_that_take_long_leave_others_their_turn(world: Any) -> None:
    world.save({"event": "order.lost"})
    async with held(world, records_max=1000) as it:
        for number in range(6):
            await it.denied(f"d{number}", "ann")
        await world.happen("lost", "order.lost")
        world.cpu_seconds = itertools.count(step=SECONDS_AT_ONCE).__next__
        turns = 0
        matching = asyncio.create_task(it.match())
        while not matching.done():
            turns += 1
            await asyncio.sleep(0)
    await world._fold()
    assert world.told() == ["lost"]
    assert turns >= 7


async def test_nothing_is_told_or_fired_where_definitions_stand_still(world: Any) -> None:
    world.save(ABSENCE, "absence")
    world.save({"schedule": {"interval": {"hours": 1}}}, "schedule")
    async with held(world, records_max=1000) as it:
        await world.happen("created", "order.created", {"order": "1"})
        await it.match()
        world.clock.time += timedelta(hours=1)
        it.definitions.halted = {0: "a record of a later version"}
        await it.act()
        assert it.handling.patience() > 0
        await world._fold()
        assert world.runs() == []

        it.definitions.halted = {}
        world.clock.time += timedelta(seconds=1)
        assert it.handling.patience() == 0
        await it.act()
        await it.match()  # the firing
        await it.act()
    await world._fold()
    assert sorted(run.match.workflow_id for run in world.runs()) == ["absence", "schedule"]
