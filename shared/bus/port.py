"""The bus port: Upshot's log of record, on Kafka's semantics. This docstring is the specification; the contract
suite in `tests/contract/test_bus_contract.py` runs it against every adapter.

**Topics and partitions.** Every topic has the same fixed number of partitions. A record goes to the partition that
Kafka's murmur2 partitioner gives its key (`partitioner.py`), in every adapter.

**Order and offsets.** Within a partition records have gapless-or-growing offsets in commit order: whoever reads
offset n has every record below n that will ever exist. There is no order between partitions or topics. Records of
one `append` call to the same partition keep the caller's order and are contiguous for that caller's call.

**Durability.** When `append` returns, every record is on stable storage; when it raises, none, some or (if the
connection broke during the commit) all of them may be: `AppendInDoubt`. Appending the same records again is always
safe, because ids are derived and folds ignore what they have applied. Concurrent callers' appends are merged (group
commit) and never dead-lock, within one process or between several.

**Watermarks.** `low` is the first readable offset, `high` the last offset + 1; an empty partition has low == high, which
need not be 0. Offsets may hold nothing for anybody (a transaction's marker, what it aborted): a reader is level with a
partition when its *position* equals `high`, wherever the last record was. Who must know all that another topic held
before the records in hand were appended asks for watermarks `as_of` those records: an adapter that appended them itself
has the answer in memory.

**Time.** `recorded_at` is the bus's append time, never the writer's, and does not fall within a partition as long as
the server's clock does not.

**Groups.** A member joins a group on one topic and is told which partitions are its own. Partitions are never owned
by two live members at once: one that loses a partition is told so (`revoked`), stops acting, and releases it before
another is assigned it; a member that is silent for the session timeout loses all. Every change of assignment has a
higher generation. A commit carries the generation under which its work was done; a stale one raises
`StaleGenerationError` and changes nothing. Committed offsets are the *next* to read. `Membership.alive()` is false as
soon as the last answered heartbeat is older than the session timeout by this process's own monotonic clock: a frozen
owner that wakes up sees that before it acts.

**Errors.** `TransientError` (or its subclass `AppendInDoubt`) while the bus is away; adapters reconnect by
themselves, and readers resume where they were. `RecordTooLarge` before anything is sent.

Next: `codec.py` for what a record holds, `adapters/` for the technologies behind this port.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, Self

from shared.bus.headers import Headers
from shared.domain.envelope import Event
from shared.domain.errors import PermanentError, TransientError


@dataclass(slots=True, kw_only=True, unsafe_hash=True)  # values like all others, but freezing costs 2 µs an object
class NewRecord:
    """What a writer wants to be true. `key` decides the partition; `value` None is a tombstone.

    `origin` is the event that it was encoded from: who decodes it in the same process need not. `foreign`: as a record's;
    whoever copies a record says it again.
    """

    topic: str
    key: bytes
    headers: Headers
    value: bytes | None
    origin: Event | None = field(default=None, repr=False, compare=False)
    foreign: bool = False


@dataclass(slots=True, kw_only=True, unsafe_hash=True)  # as above
class Record:
    """What the bus hands over. `origin`: the new record's, where an adapter has it at hand. `foreign`: somebody else than
    Upshot wrote it (`seal.py`), and it is decoded as such (`foreign.py`)."""

    topic: str
    partition: int
    offset: int
    recorded_at: datetime
    key: bytes
    headers: Headers
    value: bytes | None
    origin: Event | None = field(default=None, repr=False, compare=False)
    foreign: bool = False


@dataclass(slots=True, unsafe_hash=True)  # as above
class Position:
    """Where a record was appended, and when by the bus's clock."""

    topic: str
    partition: int
    offset: int
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class Watermarks:
    """`low`: the first readable offset; `high`: the last offset + 1."""

    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a member owns from now on. `revoked` were owned until now and must not be acted on any more."""

    generation: int
    partitions: frozenset[int]
    assigned: frozenset[int]
    revoked: frozenset[int]

    @classmethod
    def between(cls, held: Mapping[int, int], owned: Mapping[int, int], generation: int) -> Self:
        """The change from what a member holds to what it owns: both say since which generation, by partition. One that it
        owns anew was somebody else's meanwhile: it is revoked and assigned."""
        return cls(
            generation=generation,
            partitions=frozenset(owned),
            assigned=frozenset(partition for partition, since in owned.items() if held.get(partition) != since),
            revoked=frozenset(partition for partition, since in held.items() if owned.get(partition) != since),
        )


