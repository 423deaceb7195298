"""Which runs of a partition are held parsed, and which as text: bounds the memory that unended runs take.

What rests is packed at once. The others are weighed, by the records that told of them, until memory lets them go: beyond
a bound whatever is idle is packed as well, and parsed again when its turn comes.
"""

from collections.abc import Collection, Iterable
from datetime import datetime

from shared.domain.runs.resting import is_idle, pack, rests
from shared.domain.runs.state import Run


class Holding:
    """One a shard."""

    def __init__(self, parsed_bytes_max: int) -> None:
        self._parsed_bytes_max = parsed_bytes_max
        self._weights: dict[str, int] = {}
        self._bytes = 0

    @property
    def parsed_bytes(self) -> int:
        """What the records of the runs that are held parsed come to."""
        return self._bytes

    def weigh(self, runs: Collection[Run], record_bytes: int) -> None:
        """A record of so many bytes told of these."""
        for run in runs:
            share = record_bytes // len(runs)
            self._weights[run.id] = self._weights.get(run.id, 0) + share
            self._bytes += share

    def settle(self, runs: Iterable[Run], now: datetime) -> None:
        """These have changed, and whoever acts on them has been told. `now`: the fold's."""
        crowded = self._bytes > self._parsed_bytes_max
        resting = [run for run in runs if rests(run, now) or (crowded and is_idle(run))]
        if resting:
            pack(resting)
            self.let_go(run.id for run in resting)

    def let_go(self, run_ids: Iterable[str]) -> None:
        """They are not held parsed any more, or not at all."""
        for run_id in run_ids:
            self._bytes -= self._weights.pop(run_id, 0)
