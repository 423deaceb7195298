"""Folds all three topics from the beginning into one generation, with the very code that folds and writes live.

Guarantee: after `fold_to(targets)` the generation stands at exactly those offsets; forgetting and looking up happen as
they do live, against the generation's own rows, so that memory stays bounded however long the log is.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from services.projector.core import include_change, include_events
from shared.bus import codec, facts
from shared.bus.codec import UndecodableRecord
from shared.bus.port import Bus, Record
from shared.bus.topics import DEFINITIONS, EVENTS, RUNS
from shared.domain.definitions import Definitions
from shared.domain.errors import UpshotError
from shared.domain.runs.delta import RunsDelta
from shared.domain.runs.fold import Known, Questions, RunsFold
from shared.domain.runs.resting import is_idle, pack
from shared.readmodel.deltas import DefinitionsDelta, EventsDelta
from shared.readmodel.rows import Rows, build_rows
from shared.readmodel.store import ReadModel

Place = tuple[str, int]
"""(topic, partition)"""

RECORDS_AT_ONCE = 5_000
_POLL_SECONDS = 2.0


class LogEndsEarly(UpshotError):
    """The log does not hold (or this version does not understand) what the read model was folded from."""


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Records of one partition between two offsets; `end` may lie behind the last of them."""

    partition: int
    start: int
    end: int
    records: Sequence[Record]


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
        await self._check_not_late(topic, left)
        reader = self._bus.reader(topic)
        try:
            reader.assign(left)
            while left:
                batches = await reader.poll(timeout_seconds=_POLL_SECONDS, records_max=RECORDS_AT_ONCE)
                passed = {each: at for each, at in reader.positions().items() if at > left[each]}
                if not passed:
                    await self._check_not_over(topic, left)
                    continue
                await self._fold_batches(topic, batches, passed, targets)
                left = {each: self.positions.get((topic, each), start) for each, start in left.items()}
                if any(position == targets[each] for each, position in left.items()):
                    left = {each: position for each, position in left.items() if position < targets[each]}
                    reader.assign(left)
        finally:
            await reader.close()

    async def _check_not_late(self, topic: str, left: Mapping[int, int]) -> None:
        marks = await self._bus.watermarks(topic, list(left))
        late = {partition: marks[partition].low for partition, at in left.items() if marks[partition].low > at}
        if late:
            raise LogEndsEarly(
                f"{topic} begins at {late} (partition: offset): what came before was deleted. Restore it."
            )

    async def _check_not_over(self, topic: str, left: Mapping[int, int]) -> None:
        """Nothing came: is there nothing more, although the read model was folded from more?"""
        marks = await self._bus.watermarks(topic, list(left))
        over = {partition: position for partition, position in left.items() if position >= marks[partition].high}
        if over:
            raise LogEndsEarly(f"{topic} ends before the read model does, at {over} (partition: offset)")

    async def _fold_batches(
        self,
        topic: str,
        batches: Mapping[int, Sequence[Record]],
        passed: Mapping[int, int],
        targets: Mapping[int, int],
    ) -> None:
        """Fold what was read of each partition, up to its target, and write all of it at once. `passed`: the positions."""
        stretches = [
            self._stretch(topic, partition, batches.get(partition, ()), min(position, targets[partition]))
            for partition, position in passed.items()
        ]
        try:
            rows = await self._rows(topic, stretches)
        except UndecodableRecord as error:
            raise LogEndsEarly(f"{topic} cannot be folded to {dict(targets)}: {error}") from error
        await self._readmodel.write_to(self.generation, rows, only_if_current=False)
        for partition, forgettable in rows.forgettable.items():
            self._runs[partition].forget(forgettable.run_ids, forgettable.match_ids, forgettable.commands)
        self.positions.update({(topic, each.partition): each.end for each in stretches})
        self._on_records(sum(len(each.records) for each in stretches))

    def _stretch(self, topic: str, partition: int, records: Sequence[Record], end: int) -> _Stretch:
        start = self.positions.get((topic, partition), 0)
        return _Stretch(partition, start, end, [each for each in records if start <= each.offset < end])

    async def _rows(self, topic: str, stretches: Sequence[_Stretch]) -> Rows:
        if topic == RUNS:
            return build_rows(await asyncio.gather(*(self._fold_runs(each) for each in stretches)))
        if topic == EVENTS:
            return build_rows([], [self._fold_events(each) for each in stretches])
        return build_rows([], [], [self._fold_definitions(each) for each in stretches])

    def _fold_events(self, stretch: _Stretch) -> EventsDelta:
        delta = EventsDelta(partition=stretch.partition, start=stretch.start, end=stretch.start)
        include_events(delta, stretch.records, self._bus.partition_count)
        delta.end = stretch.end
        return delta

    async def _fold_runs(self, stretch: _Stretch) -> RunsDelta:
        partition = stretch.partition
        fold = self._runs.setdefault(partition, RunsFold())
        decoded = [(record, event := codec.decode(record), facts.runs_fact(event)) for record in stretch.records]
        questions = Questions()
        fold.ask(questions, ((event.tenant_id, fact) for _, event, fact in decoded))
        known = Known()
        if questions:
            tenant_ids = {event.tenant_id for _, event, _ in decoded}
            known, _, _ = await self._readmodel.lookup_in(
                self.generation, questions, {partition: stretch.start}, tenant_ids
            )
        delta = RunsDelta(partition=partition, start=stretch.start, end=stretch.start, now=fold.now)
        for record, event, fact in decoded:
            folded = fold.apply(event, fact, codec.recorded_at(record), record.offset, known)
            delta.include(folded, fold, record.offset + 1)
        delta.end = stretch.end
        pack(run for run in delta.runs.values() if not run.ended and is_idle(run))
        return delta

    def _fold_definitions(self, stretch: _Stretch) -> DefinitionsDelta:
        definitions = self._definitions.setdefault(stretch.partition, Definitions())
        delta = DefinitionsDelta(partition=stretch.partition, start=stretch.start, end=stretch.start)
        for record in stretch.records:
            event = codec.decode(record)
            recorded_at = codec.recorded_at(record)
            change = definitions.apply(event.tenant_id, facts.definitions_fact(event), recorded_at)
            include_change(delta, change, definitions.tenant(event.tenant_id), recorded_at, record.offset + 1)
        delta.end = stretch.end
        return delta
