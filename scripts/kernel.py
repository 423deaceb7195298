"""Compiles the matching kernel beside its sources, with the C compiler that Python was built with, or the system's.

Run with the Python that shall load it: `.venv/bin/python scripts/kernel.py`; `make setup` does. Standard library only: it
runs before anything is installed. Says in one line why it could not; everything works without the kernel.
"""

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "shared" / "matching" / "native"
SECONDS_MAX = 120
_FLAGS = ["-std=c11", "-O2", "-fPIC", "-fvisibility=hidden", "-fno-strict-aliasing", "-DNDEBUG", "-Wall"]


def main() -> int:
    missing = None if is_current() else build()
    if missing is not None:
        print(f"the matching kernel is not compiled: {missing}; matching works without it, and costs more")
    return 0 if missing is None else 1


def is_current() -> bool:
    """Whether the library is there, of these sources and for this Python: it carries what it was built from."""
    try:
        return state().encode() in library().read_bytes()
    except OSError:
        return False


def library(folder: Path = FOLDER) -> Path:
    """What the import finds."""
    return folder / f"_kernel{sysconfig.get_config_var('EXT_SUFFIX')}"


def state() -> str:
    """What a build depends on: the sources and the Python."""
    digest = hashlib.sha256(f"{sys.version} {sysconfig.get_platform()} {_FLAGS}".encode())
    for source in sorted([*FOLDER.glob("*.c"), *FOLDER.glob("*.h")]):
        digest.update(source.name.encode() + b"\0" + source.read_bytes())
    return digest.hexdigest()[:16]


def build(folder: Path = FOLDER, more_flags: Sequence[str] = ()) -> str | None:
    """Compile into a folder; None once it is there, else why not."""
    compiler = found_compiler()
    if compiler is None:
        return "no C compiler"
    include = sysconfig.get_paths()["include"]
    if not (Path(include) / "Python.h").exists():
        return f"no Python.h in {include} (Debian, Ubuntu: apt install python3-dev)"
    try:
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            made = Path(scratch) / library().name
            command = [*compiler, *_FLAGS, *more_flags, f'-DUPSHOT_BUILT_FROM="{state()}"', f"-I{include}"]
            command += ["-bundle", "-undefined", "dynamic_lookup"] if sys.platform == "darwin" else ["-shared"]
            command += [*map(str, sorted(FOLDER.glob("*.c"))), "-lm", "-o", str(made)]
            done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=SECONDS_MAX)
            if done.returncode:
                return f"{compiler[0]} failed: {(done.stderr.strip().splitlines() or ['?'])[-1]}"
            made.replace(library(folder))  # at once: a process that has the old one keeps it
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return None


def found_compiler() -> list[str] | None:
    """As the environment says (CC), else the one that Python was built with, else the system's."""
    for asked in (os.environ.get("CC"), sysconfig.get_config_var("CC")):
        words = shlex.split(asked or "")
        if words and shutil.which(words[0]):
            return words
    for name in ("cc", "gcc", "clang"):
        if shutil.which(name):
            return [name]
    return None


if __name__ == "__main__":
    sys.exit(main())
