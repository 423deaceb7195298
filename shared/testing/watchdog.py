"""Ends whatever a test run started and could not end itself: `python watchdog.py FOLDER`, input a pipe from the owner.

Guarantee: once the pipe closes, by `Workspace.close` or by the owner's death in any form, every process that works in the
folder or was told to keep its data there is killed, and the folder is removed. Nothing else is touched: a process is found
by its working folder or its own `UPSHOT_DATA_DIR`, never by its name.
"""

import os
import shutil
import sys
import threading
from pathlib import Path

import psutil

_ROUNDS = 100
_ROUND_SECONDS = 0.1


def main(folder: Path) -> None:
    """Wait for the owner's end, then clear up."""
    while os.read(0, 4096):
        pass
    pause = threading.Event()
    for _ in range(_ROUNDS):
        found = [process for process in psutil.process_iter() if process.pid != os.getpid() and _is_of(process, folder)]
        if not found:
            break
        for process in found:
            _kill(process)
        pause.wait(_ROUND_SECONDS)
    shutil.rmtree(folder, ignore_errors=True)


def _is_of(process: psutil.Process, folder: Path) -> bool:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        places = [process.cwd(), process.environ().get("UPSHOT_DATA_DIR", "/")]
    except (psutil.Error, OSError):
        return False  # gone, or another user's, which we cannot have started
    return any(Path(place).is_relative_to(folder) for place in places)


def _kill(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return


if __name__ == "__main__":
    main(Path(sys.argv[1]))
