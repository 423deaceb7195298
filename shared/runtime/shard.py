"""One partition of `upshot.runs` as a process holds it: its fold, how far it has got, and who acts on it.

Folding needs no ownership, acting does: `may_act` is false the moment the partition is revoked or stands still, and when
heartbeats have gone unanswered too long. Next: `shards.py`, which restores shards and folds them on.
"""

from typing import Protocol

from shared.bus.port import Membership
from shared.domain.runs.delta import RunsDelta
from shared.domain.runs.fold import CommandKey, RunsFold
from shared.readmodel.snapshots import Snapshot
from shared.runtime.holding import Holding


class Shard:
    """One partition: its fold, how far it has got, and whether this process may act on it."""

    def __init__(self, partition: int, membership: Membership, *, parsed_bytes_max: int) -> None:
        """`parsed_bytes_max`: see `Holding`."""
        self.partition = partition
        self.fold = RunsFold()
        self.holding = Holding(parsed_bytes_max)
        self.next = 0
        self.level = False
        self.owned = True
        self.halted: str | None = None
        self._membership = membership
        self._level_at = 0
        self._forgettable: list[tuple[list[str], list[str], list[CommandKey]]] = []

    @property
    def followed(self) -> bool:
        """Whether what is appended to it will be folded here."""
        return self.owned and self.halted is None

    @property
    def may_act(self) -> bool:
        return self.followed and self.level and self._membership.alive()

    def written(self, run_ids: list[str], match_ids: list[str], commands: list[CommandKey]) -> None:
        """The projector's checkpoint has passed these. Let go before the next batch, never in the middle of one: a
        lookup that is under way did not ask for what memory held."""
        self._forgettable.append((run_ids, match_ids, commands))

    @property
    def level_at(self) -> int:
        """The offset at which it is restored."""
        return self._level_at

    def begin(self, snapshot: Snapshot, end: int) -> None:
        """Take over the snapshot; level once `end` is reached."""
        self.fold.restore(
            snapshot.runs, snapshot.activities, snapshot.usage, snapshot.now or self.fold.now, snapshot.windows
        )
        self.next, self._level_at = snapshot.next, end

    def reach_level(self) -> bool:
        """True once, when the restore is over."""
        if self.level or self.next < self._level_at:
            return False
        self.level = True
        return True

    def forget_written(self) -> list[str]:
        """Let go; returns the matches among it."""
        match_ids = [match_id for _, each, _ in self._forgettable for match_id in each]
        for each in self._forgettable:
            self.fold.forget(*each)
            self.holding.let_go(each[0])
        self._forgettable.clear()
        return match_ids


class Actor(Protocol):
    """A service on top of the fold. All of these are called from the event loop and must be quick."""

    def restored(self, shard: Shard) -> None:
        """The shard is level: act on whatever its state says is due."""
        ...

    def folded(self, shard: Shard, delta: RunsDelta) -> None:
        """More was folded; also while the shard is not level yet."""
        ...

    def revoked(self, shard: Shard) -> None:
        """Stop acting on it now."""
        ...

    def halted(self, shard: Shard) -> None:
        """It stands still, and nothing more of it will be folded here: stop acting on it now, and wait for nothing of it."""
        ...
