"""CPU and memory of process trees, by pid: what the platform, its PostgreSQL and the bench's own processes each cost."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from shared.runtime.embedded_postgres.processes import parent_among, server_processes

_QUIET_SHARE = 0.06
_QUIET_SAMPLE_SECONDS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Cpu:
    """CPU-seconds since each process began."""

    app: float
    postgres: float
    brokers: float
    generator: float
    receiver: float

    @property
    def platform(self) -> float:
        """Of all that a user would have to run."""
        return self.app + self.postgres + self.brokers

    @property
    def total(self) -> float:
        return self.platform + self.generator + self.receiver

    def parts(self, count: int) -> str:
        """The platform's, in seconds per 1,000 of `count`."""
        brokers = f", Kafka {1000 * self.brokers / count:.2f}" if self.brokers else ""
        return f"app {1000 * self.app / count:.2f}, PostgreSQL {1000 * self.postgres / count:.2f}{brokers}"

    def __sub__(self, other: "Cpu") -> "Cpu":
        return Cpu(
            app=self.app - other.app,
            postgres=self.postgres - other.postgres,
            brokers=self.brokers - other.brokers,
            generator=self.generator - other.generator,
            receiver=self.receiver - other.receiver,
        )


def cpu_of(pid: int) -> float:
    """Of one process, without its children."""
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


def busy_seconds() -> float:
    """CPU-seconds that all live processes in sight have used: what is not ours is somebody else's."""
    total = 0.0
    for process in psutil.process_iter():
        try:
            times = process.cpu_times()
        except psutil.Error:
            continue
        total += times.user + times.system
    return total


def postgres_cpu(data: Path) -> float:
    """Of a server: the postmaster, its live backends, and those that have ended (which it has waited for)."""
    total = 0.0
    pids = server_processes(data)
    postmaster = parent_among(pids)
    for pid in pids:
        try:
            times = psutil.Process(pid).cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
        if pid == postmaster:
            total += times.children_user + times.children_system
    return total


def resident_mb(pids: Sequence[int]) -> float:
    """Proportional set size: pages that processes share are counted once over all of them."""
    return sum(psutil.Process(pid).memory_full_info().pss for pid in pids) / 1e6


async def quiet(measure: Callable[[], float], timeout_seconds: float = 8.0) -> float:
    """Wait until whatever is measured has nothing left to do: under 6 % of a core. Returns the seconds it took."""
    begin = time.monotonic()
    before = measure()
    while time.monotonic() - begin < timeout_seconds:
        await asyncio.sleep(_QUIET_SAMPLE_SECONDS)
        now = measure()
        if now - before < _QUIET_SHARE * _QUIET_SAMPLE_SECONDS:
            break
        before = now
    return time.monotonic() - begin
