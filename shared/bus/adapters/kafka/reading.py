"""Readers: reads that brokers hold until there is something, one under way per broker, handed over in fair parts.

A reader has connections of its own, so that no one waits behind a read that a broker holds. The next read goes out with the
next poll or, where there is much to read, as soon as what the last one brought has been handed over. Positions move with what
is handed over, and past what nobody is ever handed (`unpacking.py`). A read that is cancelled goes on by itself: nothing it
brings is lost.
Next: `fetch_session.py`, what a read asks; `unpacking.py`, what it brings.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence, Set
from typing import Any

from shared.bus.adapters.kafka.answers import OFFSET_OUT_OF_RANGE, Answer, judge
from shared.bus.adapters.kafka.fetch_session import FetchSession
from shared.bus.adapters.kafka.link import Lane, Link, leaderless
from shared.bus.adapters.kafka.offsets import Offsets
from shared.bus.adapters.kafka.settings import KafkaSettings
from shared.bus.adapters.kafka.unpacking import Fetched
from shared.bus.port import PartitionUnreadable, Record
from shared.domain.errors import PermanentError, TransientError

_log = logging.getLogger(__name__)

_PAUSE_SECONDS = 0.1  # between two tries while a broker is away or another one takes over
_PATIENCE_SECONDS = 1.0  # a partition's leader changes in less; only what lasts longer is told
# Records handed over at once. Who has fewer in hand is level, and the next ones may gather meanwhile.
_READS_AHEAD_FROM = 64
_LANES = (Lane.FIRST, Lane.SECOND)


class KafkaReader:
    """A `Reader`; one task at a time may poll it."""

    def __init__(
        self,
        topic: str,
        full_name: str,
        link: Link,
        offsets: Offsets,
        settings: KafkaSettings,
        give_back: Callable[[Link], Awaitable[None]],
    ) -> None:
        """`give_back` takes the link over when the reader is closed and no broker holds a read on it."""
        self._give_back = give_back
        self._topic = topic
        self._full_name = full_name
        self._link = link
        self._offsets = offsets
        self._settings = settings
        self._positions: dict[int, int] = {}
        self._unproven: set[int] = set()  # positions that were assigned and that no broker has confirmed yet
        self._fetched: dict[int, Fetched] = {}
        self._reads: dict[tuple[int, Lane], asyncio.Task[None]] = {}
        self._sessions: dict[tuple[int, Lane], FetchSession] = {}
        self._beginning: asyncio.Task[None] | None = None
        self._served: dict[int, int] = {}  # partition → the turn in which it was last given something
        self._lane = 0
        self._turn = 0
        self._moved = False  # a position moved without anything to hand over
        self._unreadable: dict[int, PartitionUnreadable] = {}
        self._trouble: TransientError | PermanentError | None = None
        self._troubled_at = 0.0  # the loop's time of the first trouble since something came
        self._not_before = 0.0  # the loop's time before which nothing is asked, after trouble
        self._woken = asyncio.Event()
        self._closed = False

    def assign(self, positions: Mapping[int, int]) -> None:
        wanted = {partition: max(0, offset) for partition, offset in positions.items()}
        for partition, offset in wanted.items():
            if self._positions.get(partition) != offset:
                self._unproven.add(partition)
        self._unproven &= wanted.keys()
        self._fetched = {p: each for p, each in self._fetched.items() if self._positions.get(p) == wanted.get(p)}
        self._positions = wanted
        self._unreadable.clear()
        self._trouble = None
        self._not_before = 0.0
        if self._reads:
            # The broker holds the read of the former assignment for a while: the next one must not wait behind it.
            self._lane = (self._lane + 1) % len(_LANES)
        self._woken.set()

    def positions(self) -> Mapping[int, int]:
        return dict(self._positions)

    async def poll(self, *, timeout_seconds: float, records_max: int = 1000) -> Mapping[int, Sequence[Record]]:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_seconds
        while True:
            self._woken.clear()
            if found := self._take(records_max):
                if not self._fetched and sum(map(len, found.values())) >= _READS_AHEAD_FROM:
                    await self._read_on()
                return found
            if self._moved:
                self._moved = False
                return {}
            if isinstance(self._trouble, PermanentError):
                raise self._trouble
            if self._unreadable:
                details = "; ".join(str(each) for each in self._unreadable.values())
                raise PartitionUnreadable(details, partitions=frozenset(self._unreadable))
            now = loop.time()
            if now >= self._not_before:
                await self._read_on()
                until = deadline
            else:
                until = min(deadline, self._not_before)
            if now >= deadline:
                return self._nothing()
            try:
                async with asyncio.timeout_at(until):
                    await self._woken.wait()
            except TimeoutError:
                if until == deadline:
                    return self._nothing()

    @property
    def closed(self) -> bool:
        """Whether it has been given up."""
        return self._closed

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._positions = {}
        self._fetched.clear()
        tasks = [*self._reads.values(), *([self._beginning] if self._beginning is not None else [])]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
            await self._link.close()
        else:
            await self._give_back(self._link)

    def _nothing(self) -> Mapping[int, Sequence[Record]]:
        if self._trouble is not None and asyncio.get_running_loop().time() - self._troubled_at > _PATIENCE_SECONDS:
            raise self._trouble
        return {}

    def _take(self, records_max: int) -> dict[int, Sequence[Record]]:
        """A fair part of each partition's. Between taking and handing over nothing is awaited that can be cancelled."""
        waiting = list(self._fetched)
        self._turn += 1
        turn = self._turn % len(waiting) if waiting else 0
        found: dict[int, Sequence[Record]] = {}
        left = records_max
        for rank, partition in enumerate(waiting[turn:] + waiting[:turn]):
            if left <= 0:
                break
            fetched = self._fetched[partition]
            try:
                records = fetched.take(-(-left // (len(waiting) - rank)))
            except PartitionUnreadable as error:
                del self._fetched[partition]
                self._unreadable[partition] = error
                continue
            if fetched.spent:
                del self._fetched[partition]
            if records:
                found[partition] = records
                left -= len(records)
            elif fetched.position != self._positions[partition]:
                self._moved = True
            self._positions[partition] = fetched.position
        return found

    async def _read_on(self) -> None:
        """One read per broker that has none under way and nothing left to hand over."""
        if not self._link.began:
            if self._beginning is None:
                self._beginning = asyncio.create_task(self._begin(), name=f"reach {self._full_name}")
            return
        wanted: dict[int, dict[int, int]] = defaultdict(dict)
        lane = _LANES[self._lane]
        try:
            leaders = await self._link.leaders(self._full_name, self._positions)
        except (TransientError, PermanentError) as error:
            self._stumble(error)
            return
        # A broker fills its answer in this order, and only the first may exceed its bounds: the longest unserved comes first.
        for partition in sorted(self._positions, key=lambda each: self._served.get(each, 0)):
            if partition in self._unreadable:
                continue
            if (node_id := leaders.get(partition)) is None:
                self._stumble(leaderless(self._full_name, partition))
                continue
            wanted[node_id][partition] = self._positions[partition]
        for node_id, positions in wanted.items():
            key = (node_id, lane)
            if key in self._reads or not self._fetched.keys().isdisjoint(positions) or self._closed:
                continue
            self._reads[key] = asyncio.create_task(
                self._read_until_done(key, positions), name=f"read {self._full_name}"
            )

    async def _begin(self) -> None:
        """In the background, since it may take longer than a poll is to take."""
        try:
            await self._link.client()
        except (TransientError, PermanentError) as error:
            self._stumble(error)
        finally:
            self._beginning = None
            self._woken.set()

    async def _read_until_done(self, key: tuple[int, Lane], positions: Mapping[int, int]) -> None:
        try:
            await self._read(*key, positions)
        finally:
            del self._reads[key]
            self._woken.set()

    async def _read(self, node_id: int, lane: Lane, positions: Mapping[int, int]) -> None:
        session = self._sessions.get((node_id, lane))
        if session is None:
            session = self._sessions[node_id, lane] = FetchSession(self._full_name, self._settings)
        parts = None
        try:
            while parts is None:
                response = await self._link.send(node_id, session.question(positions), lane)
                parts = session.heard(response)
            if judge(response.error_code, self._topic) is Answer.AGAIN:
                raise TransientError(f"broker {node_id} cannot read {self._topic} just now")
            self._confirm(positions, refused={partition for partition, code, *_ in parts if code})
            for partition, code, _, *rest in parts:
                await self._accept(partition, positions[partition], code, rest)
        except BaseException as error:
            session.lost()  # whatever it was: nobody knows what the broker remembers now
            if not isinstance(error, TransientError | PermanentError):
                raise
            self._stumble(error)

    def _confirm(self, positions: Mapping[int, int], refused: Set[int]) -> None:
        """All but the refused are well: a broker is silent of what has nothing to tell."""
        if len(refused) < len(positions) and isinstance(self._trouble, TransientError):
            self._trouble = None
        if self._unproven:
            self._unproven -= {
                partition
                for partition, offset in positions.items()
                if partition not in refused and self._positions.get(partition) == offset
            }

    async def _accept(self, partition: int, offset: int, code: int, rest: Sequence[Any]) -> None:
        """`rest`: last stable offset, log start, aborted transactions, preferred replica, records."""
        if self._positions.get(partition) != offset or partition in self._fetched:
            return  # assigned anew meanwhile, or another read was quicker
        if code == OFFSET_OUT_OF_RANGE:
            await self._mend_position(partition, offset)
        elif judge(code, f"{self._topic}/{partition}") is Answer.AGAIN:
            self._link.refresh()
            self._stumble(leaderless(self._topic, partition))
        elif rest[-1]:
            aborted, records = rest[2], rest[-1]
            fetched = Fetched(self._topic, partition, offset, records, aborted)
            if not fetched.spent:
                self._fetched[partition] = fetched
                self._served[partition] = self._turn

    async def _mend_position(self, partition: int, offset: int) -> None:
        marks = (await self._offsets.watermarks(self._full_name, [partition]))[partition]
        if self._positions.get(partition) != offset:
            return
        where = f"{self._topic}/{partition}"
        lost = None
        if offset > marks.high:
            lost = (
                f"{where} ends at {marks.high}, but is to be read from {offset}: "
                "the log has lost records, or this position belongs to another log"
            )
        elif offset < marks.low and partition not in self._unproven:
            lost = (
                f"{where} begins at {marks.low} now: records from {offset} on were deleted while they were being read"
            )
        if lost is not None:
            self._unreadable[partition] = PartitionUnreadable(lost, partitions=frozenset({partition}))
            self._woken.set()
            return
        if 0 < offset < marks.low:
            _log.error("%s begins at %d: records from %d on were deleted", where, marks.low, offset)
        self._positions[partition] = max(offset, marks.low)
        self._moved = True

    def _stumble(self, error: TransientError | PermanentError) -> None:
        now = asyncio.get_running_loop().time()
        if self._trouble is None:
            self._troubled_at = now
        if not isinstance(self._trouble, PermanentError):
            self._trouble = error
        self._not_before = now + _PAUSE_SECONDS
        self._woken.set()
