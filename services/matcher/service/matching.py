"""One batch of a partition of `upshot.events` to the records that it leads to: what both of the matcher's shells drive."""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from services.matcher.service.remembering import Memory
from services.matcher.settings import MatcherSettings
from shared.bus import codec, facts
from shared.bus.codec import UndecodableRecord
from shared.bus.deadletters import dead_letter
from shared.bus.facts import Cause
from shared.bus.glance import attributes_seen, glance
from shared.bus.partitioner import partition_of
from shared.bus.port import NewRecord, Position, Record
from shared.bus.sizes import pieces, record_bytes
from shared.bus.topics import RUNS
from shared.domain.absence import Absence
from shared.domain.clock import Clock
from shared.domain.definitions import Change, Definitions, Tenant, Workflow
from shared.domain.envelope import Event, routing_key
from shared.domain.errors import Flaw, InvalidInput
from shared.domain.ids import match_id, window_record_id
from shared.domain.records import EventMatched, WindowFact, WindowFollowed, WindowOpened
from shared.domain.windows import WindowKey
from shared.matching import event_of
from shared.runtime.clock import cpu_seconds
from shared.workflows.catalogue import Catalogue
from shared.workflows.compiled import CompiledStart
from shared.workflows.decide import Budget, decide, fields_of
from shared.workflows.fitting import fit
from shared.workflows.rules import TenantRules

log = logging.getLogger(__name__)

SOURCE = facts.SOURCES["matcher"]

SECONDS_AT_ONCE = 0.1
"""CPU time that events, or waits that are due, may take before others have their turn: one alone, whose run is held for approval,
can take a twentieth of a second."""
_EVENTS_UNTIL_LOOK, _RECORDS_UNTIL_LOOK = 64, 8
"""Between two looks at how much events took, at most so many of them, or so many records that they led to: to look costs as much
as a condition."""
RESERVED_BYTES = 65_536
"""Of a record's bytes, for the headers around a fact; and of a fact's bytes, for what it says beside an event's data."""


@dataclass(slots=True)
class Produced:
    """What the first `handled` records of a batch lead to. `opened`: by the index of the record that says so, a window and the
    event that opened it."""

    records: list[NewRecord] = field(default_factory=list)
    opened: dict[int, tuple[WindowKey, str]] = field(default_factory=dict)
    handled: int = 0
    size: int = 0
    """Bytes, about."""
    seconds: float = 0.0
    """CPU time that it took."""

    def extend(self, other: "Produced") -> None:
        """Add what another batch leads to."""
        base = len(self.records)
        self.records += other.records
        self.opened.update({base + index: key for index, key in other.opened.items()})
        self.handled += other.handled
        self.size += other.size
        self.seconds += other.seconds

    def take_back(self, count: int, size: int) -> None:
        """All but the first `count` records, of so many bytes."""
        del self.records[count:]
        self.opened = {index: key for index, key in self.opened.items() if index < count}
        self.size = size


