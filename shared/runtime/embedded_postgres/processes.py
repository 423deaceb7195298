"""Which processes are this data folder's PostgreSQL, by proof: what they run and where they stand.

Guarantee: nothing is signalled that is not, at that moment, a PostgreSQL process whose working folder is this very data
folder. Pids are recycled; the folder a process stands in is not (postmaster and backends all stand in theirs).
Next: `server.py`.
"""

import asyncio
import os
import signal
from pathlib import Path

import psutil

_NAMES = frozenset({"postgres", "postgres.exe"})
_POLL_SECONDS = 0.2


def is_server_process(pid: int, data: Path) -> bool:
    """Whether the pid is now a live PostgreSQL process of this data folder."""
    try:
        process = psutil.Process(pid)
        if process.name() not in _NAMES or process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
            return False
        return Path(process.cwd()).samefile(data)
    except (psutil.Error, OSError):
        return False  # gone, or another user's, whom we could not be looking for


def server_processes(data: Path) -> list[int]:
    """All live processes of this data folder: the postmaster, and backends that may have outlived it."""
    return [pid for pid in psutil.pids() if is_server_process(pid, data)]


def parent_among(pids: list[int]) -> int | None:
    """The one that is another's parent: a live postmaster. Backends have no children, orphans no parent among them."""
    for pid in pids:
        try:
            parent = psutil.Process(pid).ppid()
        except psutil.Error:
            continue
        if parent in pids:
            return parent
    return None


def signal_server_process(pid: int, data: Path, number: signal.Signals) -> bool:
    """Signal the pid if it is proven; through a pid descriptor where there is one, so no recycling comes between."""
    descriptor = _open_pid(pid)
    try:
        if not is_server_process(pid, data):
            return False
        if descriptor is None:
            os.kill(pid, number)
        else:
            signal.pidfd_send_signal(descriptor, number)
    except ProcessLookupError:
        return False
    finally:
        if descriptor is not None:
            os.close(descriptor)
    return True


async def wait_for_exit(pid: int, data: Path) -> None:
    """Return once the pid is no live process of this data folder: at once where the kernel tells, else by polling."""
    descriptor = _open_pid(pid)
    if descriptor is None:
        while is_server_process(pid, data):  # noqa: ASYNC110  there is no event to wait for
            await asyncio.sleep(_POLL_SECONDS)
        return
    loop = asyncio.get_running_loop()
    gone = asyncio.Event()
    try:
        if is_server_process(pid, data):
            loop.add_reader(descriptor, gone.set)
            await gone.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


def _open_pid(pid: int) -> int | None:
    opener = getattr(os, "pidfd_open", None)  # Linux only
    if opener is None:
        return None
    try:
        return int(opener(pid))
    except OSError:
        return None
