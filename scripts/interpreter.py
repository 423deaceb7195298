"""Chooses the Python that .venv is made of: of those on this machine that fit, the fastest.

How an interpreter was built decides more than its version: one compiled without profile-guided optimisation, as version managers
do by default, takes a third more time for everything that Upshot does than a distribution's. What the build says of itself does
not tell (Debian's passes its flags by other ways), so each is timed for a moment. PYTHON=/path/to/python leaves no choice.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

OLDEST, NEWEST = (3, 11), (3, 13)
NAMES = ("python3", "python3.13", "python3.12", "python3.11")
WORTH_IT = 1.1
"""How many times as fast another has to be: less is within what timing varies by, and people expect the first found."""
SECONDS_MAX = 20

PROBE = """
import importlib.util, json, os, sys, sysconfig, time

def add(number):
    return number + 1

def work():
    table = {}
    for number in range(20_000):
        name = f"{number}:{number % 7}"
        table[name] = [add(number), name.encode()]
    return sum(len(text) for number, text in table.values() if number % 3)

def seconds():
    began = time.process_time()
    work()
    return time.process_time() - began

print(json.dumps({
    "path": os.path.realpath(sys.executable),
    "version": list(sys.version_info[:3]),
    "makes_venv": all(importlib.util.find_spec(name) for name in ("venv", "ensurepip")),
    "compiles": os.path.exists(os.path.join(sysconfig.get_paths()["include"], "Python.h")),
    "seconds": min(seconds() for _ in range(9)),
}))
"""


@dataclass(frozen=True)
class Interpreter:
    path: str
    version: tuple[int, ...]
    makes_venv: bool
    """With pip in it; Debian's comes without unless python3-venv is installed."""
    compiles: bool
    """Its headers are there, which the matching kernel is compiled with."""
    seconds: float

    def __str__(self) -> str:
        return f"Python {'.'.join(map(str, self.version))} ({self.path})"


def choose(own: str = sys.executable) -> tuple[str, str]:
    """The path of the Python to take, and why that one. `own` is what runs set-up: named with PYTHON, or the first found."""
    if os.environ.get("PYTHON"):
        return own, "named by PYTHON"
    first = probe(own)
    better = fastest(first, found(os.get_exec_path())) if first is not None else None
    if first is None or better is None:
        return own, "the first found"
    return better.path, f"{first.seconds / better.seconds:.1f} times as fast here as {first}"


def fastest(first: Interpreter, others: Sequence[Interpreter]) -> Interpreter | None:
    """One that is faster than the first by more than timing varies, and can do all that the first can; else None."""
    able = [
        each
        for each in others
        if OLDEST <= each.version[:2] <= NEWEST and each.makes_venv and each.compiles >= first.compiles
    ]
    best = min(able, key=lambda each: each.seconds, default=first)
    return best if best.seconds * WORTH_IT < first.seconds else None


def found(folders: Sequence[str]) -> list[Interpreter]:
    """Each interpreter once, however many names it has."""
    interpreters: dict[str, Interpreter] = {}
    for folder in dict.fromkeys(folders):
        for name in NAMES:
            path = Path(folder) / name
            if os.path.realpath(path) in interpreters or not os.access(path, os.X_OK):
                continue
            one = probe(str(path))
            if one is not None:
                interpreters.setdefault(one.path, one)
    return list(interpreters.values())


def probe(path: str) -> Interpreter | None:
    """What it is and how fast; None where it does not start, as a version manager's name for what is not installed."""
    try:
        done = subprocess.run([path, "-I", "-c", PROBE], check=True, capture_output=True, timeout=SECONDS_MAX)
        told = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    return Interpreter(**{**told, "version": tuple(told["version"])})
