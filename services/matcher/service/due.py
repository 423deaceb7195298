"""Acts on what falls due between events: waits that nothing ended.

Guarantee: an absence is told only once every event that was recorded before it became certain has been matched; the fold of
the runs has the last word, so that a window which was closed meanwhile, or told of twice, starts nothing.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from services.matcher.service.matching import SECONDS_AT_ONCE, SOURCE, Matching
from services.matcher.service.remembering import Memory
from shared.bus import codec, facts
from shared.bus.facts import Cause
from shared.bus.port import Bus, NewRecord, Position, Reader
from shared.bus.topics import EVENTS, RUNS
from shared.domain.absence import Wait
from shared.domain.clock import Clock
from shared.domain.definitions import Tenant
from shared.domain.errors import UpshotError
from shared.domain.ids import window_record_id
from shared.domain.records import SourceEvent, WindowElapsed, WindowOpened
from shared.domain.windows import WindowKey
from shared.expressions import TooMuchTogether
from shared.workflows.rules import TenantRules
from shared.workflows.watching import closed, elapsed, has_waited

log = logging.getLogger(__name__)

AT_ONCE = 500
"""Waits that are told of in one go: the next events need not wait for more."""
AGAIN_SECONDS = 1.0
"""Where the log's clock is behind this one's, an absence is told again after that; and so soon is looked again at what may not be
acted on."""
AFTER_A_BUG_SECONDS = 60.0
"""What meets a bug of ours is tried again after that, until a version comes that is rid of it."""
_POLL_SECONDS = 1.0


class DueWaits:
    """The waits of the partitions that this process owns."""

    def __init__(self, bus: Bus, matching: Matching, clock: Clock) -> None:
        self._bus = bus
        self._matching = matching
        self._clock = clock
        self._seconds = 0.0
        """CPU time that was spent in this go."""
        self._not_before: Mapping[int, datetime] = {}
        """When partitions are looked at again that have something due and may not be acted on."""

    def next_due(self) -> datetime | None:
        """When something falls due next, by the clock."""
        found = ((partition, each.waits.next_due) for partition, each in self._matching.memories.items())
        due = (max(at, self._not_before.get(partition, at)) for partition, at in found if at is not None)
        return min(due, default=None)

    async def act(self, positions: Mapping[int, int]) -> None:
        """Tell of what is due. `positions`: the next event to be read of each partition that may be acted on."""
        now = self._clock.now()
        overdue = {
            partition: memory
            for partition, memory in self._matching.memories.items()
            if (at := memory.waits.next_due) is not None and at <= now
        }
        due = {partition: memory for partition, memory in overdue.items() if partition in positions}
        self._not_before = dict.fromkeys(overdue.keys() - due.keys(), now + timedelta(seconds=AGAIN_SECONDS))
        if not due:
            return
        self._seconds = 0.0
        ends = await self._bus.watermarks(EVENTS, sorted(due))
        for partition, memory in due.items():
            caught_up = positions[partition] >= ends[partition].high
            until = now if caught_up else memory.seen_until
            if until is not None:
                await self._tell(partition, memory, memory.waits.take_due(until, AT_ONCE))

    async def _tell(self, partition: int, memory: Memory, due: Sequence[tuple[WindowKey, Wait]]) -> None:
        try:
            told, left = await self._facts(partition, memory, due)
            positions: list[Position] = []
            # Each brings the event that began the wait.
            for piece in self._matching.pieces([record for _, _, record in told]):
                positions += await self._bus.append(piece)
        except UpshotError:
            for key, _ in due:
                memory.waits.plan(key)
            raise
        for (key, fact, _), position in zip(told, positions, strict=True):
            memory.windows.apply(key.tenant_id, fact, position.recorded_at, position.offset)
            memory.waits.plan(key, not_before=self._clock.now() + timedelta(seconds=AGAIN_SECONDS))
        for key, _ in left:
            memory.waits.plan(key)
        memory.windows.expire()

    async def _facts(
        self, partition: int, memory: Memory, due: Sequence[tuple[WindowKey, Wait]]
    ) -> tuple[list[tuple[WindowKey, WindowElapsed, NewRecord]], Sequence[tuple[WindowKey, Wait]]]:
        """What is to be appended about as many of them as there is time for (`SECONDS_AT_ONCE`), one of each partition at least;
        and the others."""
        found: list[tuple[WindowKey, WindowElapsed, NewRecord]] = []
        reader = self._bus.reader(RUNS)
        try:
            for number, (key, wait) in enumerate(due):
                if found and self._seconds >= SECONDS_AT_ONCE:
                    return found, due[number:]
                known = self._matching.rules(key.tenant_id)
                if known is None:
                    continue
                opened = await _opened(reader, partition, wait.opened_offset)
                began = self._matching.cpu_seconds()
                told = self._told(memory, known, key, opened)
                if told is not None:
                    found.append(told)
                self._seconds += self._matching.cpu_seconds() - began
        finally:
            await reader.close()
        return found, ()

    def _told(
        self, memory: Memory, known: tuple[Tenant, TenantRules], key: WindowKey, opened: WindowOpened
    ) -> tuple[WindowKey, WindowElapsed, NewRecord] | None:
        """None: it met a bug of ours, and is told of later. All that waits behind it need not."""
        try:
            fact = self._elapsed(known, key, opened)
            return key, fact, self._record(key, fact)
        except Exception:
            log.exception(
                "a wait of workflow %s (tenant %s, event %s) is over and meets a bug of Upshot's: tried again in %g s",
                *(key.workflow_id, key.tenant_id, opened.event.id, AFTER_A_BUG_SECONDS),
            )
        later = self._clock.now() + timedelta(seconds=AFTER_A_BUG_SECONDS)
        memory.waits.plan(key, not_before=later)
        return None

    def _elapsed(self, known: tuple[Tenant, TenantRules], key: WindowKey, opened: WindowOpened) -> WindowElapsed:
        start, event = known[1].start_of(key.workflow_id), opened.event
        if start is not None and not has_waited(start, key.trigger, opened.seen_at):
            return closed(key, event)
        try:
            return elapsed(*known, key, event)
        except TooMuchTogether as error:
            log.warning(
                "a wait of workflow %s (tenant %s) is over, but its run cannot be approved: %s",
                *(key.workflow_id, key.tenant_id, error),
            )
            return closed(key, event)

    def _record(self, key: WindowKey, fact: WindowElapsed) -> NewRecord:
        event = fact.event
        record = self._enveloped(key, fact, event)
        if len(record.value or b"") <= self._matching.fact_bytes_max:
            return record
        # Nobody else's waits stand still for it: it only closes.
        log.warning(
            "a wait of workflow %s (tenant %s) is over, but its run is too large", key.workflow_id, key.tenant_id
        )
        return self._enveloped(key, closed(key, replace(event, data=None)), event)

    def _enveloped(self, key: WindowKey, fact: WindowElapsed, event: SourceEvent) -> NewRecord:
        envelope = facts.envelop(
            fact,
            id=window_record_id(fact.TYPE, key.workflow_id, key.trigger, key.key, event.id),
            tenant_id=key.tenant_id,
            source=SOURCE,
            at=self._clock.now(),
            cause=Cause(
                causation_id=event.id,
                correlation_id=event.correlation_id or event.id,
                causal_chain=event.causal_chain,
            ),
        )
        return codec.encode(RUNS, envelope)


async def _opened(reader: Reader, partition: int, offset: int) -> WindowOpened:
    """What opened a window, from the record that says so: a wait of a month holds no event in memory."""
    reader.assign({partition: offset})
    while True:
        for record in (await reader.poll(timeout_seconds=_POLL_SECONDS, records_max=1)).get(partition, ()):
            if record.offset == offset:
                fact = facts.runs_fact(codec.decode(record))
                if not isinstance(fact, WindowOpened):
                    raise AssertionError(f"{RUNS}/{partition} opens no window at offset {offset}")
                return fact
