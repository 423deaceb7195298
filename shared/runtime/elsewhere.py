"""Memory of a process that folds runs while another one projects them: what the projector has written may be let go.

Guarantee: an id leaves memory only once the read model's checkpoint has passed the record that named it, so that an id found
in neither is new. However far the projector is behind, what is kept is bounded: at `unwritten_max` nothing more is read.
Next: `shards.py`, on top of whose fold this stands as one actor more; `Shard.written` lets go.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from shared.domain.errors import TransientError
from shared.domain.runs.delta import RunsDelta
from shared.readmodel.rows import Forgettable, forgettable_of
from shared.runtime.settings import RunsSettings
from shared.runtime.shard import Shard

log = logging.getLogger(__name__)

ReadCheckpoints = Callable[[], Awaitable[Mapping[int, int]]]
"""How far each partition of the runs is projected: `ReadModel.written_by_others`."""


@dataclass(frozen=True, slots=True)
class _Kept:
    end: int
    what: Forgettable

    @property
    def ids(self) -> int:
        return len(self.what.run_ids) + len(self.what.match_ids) + len(self.what.commands)


class ProjectedElsewhere:
    """One a process that has no projector. Give it to the `RunsFollower` as an actor, its `accepting` as `may_read`, and run
    it."""

    def __init__(self, read_checkpoints: ReadCheckpoints, settings: RunsSettings) -> None:
        self._read_checkpoints = read_checkpoints
        self._settings = settings
        self._kept: dict[Shard, deque[_Kept]] = {}
        self._ids = 0
        self._work = asyncio.Event()
        self.accepting = asyncio.Event()
        self.accepting.set()

    @property
    def kept(self) -> int:
        """Ids that are in memory only because the projector has not written them yet."""
        return self._ids

    def restored(self, shard: Shard) -> None:
        """Nothing is due."""

    def folded(self, shard: Shard, delta: RunsDelta) -> None:
        kept = _Kept(delta.end, forgettable_of(delta))
        if kept.ids and shard.owned:
            self._kept.setdefault(shard, deque()).append(kept)
            self._count(kept.ids)
            self._work.set()

    def revoked(self, shard: Shard) -> None:
        self._count(-sum(each.ids for each in self._kept.pop(shard, ())))

    def halted(self, shard: Shard) -> None:
        """What is projected of it is let go of all the same."""

    async def run(self) -> None:
        """Until cancelled. Asks while there is something to let go, and only then."""
        while True:
            await self._work.wait()
            await asyncio.sleep(self._settings.checkpoint_interval_seconds)
            try:
                self.passed(await self._read_checkpoints())
            except TransientError as error:
                log.warning("it is not known how far runs are projected; all is kept in memory: %s", error)
            if not self._kept:
                self._work.clear()

    def passed(self, checkpoints: Mapping[int, int]) -> None:
        """The projector stands there: let go what lies below."""
        for shard, kept in list(self._kept.items()):
            written_to = checkpoints.get(shard.partition, 0)
            while kept and kept[0].end <= written_to:
                passed = kept.popleft()
                shard.written(passed.what.run_ids, passed.what.match_ids, passed.what.commands)
                self._count(-passed.ids)
            if not kept:
                del self._kept[shard]

    def _count(self, ids: int) -> None:
        self._ids += ids
        if self._ids >= self._settings.unwritten_max:
            if self.accepting.is_set():
                log.warning("%s ids wait for the projector; runs are not read on until it has caught up", self._ids)
            self.accepting.clear()
        else:
            self.accepting.set()
