"""Record versions: how what was once shipped is read today, and what may be written while older readers still run.

The meaning of a shipped version never changes. A new rule is a new version, one `RecordVersion` in `record_versions.py`:
its upcaster turns the version before into it, in the codec, so that folds know the newest only. It is written only once
`UPSHOT_WRITE_LEVEL` has reached its level, when every reader knows it; until then its downcaster states the same fact in
the version before. Next: `record_versions.py` lists them, `write_level.py` holds writers to the level.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from shared.domain.envelope import Event
from shared.domain.errors import Flaw, InvalidInput, UpshotError

FIRST_LEVEL = 1
"""The write level of all first versions."""

Recast = Callable[[Event], Event]
"""Takes an event of one version, gives the same fact in another version of its type."""


class NotWritableYet(UpshotError):
    """What is to be written can only be stated in a record version that the write level does not allow yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordVersion:
    """One version of a record type after its first.

    `upcast` takes the version before to this one and never fails on what was shipped. `downcast` takes this one to the
    version before, for as long as the write level is below `write_level`; it raises `NotWritableYet` where the version
    before cannot say it, which only a command that a caller can repeat may come to.
    """

    topic: str
    type: str
    version: int
    write_level: int
    upcast: Recast
    downcast: Recast


class RecordVersions:
    """All versions after the first ones. Types are told apart by topic, too: tenants name their own events."""

    def __init__(self, versions: Sequence[RecordVersion] = ()) -> None:
        """Raises AssertionError where the versions of a type are not 2, 3, … with levels that do not fall."""
        ladders: dict[tuple[str, str], list[RecordVersion]] = {}
        for each in versions:
            ladder = ladders.setdefault((each.topic, each.type), [])
            least = ladder[-1].write_level if ladder else FIRST_LEVEL + 1
            if each.version != len(ladder) + 2 or each.write_level < least:
                raise AssertionError(f"{each.type} version {each.version} at level {each.write_level} is out of line")
            ladder.append(each)
        self._ladders = ladders
        self.newest_level = max((each.write_level for each in versions), default=FIRST_LEVEL)
        """The highest write level that has a meaning here: whoever has these versions reads all up to it."""
        self.upcasters: Mapping[tuple[str, str, int], Recast] = MappingProxyType(
            {(each.topic, each.type, each.version - 1): each.upcast for each in versions}
        )
        """By topic, event type and the version that is read."""

    def newest(self, topic: str, event_type: str) -> int:
        """The newest version of a type that is known."""
        return len(self._ladders.get((topic, event_type), ())) + 1

    def types(self, topic: str) -> frozenset[str]:
        """The types of a topic that have more than one version."""
        return frozenset(event_type for of, event_type in self._ladders if of == topic)

    def upcast(self, topic: str, event: Event) -> Event:
        """The event in the newest version of its type that is known."""
        while upcaster := self.upcasters.get((topic, event.type, event.version)):
            newer = upcaster(event)
            if (newer.type, newer.version) != (event.type, event.version + 1):
                raise AssertionError(f"the upcaster of {event.type} version {event.version} does not raise it by one")
            event = newer
        return event

    def downcast(self, topic: str, event: Event, write_level: int) -> Event:
        """The event in the newest version that may be written at `write_level`. Raises `NotWritableYet`."""
        ladder = self._ladders.get((topic, event.type), ())
        while event.version > 1 and event.version - 2 < len(ladder):
            step = ladder[event.version - 2]
            if step.write_level <= write_level:
                break
            event = step.downcast(event)
            if event.version != step.version - 1:
                raise AssertionError(f"the downcaster of {step.type} version {step.version} does not lower it by one")
        return event

    def check_write_level(self, write_level: int) -> None:
        """Raises InvalidInput for a level that this version cannot even read."""
        if not FIRST_LEVEL <= write_level <= self.newest_level:
            detail = f"{write_level}: this version reads and writes record versions of levels 1 to {self.newest_level}"
            raise InvalidInput("a setting cannot be used", [Flaw(pointer="UPSHOT_WRITE_LEVEL", detail=detail)])
