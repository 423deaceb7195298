"""Folds all three topics from the beginning into one generation, with the very code that folds and writes live.

Guarantee: after `fold_to(targets)` the generation stands at exactly those offsets; forgetting and looking up happen as
they do live, against the generation's own rows, so that memory stays bounded however long the log is.
"""

from collections.abc import Callable, Mapping, Sequence

from services.projector.core import include_change, include_events
from shared.bus import codec, facts
from shared.bus.codec import UndecodableRecord
from shared.bus.port import Bus, Record
from shared.bus.topics import DEFINITIONS, EVENTS, RUNS
from shared.domain.definitions import Definitions
from shared.domain.errors import UpshotError
from shared.domain.runs.delta import RunsDelta
from shared.domain.runs.fold import Known, Questions, RunsFold
from shared.readmodel.deltas import DefinitionsDelta, EventsDelta
from shared.readmodel.rows import Rows, build_rows
from shared.readmodel.store import ReadModel

Place = tuple[str, int]
"""(topic, partition)"""

RECORDS_AT_ONCE = 5_000
_POLL_SECONDS = 5.0


class LogEndsEarly(UpshotError):
    """The log does not hold (or this version does not understand) what the read model was folded from."""


class Refold:
    """The fold of a whole log into `generation`, as far as it has got."""

    def __init__(self, bus: Bus, readmodel: ReadModel, generation: int, on_records: Callable[[int], None]) -> None:
        """`on_records(count)` hears of every batch that is written."""
        self.generation = generation
        self.positions: dict[Place, int] = {}
        self._bus = bus
        self._readmodel = readmodel
        self._on_records = on_records
        self._runs: dict[int, RunsFold] = {}
        self._definitions: dict[int, Definitions] = {}

    def distance(self, targets: Mapping[Place, int]) -> int:
        """How many offsets lie between here and there."""
        return sum(max(0, target - self.positions.get(place, 0)) for place, target in targets.items())

    async def fold_to(self, targets: Mapping[Place, int]) -> None:
        """Go on to exactly these next offsets. Raises LogEndsEarly."""
        for topic in (DEFINITIONS, EVENTS, RUNS):
            wanted = {partition: target for (of, partition), target in targets.items() if of == topic}
            await self._fold_topic(topic, wanted)

    async def _fold_topic(self, topic: str, targets: Mapping[int, int]) -> None:
        left = {each: self.positions.get((topic, each), 0) for each in targets}
        left = {partition: position for partition, position in left.items() if position < targets[partition]}
        if not left:
            return
        reader = self._bus.reader(topic)
        try:
            reader.assign(left)
            while left:
                batches = await reader.poll(timeout_seconds=_POLL_SECONDS, records_max=RECORDS_AT_ONCE)
                if not batches:
                    raise LogEndsEarly(f"{topic} ends before {dict(targets)}: it stands at {left}")
                reached = [
                    partition
                    for partition, records in batches.items()
                    if await self._fold_batch(topic, partition, records, targets[partition])
                ]
                if reached:
                    left = {each: self.positions.get((topic, each), start) for each, start in left.items()}
                    left = {each: position for each, position in left.items() if each not in reached}
                    reader.assign(left)
        finally:
            await reader.close()

    async def _fold_batch(self, topic: str, partition: int, records: Sequence[Record], target: int) -> bool:
        """Whether the target is reached."""
        start = self.positions.get((topic, partition), 0)
        wanted = [each for each in records if start <= each.offset < target]
        # Offsets may have gaps: what lies behind the target shows that nothing before it is missing.
        end = target if records[-1].offset >= target - 1 else records[-1].offset + 1
        try:
            rows = await self._rows(topic, partition, wanted, start, end)
        except UndecodableRecord as error:
            raise LogEndsEarly(f"{topic}/{partition} cannot be folded beyond {start}: {error}") from error
        await self._readmodel.write_to(self.generation, rows, only_if_current=False)
        if topic == RUNS:
            forgettable = rows.forgettable[partition]
            self._runs[partition].forget(forgettable.run_ids, forgettable.match_ids, forgettable.commands)
        self.positions[topic, partition] = end
        self._on_records(len(wanted))
        return end == target

    async def _rows(self, topic: str, partition: int, records: Sequence[Record], start: int, end: int) -> Rows:
        if topic == RUNS:
            return build_rows([await self._fold_runs(partition, records, start, end)])
        if topic == EVENTS:
            events = EventsDelta(partition=partition, start=start, end=end)
            include_events(events, records, self._bus.partition_count)
            events.end = end
            return build_rows([], [events])
        return build_rows([], [], [self._fold_definitions(partition, records, start, end)])

    async def _fold_runs(self, partition: int, records: Sequence[Record], start: int, end: int) -> RunsDelta:
        fold = self._runs.setdefault(partition, RunsFold())
        decoded = [(record, event := codec.decode(record), facts.runs_fact(event)) for record in records]
        questions = Questions()
        fold.ask(questions, ((event.tenant_id, fact) for _, event, fact in decoded))
        known = Known()
        if questions:
            tenant_ids = {event.tenant_id for _, event, _ in decoded}
            known, _, _ = await self._readmodel.lookup_in(self.generation, questions, partition, tenant_ids)
        delta = RunsDelta(partition=partition, start=start, end=start, now=fold.now)
        for record, event, fact in decoded:
            folded = fold.apply(event, fact, codec.recorded_at(record), record.offset, known)
            delta.include(folded, fold, record.offset + 1)
        delta.end = end
        return delta

    def _fold_definitions(self, partition: int, records: Sequence[Record], start: int, end: int) -> DefinitionsDelta:
        definitions = self._definitions.setdefault(partition, Definitions())
        delta = DefinitionsDelta(partition=partition, start=start, end=start)
        for record in records:
            event = codec.decode(record)
            recorded_at = codec.recorded_at(record)
            change = definitions.apply(event.tenant_id, facts.definitions_fact(event), recorded_at)
            include_change(delta, change, definitions.tenant(event.tenant_id), recorded_at, record.offset + 1)
        delta.end = end
        return delta
