"""`make test` and `make check`: every stage, fast ones first, each told as it ends; what was skipped and why comes last.

All stages run even when one fails, so that one pass shows everything. Exit status 1 iff a stage failed.
"""

import contextlib
import os
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
MINUTES_MAX = 18.5
"""For all stages together; what is still running then is ended, and has failed. CI allows 20, with setting up and telling."""
WORKERS = 2
"""For each stage of tests: many wait for servers most of the time, but some measure what a stalled machine would distort."""
SLOWEST_TOLD = 15
MEMORY = Path("/dev/shm")  # a folder of our own is made in it
MEMORY_BYTES_MIN = 6 * 2**30
"""Free there for the tests' servers; where there is less, their data lies in the usual temporary folder."""


@dataclass
class Stage:
    name: str
    command: list[str]
    tests: bool = False
    status: int | None = None
    seconds: float = 0.0
    busy: float | None = None
    """Of all processors' time, what was used; the rest was waited for."""
    ended_early: bool = False
    counts: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    slow: list[tuple[float, str]] = field(default_factory=list)


def static_stages() -> list[Stage]:
    sources = ["services", "shared", "tests", "scripts"]
    return [
        Stage("lint", [str(BIN / "ruff"), "check", "--quiet", *sources]),
        Stage("formatting", [str(BIN / "ruff"), "format", "--check", "--quiet", *sources]),
        Stage("types", [str(BIN / "mypy"), "--no-error-summary"]),
        Stage("architecture", [str(BIN / "lint-imports")]),
    ]


def test_stages() -> list[Stage]:
    pytest = [sys.executable, "-m", "pytest", "-q", "--no-header", "-p", "no:cacheprovider"]
    spread = ["-n", str(WORKERS), "--dist", "loadgroup"]
    return [Stage(name, [*pytest, *spread, f"tests/{name}"], tests=True) for name in ("unit", "contract", "e2e")]


def main() -> int:
    stages = static_stages() + (test_stages() if sys.argv[1:] == ["all"] else [])
    began = time.monotonic()
    compiling = start_compiling() if any(stage.tests for stage in stages) else None
    with scratch_folder() as scratch:
        for stage in stages:
            if stage.tests and compiling is not None:
                compiling.wait()
            run(stage, MINUTES_MAX * 60 - (time.monotonic() - began), scratch)
    for line in summary(stages, time.monotonic() - began):
        print(line)
    if any(stage.tests for stage in stages):
        print(f"{os.cpu_count()} processors; what the tests' servers wrote lay in {scratch.parent}.")
    return 1 if any(stage.status for stage in stages) else 0


def start_compiling() -> "subprocess.Popen[bytes]":
    """Of all that is imported, beside the type checker, which has one processor busy. Else every worker does it as it begins."""
    folders = [sysconfig.get_path("purelib"), "services", "shared"]
    command = [sys.executable, "-m", "compileall", "-qq", *folders]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, start_new_session=True)


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """Where the tests' servers lie: in memory, if there is room.

    A cluster of PostgreSQL has a thousand files, and hundreds come and go: on some file systems, ext4 without a journal among
    them, that takes longer than the tests. They kill processes, never the machine, so nothing that they show depends on a disk.
    """
    with tempfile.TemporaryDirectory(prefix="upshot-", dir=MEMORY if has_room(MEMORY) else None) as folder:
        Path(folder).chmod(0o711)  # PostgreSQL's own user has to pass through
        yield Path(folder)


def has_room(memory: Path) -> bool:
    """Whether the tests' servers can lie, and run programs, there. Containers often forbid the latter."""
    if not (memory.is_dir() and os.access(memory, os.W_OK)):
        return False
    known = os.statvfs(memory)
    return not known.f_flag & os.ST_NOEXEC and known.f_bavail * known.f_frsize >= MEMORY_BYTES_MIN


