"""What the bus contract needs to know of an adapter to be run against it; one module here per adapter of the same name.

`variants()` of such a module lists the ways to run it (servers, versions); `open_at(address)` opens another bus on a
log that is running, which is what `worker.py` does in a process of its own.
"""

import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Protocol

import shared.bus.adapters
from shared.bus.port import Bus

TOPICS = ("first", "second")
PARTITION_COUNT = 8
RECORD_BYTES_MAX = 100_000
HEARTBEAT_SECONDS = 0.1
SESSION_TIMEOUT_SECONDS = 1.5


class Log(Protocol):
    """A fresh log with `TOPICS`, and the server behind it."""

    address: str
    """What `open_at` takes."""

    async def client(self, **settings: float) -> Bus:
        """Another bus object on this log, as another process would have; closed with the log."""
        ...

    async def kill_server(self) -> None:
        """Kill the server with no chance to tidy up, and bring it back. Returns once it is ready."""
        ...


class Server(Protocol):
    """Something that makes fresh logs."""

    def log(self) -> AbstractAsyncContextManager[Log]:
        """A log of its own for one test."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One way to run an adapter. `lacks`: what it cannot do by its nature (`processes`, `restart`)."""

    name: str
    adapter: str
    start: Callable[[Path], AbstractAsyncContextManager[Server]]
    lacks: frozenset[str] = frozenset()
    missing: str | None = None
    """Why it cannot be run here, or None."""


def adapter_names() -> Sequence[str]:
    """Every adapter there is."""
    return [found.name for found in pkgutil.iter_modules(shared.bus.adapters.__path__)]


def harness(adapter: str) -> ModuleType:
    """The module of this package for an adapter. ModuleNotFoundError: an adapter without a contract."""
    return importlib.import_module(f"shared.testing.bus.{adapter}")


def variants() -> Sequence[Variant]:
    """All ways to run all adapters."""
    found: list[Variant] = []
    for adapter in adapter_names():
        found.extend(harness(adapter).variants())
    return found


Settings = Mapping[str, float]
