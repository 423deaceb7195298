"""One batch of a partition of `upshot.events` to the records that it leads to: what both of the matcher's shells drive."""

import logging
from collections import Counter
from collections.abc import Callable, Sequence

from services.matcher.settings import MatcherSettings
from shared.bus import codec, facts
from shared.bus.codec import UndecodableRecord
from shared.bus.facts import Cause
from shared.bus.partitioner import partition_of
from shared.bus.port import NewRecord, Record
from shared.bus.topics import DEADLETTERS, RUNS
from shared.domain.clock import Clock
from shared.domain.definitions import Change, Definitions, Workflow
from shared.domain.envelope import Event, routing_key
from shared.domain.errors import InvalidInput
from shared.domain.ids import match_id
from shared.runtime.clock import cpu_seconds
from shared.workflows.catalogue import Catalogue
from shared.workflows.decide import Budget, decide
from shared.workflows.rules import TenantRules

log = logging.getLogger(__name__)

SOURCE = facts.SOURCES["matcher"]


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
        cpu_seconds: Callable[[], float] = cpu_seconds,
    ) -> None:
        """`cpu_seconds`: what budgets are measured in, so that a busy neighbour costs nobody a match."""
        self._definitions = definitions
        self._catalogue = catalogue
        self._clock = clock
        self._partition_count = partition_count
        self._cpu_seconds = cpu_seconds
        self._budget = Budget(
            conditions=settings.conditions_max, seconds=settings.conditions_seconds_max, matches=settings.matches_max
        )
        self._rules: dict[str, TenantRules] = {}
        self.counts: Counter[str] = Counter()

    def definition_changed(self, change: Change) -> None:
        """Listener of the definitions' follower."""
        if isinstance(change.entity, Workflow):
            self._rules.setdefault(change.tenant_id, TenantRules(self._catalogue)).put(change.entity)

    def handle_batch(self, partition: int, records: Sequence[Record]) -> list[NewRecord]:
        """The records to append, in order; the caller commits the offset after the last one once they are durable."""
        produced: list[NewRecord] = []
        for record in records:
            try:
                event = codec.decode(record)
                if partition_of(routing_key(event.tenant_id, event.subject), self._partition_count) != partition:
                    produced.append(self._rerouted(record, event))
                    continue
                matched = self._matched(event)
            except (UndecodableRecord, InvalidInput) as error:
                produced.append(_dead_letter(record, str(error)))
                self.counts["dead_letters"] += 1
                log.warning("%s/%s at offset %s is a dead letter: %s", record.topic, partition, record.offset, error)
                continue
            if matched is not None:
                produced.append(matched)
        self.counts["events"] += len(records)
        return produced

    def _matched(self, event: Event) -> NewRecord | None:
        rules = self._rules.get(event.tenant_id)
        tenant = self._definitions.tenant(event.tenant_id)
        if rules is None or tenant is None:
            return None
        fact = decide(tenant, rules, event, self._budget, self._cpu_seconds)
        if fact is None:
            return None
        self.counts["matches"] += len(fact.matches)
        envelope = facts.envelop(
            fact,
            id=match_id(event.id, event.replay_id),
            tenant_id=event.tenant_id,
            source=SOURCE,
            at=self._clock.now(),
            cause=Cause(
                causation_id=event.id,
                correlation_id=event.correlation_id or event.id,
                causal_chain=event.causal_chain,
                traceparent=event.traceparent,
            ),
        )
        return codec.encode(RUNS, envelope)

    def _rerouted(self, record: Record, event: Event) -> NewRecord:
        """A writer with another partitioner put it here: append it again where its tenant lives, under the same id."""
        self.counts["rerouted"] += 1
        return codec.encode(record.topic, event)


def _dead_letter(record: Record, reason: str) -> NewRecord:
    """The record as it was, keyed by where it lay; what was wrong with it stands in headers of our own."""
    headers = (
        *record.headers,
        ("upshot_reason", reason[:2000].encode()),
        ("upshot_topic", record.topic.encode()),
        ("upshot_partition", str(record.partition).encode()),
        ("upshot_offset", str(record.offset).encode()),
    )
    key = f"{record.topic}/{record.partition}".encode()
    return NewRecord(topic=DEADLETTERS, key=key, headers=headers, value=record.value)