def run(stage: Stage, seconds_left: float, scratch: Path) -> None:
    print(f"==> {stage.name}", flush=True)
    began, processors = time.monotonic(), processor_seconds()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [*stage.command, f"--junitxml={report}"] if stage.tests else stage.command
        environment = {**os.environ, "TMPDIR": str(scratch)}
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, start_new_session=True)
        try:
            stage.status = process.wait(max(seconds_left, 1.0))
        except subprocess.TimeoutExpired:
            print(f"{stage.name} was ended: all stages together may take {MINUTES_MAX:g} minutes", flush=True)
            stage.status, stage.ended_early = 1, True
            os.killpg(process.pid, signal.SIGINT)  # pytest then still tells what it knows
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
        except KeyboardInterrupt:
            print(f"{stage.name} was interrupted", flush=True)
            raise SystemExit(130) from None
        finally:
            end_session(process)
        if stage.tests:
            read_report(stage, report)
    stage.seconds = time.monotonic() - began
    if processors and (ended := processor_seconds()) and ended[1] > processors[1]:
        stage.busy = (ended[0] - processors[0]) / (ended[1] - processors[1])
    print(f"    {'ok' if stage.status == 0 else 'FAILED'} in {stage.seconds:.0f} s", flush=True)


def processor_seconds() -> tuple[float, float] | None:
    """What all processors were busy for since the machine began, and that with what they waited; None where nobody says so."""
    try:
        line = Path("/proc/stat").read_text(encoding="ascii").partition("\n")[0]
    except OSError:
        return None
    user, nice, system, idle, waiting, *more = (float(each) for each in line.split()[1:])
    busy = user + nice + system + sum(more[:3])
    return busy, busy + idle + waiting


def end_session(process: "subprocess.Popen[bytes]") -> None:
    """Whatever the stage started and left in its session ends with it."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            return
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            continue


def read_report(stage: Stage, report: Path) -> None:
    """Numbers, why each test was skipped, and how long each took with what it alone had to set up."""
    if not report.exists():
        stage.status = stage.status or 1
        return
    for case in ET.parse(report).getroot().iter("testcase"):
        file = (case.get("classname") or "").removeprefix("tests.")
        stage.slow.append((float(case.get("time") or 0), f"{file} {case.get('name')}"))
        skip = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            stage.counts["failed"] += 1
        elif skip is None:
            stage.counts["passed"] += 1
        elif skip.get("type") == "pytest.xfail":
            stage.counts["expected failures"] += 1
        else:
            stage.counts["skipped"] += 1
            stage.skipped[f"{case.get('classname')}: {skip.get('message')}"] += 1


def summary(stages: list[Stage], seconds: float) -> list[str]:
    lines = ["", f"{'stage':<14}{'':<9}{'seconds':>8}{'busy':>7}"]
    for stage in stages:
        counts = ", ".join(f"{count} {what}" for what, count in sorted(stage.counts.items()))
        verdict = "ok" if stage.status == 0 else "FAILED"
        busy = "" if stage.busy is None else f"{stage.busy:.0%}"
        lines.append(f"{stage.name:<14}{verdict:<9}{stage.seconds:>8.0f}{busy:>7}  {counts}")
    skipped: Counter[str] = Counter()
    for stage in stages:
        skipped += stage.skipped
    if any(stage.tests for stage in stages):
        lines.append("")
        unrun = [stage.name for stage in stages if stage.ended_early]
        whole = f"; not all of {', '.join(unrun)} ran." if unrun else "; every test ran."
        lines.append(f"Skipped: {skipped.total()}" + (", because:" if skipped else whole))
        lines += [f"  {count:>4} x {why}" for why, count in skipped.most_common()]
        lines += ["", "The slowest tests, in seconds:"]
        slowest = sorted((each for stage in stages for each in stage.slow), reverse=True)[:SLOWEST_TOLD]
        lines += [f"  {taken:>6.1f}  {name:.110}" for taken, name in slowest]
    failed = [stage.name for stage in stages if stage.status]
    verdict = f"FAILED: {', '.join(failed)}." if failed else "All passed."
    passed = sum(stage.counts["passed"] for stage in stages)
    tests = f" {passed} tests passed, {skipped.total()} skipped," if any(stage.tests for stage in stages) else ""
    lines += ["", f"{verdict}{tests} {seconds:.0f} s."]
    return lines


if __name__ == "__main__":
    sys.exit(main())
