"""`upshot log copy`: says how far it is, and what came of it. Next: `services/log_copy.py`."""

import sys

from services.foundation import foundation
from services.log_copy import CopyReport, copy_log
from shared.bus.copying import CopyProgress
from shared.domain.clock import Clock
from shared.runtime.clock import SystemClock
from shared.runtime.settings import UpshotSettings

TOLD_EVERY_SECONDS = 1.0


async def run_copy(settings: UpshotSettings, to: str, partition_count: int | None, *, force: bool) -> int:
    """0 where the copy amounts to the same as the log; 1 where it does not, and nothing was switched."""
    teller = _Teller(SystemClock())
    async with foundation(settings) as ground:
        report = await copy_log(
            ground,
            to,
            partition_count,
            force=force,
            on_progress=teller.copied,
            on_folded=teller.folded,
            say=teller.say,
        )
    for line in told(report):
        print(line)
    return 1 if report.moved.differs else 0


def told(report: CopyReport) -> list[str]:
    """The report in lines."""
    lines = [
        f"{each.topic}: {each.copied} records in the copy, {each.resumed} of them from before" for each in report.topics
    ]
    moved = report.moved
    lines += [
        f"{table}: {checksum.rows} rows, contents {checksum.hash}{'  DIFFERS' if table in moved.differs else ''}"
        for table, checksum in sorted(moved.tables.items())
    ]
    folded = f"{moved.records} records folded and compared in {moved.seconds:.1f} s"
    if moved.differs:
        return [
            *lines,
            f"{folded}: the copy does NOT amount to what the log does; the read model is the log's, as before",
        ]
    return [
        *lines,
        f"{folded}: equal; generation {moved.generation} of the read model is the copy's, and current now",
        f"go on with: {report.settings}",
    ]


class _Teller:
    """At most one line a second, and the last one of each part."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._topic = ""
        self._begun = self._told_at = clock.monotonic()

    def copied(self, progress: CopyProgress) -> None:
        self._part(progress.topic)
        if self._due() or progress.copied == progress.total:
            self.say(progress.told(self._clock.monotonic() - self._begun))

    def folded(self, records: int, total: int) -> None:
        self._part("folding")
        if self._due() or records == total:
            self.say(f"folded {records} of {total} records")

    def say(self, line: str) -> None:
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()

    def _part(self, name: str) -> None:
        if name != self._topic:
            self._topic, self._begun = name, self._clock.monotonic()

    def _due(self) -> bool:
        now = self._clock.monotonic()
        if now - self._told_at < TOLD_EVERY_SECONDS:
            return False
        self._told_at = now
        return True