class AppendInDoubt(TransientError):
    """The connection broke around the commit: the records may or may not be in the log. Append them again."""


class PartitionUnreadable(TransientError):
    """Records of these partitions cannot be had until somebody mends what holds them; all others go on. A reader raises it
    when it has nothing else to give."""

    def __init__(self, detail: str, *, partitions: frozenset[int], retry_after_seconds: float | None = None) -> None:
        super().__init__(detail, retry_after_seconds=retry_after_seconds)
        self.partitions = partitions


class RecordTooLarge(PermanentError):
    """A record is larger than the bus takes (`record_bytes_max`)."""


class Reader(Protocol):
    """Follows partitions of one topic from explicit offsets, in no group."""

    def assign(self, positions: Mapping[int, int]) -> None:
        """Read exactly these partitions from now on, each from the given offset (below `low`: from `low`)."""
        ...

    def positions(self) -> Mapping[int, int]:
        """The next offset to be handed over, per assigned partition."""
        ...

    async def poll(self, *, timeout_seconds: float, records_max: int = 1000) -> Mapping[int, Sequence[Record]]:
        """The next records per partition, in offset order, at most about `records_max` in all, spread fairly over
        partitions; empty after `timeout_seconds` without any. Moves the positions on, also past offsets that hold nothing
        for anybody (a transaction's marker, what it aborted), and may come back empty for that alone."""
        ...

    async def close(self) -> None:
        """Free what it holds. Closing twice is harmless."""
        ...


class Membership(Protocol):
    """One member of a consumer group on one topic."""

    @property
    def assignment(self) -> Assignment:
        """The latest assignment that this member has taken over by `next_assignment`."""
        ...

    async def next_assignment(self, *, timeout_seconds: float) -> Assignment | None:
        """The next change, or None within the timeout. By calling again (or `release`), the member says that it has
        stopped acting on what was `revoked`; only then may others be assigned it."""
        ...

    def release(self) -> None:
        """Say at once that what the last change revoked is no longer acted on."""
        ...

    def alive(self) -> bool:
        """Whether acting is still allowed: False when heartbeats have gone unanswered for the session timeout."""
        ...

    async def committed(self) -> Mapping[int, int]:
        """The committed next offset of every assigned partition that has one."""
        ...

    async def commit(self, offsets: Mapping[int, int], *, generation: int) -> None:
        """Record the next offsets to read. Raises `StaleGenerationError` if any partition is not owned by this
        member under `generation` any more."""
        ...

    async def leave(self) -> None:
        """Give everything back now. Leaving twice is harmless."""
        ...


class Bus(Protocol):
    """The log of record."""

    @property
    def partition_count(self) -> int:
        """The number of partitions of every topic of this log, fixed for its life."""
        ...

    @property
    def record_bytes_max(self) -> int:
        """What a record may have at most (key, headers and value); `append` refuses a larger one (`RecordTooLarge`)."""
        ...

    async def append(self, records: Sequence[NewRecord]) -> Sequence[Position]:
        """Durably append; positions in the order of `records`.

        Where it raises, or the caller dies meanwhile, any of the partitions may have its records and any other may not: what
        must not be there without something else is appended after that.
        """
        ...

    def reader(self, topic: str) -> Reader:
        """A reader of `topic` with nothing assigned yet."""
        ...

    async def join(self, group: str, topic: str, *, member_id: str) -> Membership:
        """Become a member. `member_id` is unique per live process (static membership: the same id rejoining
        replaces its former self)."""
        ...

    async def committed(self, group: str, topic: str) -> Mapping[int, int]:
        """The next offsets that a group has committed, of every partition that has one, whoever owns it now. For whoever is
        no member: another service that waits until a group is done with a record, and measuring its lag."""
        ...

    async def watermarks(
        self,
        topic: str,
        partitions: Sequence[int] | None = None,
        *,
        as_of: Mapping[int, Sequence[Record]] | None = None,
    ) -> Mapping[int, Watermarks]:
        """Of the given partitions, or of all, also where they are empty, as they are now.

        `as_of` (instead of `partitions`): what a reader of this bus gave, by partition; of exactly these partitions. The
        marks may then be older than now, but in each partition every record of `topic` whose append had returned before
        the append of any of these records was called lies below `high`.
        """
        ...

    async def close(self) -> None:
        """Finish what is being appended, leave all groups, free everything. Closing twice is harmless."""
        ...
