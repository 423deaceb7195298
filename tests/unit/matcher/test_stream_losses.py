"""Whatever becomes of what the stream hands over, dropped, late or out of order: each record is handled, in order, once."""

import asyncio
from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from services.matcher.stream.share import Carrier, Fetched, Share
from shared.bus.port import Record
from shared.runtime.clock import SystemClock

NOW = SystemClock().now()
PARTITIONS = (0, 1)
MARKER_EVERY = 5
"""Such offsets hold nothing for anybody."""

STEPS = st.sampled_from(
    [
        "append",
        "append",
        "fetch",
        "fetch",
        "agent",
        "agent",
        "drop first",
        "drop last",
        "swap",
        "clear",
        "rebalance",
        "late",
    ]
)


def written(partition: int, begin: int, end: int) -> list[Record]:
    return [
        Record(topic="t", partition=partition, offset=each, recorded_at=NOW, key=b"", headers=(), value=None)
        for each in range(begin, end)
        if each % MARKER_EVERY != MARKER_EVERY - 1
    ]


async def nothing() -> dict[int, int]:
    return {}


class Simulation:
    """A log, a share, and something between fetching and handling that keeps no promise."""

    def __init__(self) -> None:
        self.share = Share(session_timeout_seconds=6, monotonic=lambda: 0.0, committed=nothing)
        self.ends = dict.fromkeys(PARTITIONS, 0)
        self.channel: deque[Carrier] = deque()
        self.held: tuple[Fetched, int] | None = None  # a fetch whose answer is still to come
        self.matched: dict[int, list[int]] = {partition: [] for partition in PARTITIONS}
        self.generation = 0

    async def rebalance(self) -> None:
        """Everything stays."""
        self.generation += 1
        self.share.begin_rebalance()
        self.share.end_rebalance(PARTITIONS, self.generation, finished=True)
        change = await self.share.next_assignment(timeout_seconds=0)
        assert change is not None
        self.share.assign({**self.share.positions(), **dict.fromkeys(change.assigned, 0)})

    def begin_fetch(self, records_max: int) -> tuple[Fetched, int]:
        began = self.share.wanted(PARTITIONS)
        positions = {each: min(at + records_max, self.ends[each]) for each, at in began.items()}
        found = {each: written(each, at, positions[each]) for each, at in began.items()}
        return Fetched(began=began, records=found, positions=positions), self.share.epoch

    async def step(self, name: str, size: int) -> None:
        match name:
            case "append":
                self.ends[size % len(PARTITIONS)] += size
            case "fetch":
                self.channel += self.share.accept(*self.begin_fetch(size))
            case "late":
                before, self.held = self.held, self.begin_fetch(size)
                self.channel += self.share.accept(*before) if before is not None else []
            case "agent":
                self.handle([self.channel.popleft() for _ in range(min(size, len(self.channel)))])
            case "drop first" if self.channel:
                self.channel.popleft()
            case "drop last" if self.channel:
                self.channel.pop()
            case "swap":
                self.channel.rotate(1)
            case "clear":
                self.channel.clear()
            case "rebalance":
                await self.rebalance()

    def handle(self, carriers: list[Carrier]) -> None:
        batches = self.share.take(carriers)
        for partition, records in batches.items():
            self.matched[partition] += [each.offset for each in records]
        self.share.handled({each: found[-1].offset + 1 for each, found in batches.items()}, self.share.epoch)

    async def to_the_end(self) -> None:
        """From here on everything is delivered; what was lost before is looked for once nothing is under way."""
        for _ in range(3):
            await self.step("fetch", 10_000)
            while self.channel:
                self.handle([self.channel.popleft()])
            if self.share.awaited:
                self.share.begin_again()


@given(st.lists(st.tuples(STEPS, st.integers(1, 7)), min_size=40, max_size=80))
def test_everything_is_handled_in_order_and_once(steps: list[tuple[str, int]]) -> None:
    async def simulate() -> Simulation:
        simulation = Simulation()
        await simulation.rebalance()
        for name, size in steps:
            await simulation.step(name, size)
        await simulation.to_the_end()
        return simulation

    simulation = asyncio.run(simulate())
    wanted = {each: [record.offset for record in written(each, 0, end)] for each, end in simulation.ends.items()}
    assert simulation.matched == wanted
    assert simulation.share.positions() == simulation.ends
