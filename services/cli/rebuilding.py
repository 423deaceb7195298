"""`upshot rebuild`: shows how far the fold has got, and what came of it.

Beside a running platform, which goes on meanwhile, or without one. Next: `services/projector/service/rebuild.py`.
"""

import sys
from collections.abc import Callable

from services.foundation import installed
from services.projector.service.rebuild import RebuildProgress, RebuildReport, rebuild, verify
from shared.domain.clock import Clock
from shared.runtime.clock import SystemClock
from shared.runtime.settings import UpshotSettings

TOLD_EVERY_SECONDS = 1.0
DIFFERENCES_SHOWN = 20


async def run_rebuild(settings: UpshotSettings, *, switch: bool) -> int:
    """0 where the new generation equals the live one (or nothing could be compared), and was switched to if it was to be."""
    async with installed(settings) as ground:
        work = rebuild if switch else verify
        report = await work(ground.bus, ground.readmodel, ground.clock, progress_teller(SystemClock()))
    for line in told(report):
        print(line)
    return 1 if report.differences or report.switched != switch else 0


def progress_teller(clock: Clock) -> Callable[[RebuildProgress], None]:
    """Says at most once a second how many records are folded, how many remain, and how long that will take."""
    begun = clock.monotonic()
    told_at = begun

    def tell(progress: RebuildProgress) -> None:
        nonlocal told_at
        now = clock.monotonic()
        if now - told_at < TOLD_EVERY_SECONDS and progress.folded < progress.total:
            return
        told_at = now
        sys.stderr.write(progress.told(now - begun) + "\n")

    return tell


def told(report: RebuildReport) -> list[str]:
    """The report in lines."""
    lines = [
        f"{table}: {checksum.rows} rows, checksum {checksum.hash}" for table, checksum in sorted(report.tables.items())
    ]
    lines += [f"differs: {each}" for each in report.differences[:DIFFERENCES_SHOWN]]
    if len(report.differences) > DIFFERENCES_SHOWN:
        lines.append(f"and {len(report.differences) - DIFFERENCES_SHOWN} more differences")
    folded = f"{report.records} records folded in {report.seconds:.1f} s"
    if report.differences:
        verdict = "the live read model is NOT what the log says; nothing was switched"
    elif not report.comparable:
        verdict = "the live read model is another version's, so there was nothing to compare with"
    else:
        verdict = "equal to the live read model"
    held = f"; writers waited {report.held_seconds:.2f} s" if report.comparable else ""
    switched = f"; generation {report.generation} is current now" if report.switched else ""
    return [*lines, f"{folded}: {verdict}{switched}{held}"]
