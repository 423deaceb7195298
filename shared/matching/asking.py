"""What an index knows while it is asked of one event: how paths are looked up, and what asking has cost so far.

An event without arrays at the paths that rules name costs nothing of this.
Next: `index_walk.py` and `index_rest.py`, which spend it; `looked.py`, what is found once for all rules.
"""

from collections.abc import Mapping
from typing import Final

from shared.matching.event import EventFields
from shared.matching.looked import Looked
from shared.matching.lookup import PathLookup
from shared.matching.work import Work

_INDEX_PART: Final = 3
"""Of the work that one event may cost, the index has a third; then rules are asked one by one, which has all of it."""


class Asking:
    """One an index: it is asked of one event at a time."""

    __slots__ = ("_index_max", "_looked", "_work_max", "lookups", "work")

    def __init__(self, lookups: Mapping[str, PathLookup], work_max: int) -> None:
        self.lookups = lookups
        self._index_max = work_max // _INDEX_PART
        self.work = Work(self._index_max)
        self._work_max = work_max
        self._looked: Looked | None = None

    def looked(self, event: EventFields) -> Looked:
        """What was found of the event that is being asked about."""
        if self._looked is None:
            self._looked = Looked(event, self.work, self.lookups.__getitem__)
        return self._looked

    def afresh(self, event: EventFields) -> Looked:
        """The same, with nothing found and spent yet, and nobody else to spend of it."""
        return Looked(event, Work(self._work_max), self.lookups.__getitem__)

    def end(self) -> None:
        """The event is done with."""
        if self._looked is not None or self.work.left != self._index_max:
            self._looked = None
            self.work.left = self._index_max
