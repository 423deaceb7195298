"""Finds what an event was matched to: the record in the log, by its runs where it has any, else by its time.

An `event.matched` that asked for no run (all its workflows were left unevaluated) has no row that leads to it. Its id is
known, and it was appended after the event: records from that instant on are read, up to a bound.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import get_args

from services.api.core.outcomes import WhatHappened
from services.api.service.log_reader import LogReader
from shared.bus import codec, facts
from shared.bus.partitioner import partition_of
from shared.bus.port import Bus, Record
from shared.bus.topics import EVENTS, RUNS
from shared.domain.envelope import Event, routing_key
from shared.domain.ids import match_id
from shared.domain.records import EventMatched, WindowFact
from shared.readmodel.tenant_queries import TenantQueries
from shared.readmodel.tenant_values import EventItem
from shared.runtime.http import HttpProblem

_WINDOW_TYPES = frozenset(each.TYPE for each in get_args(WindowFact))


@dataclass(frozen=True, slots=True, kw_only=True)
class Occurrence:
    """An event as it entered the log, by itself or by a replay: when, and what the log and the runs' fold say of it."""

    item: EventItem
    event: Event
    recorded_at: datetime
    happened: WhatHappened


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowRecords:
    """Of one workflow, in the log's order. `whole`: they begin early enough to tell what its windows held."""

    facts: Sequence[WindowFact]
    whole: bool


NO_RECORDS = WindowRecords(facts=(), whole=False)


class Matches:
    """Reads events and matches of one tenant."""

    def __init__(self, bus: Bus, queries: TenantQueries, log: LogReader, *, search_records_max: int) -> None:
        self._bus = bus
        self._queries = queries
        self._log = log
        self._search_records_max = search_records_max

    async def occurrence(self, tenant_id: str, event_id: str, replay_id: str | None) -> Occurrence:
        """Raises HttpProblem 404 where there is no such event, or no such replay of it."""
        found = await self._queries.get_event(tenant_id, event_id)
        if found is None:
            raise HttpProblem(404, "unknown-event", f"there is no event {event_id!r}")
        item = found.event
        (record,) = await self._log.at(EVENTS, item.partition, [item.offset])
        event = codec.decode(record)
        recorded_at = item.recorded_at
        runs = await self._queries.runs_of_match(tenant_id, event_id, replay_id)
        if replay_id is not None:
            replayed = None if runs else await self._replayed(item, replay_id)
            if replayed is None and not runs:
                detail = f"no replay {replay_id!r} of event {event_id!r} is known"
                raise HttpProblem(404, "unknown-replay", detail)
            recorded_at = codec.recorded_at(replayed) if replayed is not None else runs[0].requested_at
            event = codec.decode(replayed) if replayed is not None else replace(event, replay_id=replay_id)
        match: EventMatched | None = None
        searched: int | None = None
        if runs:
            detail_of_first = await self._queries.get_run(tenant_id, runs[0].run_id)
            if detail_of_first is None:
                raise AssertionError("a run that was listed is gone")
            (asked,) = await self._log.at(RUNS, detail_of_first.partition, detail_of_first.positions[:1])
            match = _match_in(asked)
        if match is None:
            # Nothing leads to it: it asked for no run, or the runs there are were asked for by what did not follow.
            match, searched = await self._match_after(tenant_id, match_id(event_id, replay_id), recorded_at)
        happened = WhatHappened(match=match, runs={run.workflow_id: run for run in runs}, searched_records=searched)
        return Occurrence(item=item, event=event, recorded_at=recorded_at, happened=happened)

    async def window_records(
        self, tenant_id: str, workflow_id: str, since: datetime, instant: datetime
    ) -> WindowRecords:
        """What was recorded of a workflow's windows from `since` on, and as many records after `instant` as one search may
        read. Where more than that lie between the two, those are left out: then not all that the windows held is known."""
        partition = partition_of(routing_key(tenant_id), self._bus.partition_count)
        found: list[WindowFact] = []

        def collect(event: Event) -> bool:
            if event.tenant_id == tenant_id and event.type in _WINDOW_TYPES:
                fact = facts.runs_fact(event)
                if isinstance(fact, WindowFact) and fact.workflow_id == workflow_id:
                    found.append(fact)
            return False

        start = await self._log.first_since(RUNS, partition, since)
        at = await self._log.first_since(RUNS, partition, instant)
        whole = at - start <= self._search_records_max
        start = start if whole else at
        most = at - start + self._search_records_max
        await self._log.search(RUNS, partition, start, records_max=most, wanted=collect)
        return WindowRecords(facts=found, whole=whole)

    async def _match_after(
        self, tenant_id: str, match: str, instant: datetime
    ) -> tuple[EventMatched | None, int | None]:
        """The match of that id, and how many records were read where that was not all there are."""
        partition = partition_of(routing_key(tenant_id), self._bus.partition_count)
        start = await self._log.first_since(RUNS, partition, instant)
        found, read = await self._log.search(
            RUNS, partition, start, records_max=self._search_records_max, wanted=lambda event: event.id == match
        )
        if found is not None:
            return _match_in(found), None
        return None, read if read >= self._search_records_max else None

    async def _replayed(self, item: EventItem, replay_id: str) -> Record | None:
        """The replay's own record, where it is among the newest of the partition."""
        end = (await self._bus.watermarks(EVENTS, [item.partition]))[item.partition].high
        found, _ = await self._log.search(
            EVENTS,
            item.partition,
            max(item.offset + 1, end - self._search_records_max),
            records_max=self._search_records_max,
            wanted=lambda event: event.id == item.event_id and event.replay_id == replay_id,
        )
        return found


def _match_in(record: Record) -> EventMatched | None:
    fact = facts.runs_fact(codec.decode(record))
    return fact if isinstance(fact, EventMatched) else None