class Matching:
    """Knows every tenant's workflows, compiled; told of each change by the definitions' follower."""

    def __init__(
        self,
        definitions: Definitions,
        catalogue: Catalogue,
        settings: MatcherSettings,
        clock: Clock,
        *,
        partition_count: int,
        record_bytes_max: int,
        cpu_seconds: Callable[[], float] = cpu_seconds,
    ) -> None:
        """`record_bytes_max`: of the bus that takes what is produced. `cpu_seconds`: what budgets are measured in, so that a
        busy neighbour costs nobody a match."""
        self._definitions = definitions
        self._catalogue = catalogue
        self._clock = clock
        self._partition_count = partition_count
        self._dead_letter = partial(dead_letter, record_bytes_max=record_bytes_max)
        reserved = min(RESERVED_BYTES, record_bytes_max // 4)
        self.fact_bytes_max = record_bytes_max - reserved
        """What a fact may take as JSON."""
        self._data_bytes_max = record_bytes_max - 2 * reserved
        self._settings = settings
        self.cpu_seconds = cpu_seconds
        self._budget = Budget(
            conditions=settings.conditions_max,
            seconds=settings.conditions_seconds_max,
            matches=settings.matches_max,
            windows=settings.windows_max,
        )
        self._rules: dict[str, TenantRules] = {}
        self.memories: dict[int, Memory] = {}
        """By partition of this process's own."""
        self._listeners: list[Callable[[str, str, CompiledStart | None], None]] = []
        self.counts: Counter[str] = Counter()

    def listen(self, listener: Callable[[str, str, CompiledStart | None], None]) -> None:
        """Call `listener(tenant_id, workflow_id, start)` with each workflow as it may start from now on (None: it may
        not), those that are known already first."""
        self._listeners.append(listener)
        for tenant_id, rules in self._rules.items():
            for workflow_id, start in rules.starts.items():
                listener(tenant_id, workflow_id, start)

    def definition_changed(self, change: Change) -> None:
        """Listener of the definitions' follower."""
        if isinstance(change.entity, Workflow):
            workflow = change.entity
            rules = self._rules.setdefault(change.tenant_id, TenantRules(self._catalogue))
            rules.put(workflow)
            for listener in self._listeners:
                listener(change.tenant_id, workflow.id, rules.start_of(workflow.id))

    def remember(self, partition: int, memory: Memory) -> None:
        """The partition is this process's own from now on, and this is what is known of it."""
        self.memories[partition] = memory

    def forget(self, partition: int) -> None:
        """The partition is another's."""
        self.memories.pop(partition, None)

    def rules(self, tenant_id: str) -> tuple[Tenant, TenantRules] | None:
        """A tenant's definitions as they are folded by now."""
        rules, tenant = self._rules.get(tenant_id), self._definitions.tenant(tenant_id)
        return (tenant, rules) if rules is not None and tenant is not None else None

    def handle_batch(self, partition: int, records: Sequence[Record]) -> Produced:
        """The records to append, in order; the caller commits the offset after the last one handled once they are durable,
        and tells where those lie that opened a window (`placed`). Of a batch that leads to more than goes into one append, or
        takes long, only the beginning is handled."""
        produced = Produced()
        memory = self.memories.setdefault(partition, Memory())
        began = self.cpu_seconds()
        while produced.handled < len(records) and not self.is_much(produced):
            count = min(produced.handled or 1, _EVENTS_UNTIL_LOOK)
            self._handle(partition, records[produced.handled : produced.handled + count], memory, produced)
            produced.seconds = self.cpu_seconds() - began
        self.counts["events"] += produced.handled
        return produced

    def _handle(self, partition: int, records: Sequence[Record], memory: Memory, produced: Produced) -> None:
        enough = min(self._settings.append_records_max, len(produced.records) + _RECORDS_UNTIL_LOOK)
        bytes_max = self._settings.append_bytes_max
        for record in records:
            if len(produced.records) >= enough or produced.size >= bytes_max:
                break
            produced.handled += 1
            count, size = len(produced.records), produced.size
            try:
                if self._concerns_nobody(record, partition, memory):
                    continue
                event = codec.decode(record)
                if partition_of(routing_key(event.tenant_id, event.subject), self._partition_count) != partition:
                    self._add(produced, self._rerouted(record, event))
                    continue
                self._match(event, memory.see(codec.recorded_at(record)), memory, produced)
            except (UndecodableRecord, InvalidInput) as error:
                self._add(produced, self._dead_letter(record, str(error), error.flaws))
                self.counts["dead_letters"] += 1
                log.warning("%s/%s at offset %s is a dead letter: %s", record.topic, partition, record.offset, error)
            except MemoryError:
                raise  # any event would have met it
            except Exception as error:  # a bug of ours: the events behind it need not wait until it is mended
                produced.take_back(count, size)
                detail = f"a bug of Upshot's, to be redriven once it is mended: {type(error).__name__}: {error}"
                self._add(produced, self._dead_letter(record, detail))
                self.counts["dead_letters"] += 1
                log.exception("%s/%s at offset %s is a dead letter: a bug", record.topic, partition, record.offset)

    def is_much(self, produced: Produced) -> bool:
        """Whether it is to be appended, and others are to have their turn, before more is matched."""
        settings = self._settings
        return (
            len(produced.records) >= settings.append_records_max
            or produced.size >= settings.append_bytes_max
            or produced.seconds >= SECONDS_AT_ONCE
        )

    def pieces(self, records: Sequence[NewRecord]) -> Iterator[Sequence[NewRecord]]:
        """The records as they go into one append after the other."""
        settings = self._settings
        return pieces(records, records_max=settings.append_records_max, bytes_max=settings.append_bytes_max)

    def placed(self, key: WindowKey, event_id: str, position: Position) -> None:
        """The record by which this event opened this window lies there."""
        memory = self.memories.get(position.partition)
        window = memory.windows.get(key) if memory is not None else None
        if memory is not None and isinstance(window, Absence):
            window.place(event_id, position.offset)

    def _concerns_nobody(self, record: Record, partition: int, memory: Memory) -> bool:
        """Whether it is certain, without decoding the record, that it leads to nothing. Raises `InvalidInput`."""
        headers = glance(record)
        if headers is None:
            return False
        tenant_id, subject = headers["ce_tenantid"].decode(), headers.get("ce_subject")
        known = self.rules(tenant_id)
        key = routing_key(tenant_id, subject.decode() if subject else None)
        if known is None or partition_of(key, self._partition_count) != partition:
            return False
        _, rules = known
        attributes = attributes_seen(headers, rules.members)
        if attributes is None or rules.watching(event_of(attributes, record.value)):
            return False
        memory.see(codec.recorded_at(record) if codec.RECORDED_TIME in headers else record.recorded_at)
        return True

    def _match(self, event: Event, recorded_at: datetime, memory: Memory, produced: Produced) -> None:
        known = self.rules(event.tenant_id)
        if known is None:
            if self._definitions.tenant(event.tenant_id) is None:
                flaw = Flaw(pointer="#/tenantid", detail=f"there is no tenant {event.tenant_id[:100]!r}")
                raise InvalidInput("nobody's event", [flaw])
            return
        tenant, rules = known
        if event.data is not None and len(event.data) > self._data_bytes_max and rules.watching(fields_of(event)):
            detail = f"{len(event.data)} bytes; with {self._data_bytes_max} there is room for what it leads to"
            raise InvalidInput("an event too large to be matched", [Flaw(pointer="#/data", detail=detail)])
        decided = decide(tenant, rules, event, recorded_at, memory.windows, self._budget, self.cpu_seconds)
        if decided.matched is None and not decided.windows:
            return
        cause = Cause(
            causation_id=event.id,
            correlation_id=event.correlation_id or event.id,
            causal_chain=event.causal_chain,
            traceparent=event.traceparent,
        )
        if decided.matched is not None:
            record = self._matched(event, decided.matched, decided.as_read, cause)
            self._add(produced, record)
        for fact in decided.windows:
            name = window_record_id(fact.TYPE, fact.workflow_id, fact.trigger, fact.key, event.id)
            if isinstance(fact, WindowOpened | WindowFollowed):
                key = WindowKey(event.tenant_id, fact.workflow_id, fact.trigger, fact.key)
                memory.waits.plan(key)
                if isinstance(fact, WindowOpened):
                    produced.opened[len(produced.records)] = (key, event.id)
            self._add(produced, self._record(fact, name, event.tenant_id, cause))
        if decided.windows:
            memory.windows.expire()

    @staticmethod
    def _add(produced: Produced, record: NewRecord) -> None:
        produced.records.append(record)
        produced.size += len(record.value or b"")

    def _matched(self, event: Event, matched: EventMatched, as_read: EventMatched | None, cause: Cause) -> NewRecord:
        name = match_id(event.id, event.replay_id)
        record = self._record(matched, name, event.tenant_id, cause, as_read)
        if len(record.value or b"") > self.fact_bytes_max:
            fitting = fit(matched, self.fact_bytes_max)
            left_out = len(matched.matches) - len(fitting.matches)
            log.warning(
                "event %s of tenant %s matches more than a record holds: %d of %d workflows are left out",
                *(event.id, event.tenant_id, left_out, len(matched.matches)),
            )
            matched = fitting
            record = self._record(matched, name, event.tenant_id, cause)
        self.counts["matches"] += len(matched.matches)
        return record

    def _record(
        self,
        fact: EventMatched | WindowFact,
        record_id: str,
        tenant_id: str,
        cause: Cause,
        as_read: EventMatched | None = None,
    ) -> NewRecord:
        at = self._clock.now()
        envelope = facts.envelop(
            fact, id=record_id, tenant_id=tenant_id, source=SOURCE, at=at, cause=cause, as_read=as_read
        )
        return codec.encode(RUNS, envelope if as_read is not None else facts.read_back(envelope))

    def _rerouted(self, record: Record, event: Event) -> NewRecord:
        """A writer with another partitioner put it here: append it again where its tenant lives, under the same id. It is
        Upshot's own record from then on, whichever mode it came in. Raises `InvalidInput` where the log has no room for it."""
        again = codec.encode(record.topic, event)
        if record_bytes(again) > self.fact_bytes_max:
            detail = f"{record_bytes(again)} bytes as Upshot's own; the log takes {self.fact_bytes_max}"
            raise InvalidInput("an event too large for its tenant's partition", [Flaw(pointer="#", detail=detail)])
        self.counts["rerouted"] += 1
        return again
