"""Every metric there is, by name, and where a process counts: what `/metrics` shows and collectors read.

Counting costs a fraction of a microsecond: numbers are kept plain, and OpenTelemetry's instruments look at them when somebody
asks (`collecting.py`, which commands that only look need not load). No label names a tenant, an event or anything else whose
number nobody bounds; where there is no label to tell things apart, `/metrics` of each process does.
Next: `collecting.py`, then `prometheus.py`, the page.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

Labels = tuple[tuple[str, str], ...]
Measure = Callable[[], Mapping[Labels, float]]
"""What a gauge shows now, by its labels."""


@dataclass(
    frozen=True, slots=True, kw_only=True, eq=False
)  # each is itself; hashing its text would cost more than counting
class Metric:
    """`name` and `unit` as OpenTelemetry has them; the page adds `_total` to counters."""

    name: str
    kind: Literal["counter", "gauge"]
    description: str
    unit: str = "1"
    labels: tuple[str, ...] = ()


RECORDS_READ = Metric(
    name="upshot_records_read",
    kind="counter",
    unit="{record}",
    labels=("topic",),
    description="Records that this process was handed by the log.",
)
RECORDS_APPENDED = Metric(
    name="upshot_records_appended",
    kind="counter",
    unit="{record}",
    labels=("topic",),
    description="Records that the log took from this process, durably.",
)
FACTS_APPENDED = Metric(
    name="upshot_facts_appended",
    kind="counter",
    unit="{record}",
    labels=("type",),
    description="Of these, those about runs, by type: attempts begun and ended, matches, expiries.",
)
APPENDS = Metric(name="upshot_appends", kind="counter", unit="{append}", description="Appends that were answered.")
APPEND_SECONDS = Metric(
    name="upshot_append_seconds",
    kind="counter",
    unit="s",
    description="Time in which they were answered; divided by their number, what one takes.",
)
APPENDS_FAILED = Metric(
    name="upshot_appends_failed",
    kind="counter",
    unit="{append}",
    description="Appends that were not answered, or refused; most are repeated.",
)
EVENTS_MATCHED = Metric(
    name="upshot_events_matched", kind="counter", unit="{event}", description="Events that were matched."
)
MATCHES = Metric(
    name="upshot_matches", kind="counter", unit="{match}", description="Workflows that events asked to start."
)
REROUTED = Metric(
    name="upshot_records_rerouted",
    kind="counter",
    unit="{record}",
    description="Events in another partition than their tenant's, appended again to the right one.",
)
DEAD_LETTERS = Metric(
    name="upshot_dead_letters",
    kind="counter",
    unit="{record}",
    description="Events that nobody could understand.",
)
DEDUPLICATED = Metric(
    name="upshot_events_deduplicated",
    kind="counter",
    unit="{event}",
    description="Events published over HTTP that were here before; what upstreams append to the log is not counted.",
)
PARTITIONS = Metric(
    name="upshot_partitions",
    kind="gauge",
    unit="{partition}",
    labels=("topic", "group", "state"),
    description="Partitions of this member: level, restoring, or halted: /readyz says at what. Definitions, which every process "
    "reads in no group, and the projector's other topics: those halted.",
)
RESTORE_REMAINING = Metric(
    name="upshot_restore_remaining_records",
    kind="gauge",
    unit="{record}",
    labels=("topic", "group", "partition"),
    description="Records left until a partition is restored.",
)
LAG = Metric(
    name="upshot_lag_records",
    kind="gauge",
    unit="{record}",
    labels=("topic", "group", "partition"),
    description="Records at the end of a partition of this member that it has yet to take in.",
)
ATTEMPTS = Metric(
    name="upshot_attempts",
    kind="gauge",
    unit="{attempt}",
    labels=("state",),
    description="Attempts under way, attempts that wait for their turn, and timers of retries and waits.",
)
APPROVALS_PENDING = Metric(
    name="upshot_approvals_pending", kind="gauge", unit="{run}", description="Runs that wait for a person."
)
UNWRITTEN_ROWS = Metric(
    name="upshot_projector_unwritten_rows",
    kind="gauge",
    unit="{row}",
    description="Rows that are folded and not in the read model yet, about.",
)
UNWRITTEN_SECONDS = Metric(
    name="upshot_projector_unwritten_seconds",
    kind="gauge",
    unit="s",
    description="Since when the oldest of them has waited.",
)
KEPT_IDS = Metric(
    name="upshot_unprojected_ids",
    kind="gauge",
    unit="{id}",
    description="Ids in memory only because the projector, elsewhere, has not written them yet.",
)
ALIVE = Metric(
    name="upshot_member_alive",
    kind="gauge",
    labels=("topic", "group"),
    description="1 while the log answers this member's heartbeats, else 0: it must not act.",
)
HTTP_CONNECTIONS = Metric(
    name="upshot_http_connections",
    kind="gauge",
    unit="{connection}",
    description="HTTP connections that are open.",
)
HTTP_CONNECTIONS_CLOSED = Metric(
    name="upshot_http_connections_closed",
    kind="counter",
    unit="{connection}",
    labels=("reason",),
    description="HTTP connections closed against the caller: for one more than may be open (`limit`), a request's head that "
    "did not come in time (`slow_head`), an answer that was not taken (`untaken`), or what was no HTTP (`malformed`).",
)
READY = Metric(name="upshot_ready", kind="gauge", description="1 where /readyz answers 200, else 0.")

CATALOGUE: tuple[Metric, ...] = (
    *(RECORDS_READ, RECORDS_APPENDED, FACTS_APPENDED, APPENDS, APPEND_SECONDS, APPENDS_FAILED),
    *(EVENTS_MATCHED, MATCHES, REROUTED, DEAD_LETTERS, DEDUPLICATED),
    *(PARTITIONS, RESTORE_REMAINING, LAG, ALIVE),
    *(ATTEMPTS, APPROVALS_PENDING, UNWRITTEN_ROWS, UNWRITTEN_SECONDS, KEPT_IDS, READY),
    *(HTTP_CONNECTIONS, HTTP_CONNECTIONS_CLOSED),
)


class Metrics:
    """One process's. Made once, handed to whoever counts."""

    def __init__(self) -> None:
        self._counts: dict[Metric, dict[tuple[str, ...], float]] = {each: defaultdict(float) for each in CATALOGUE}
        self._measures: dict[Metric, list[Measure]] = defaultdict(list)

    def add(self, metric: Metric, number: float = 1, *values: str) -> None:
        """Count; `values` are those of the metric's labels, in their order."""
        self._counts[metric][values] += number

    def show(self, metric: Metric, measure: Measure) -> None:
        """Ask `measure` whenever somebody looks; a metric may have several, for different labels."""
        self._measures[metric].append(measure)

    def values(self, metric: Metric) -> Mapping[Labels, float]:
        """What was counted and what measures show now, by the metric's labels."""
        found = {labels_of(metric, *values): number for values, number in self._counts[metric].items()}
        for measure in self._measures[metric]:
            found.update(measure())
        return found


def labels_of(metric: Metric, *values: str) -> Labels:
    """The labels' names with these values."""
    return tuple(zip(metric.labels, values, strict=True))
