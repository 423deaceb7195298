"""A process of Upshot from its start to its end, whichever services it runs: ready line, readiness, signals, drain.

Guarantees: the line on stdout comes once it serves; a service that ends by itself ends the process; SIGTERM ends it with 0, each
part put down in the reverse order of its start. Next: `embedded.py` and `processes.py`, which say what runs.
"""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field

import orjson

from services.foundation import Foundation
from shared.bus.topics import EVENTS
from shared.domain.errors import TransientError
from shared.runtime.descriptors import raise_descriptor_limit
from shared.runtime.http import (
    About,
    HttpDependencies,
    HttpServer,
    Route,
    TokenVerifier,
    build_app,
    connection_limits,
)
from shared.runtime.huge_pages import collapse_heap
from shared.runtime.secret_file import jwt_secret
from shared.runtime.settings import UpshotSettings
from shared.telemetry.collecting import MetricsPage
from shared.telemetry.logging import set_up_logging
from shared.telemetry.metrics import LAG, READY, Labels, labels_of

log = logging.getLogger(__name__)

GC_THRESHOLDS = (100_000, 50, 100)

LEAVE_SECONDS = 5.0
"""Beyond the time that what is under way may take to end: committing, leaving groups, closing connections."""

Opening = Callable[[UpshotSettings], contextlib.AbstractAsyncContextManager["Running"]]
Check = Callable[[], Sequence[str]]

ANSWER_SECONDS = 2.0
"""Longest wait of whoever asks for readiness or metrics: for the log to say where it ends (else there is no lag on the page), and
for PostgreSQL."""


@dataclass(frozen=True, slots=True)
class Followed:
    """A topic that a group of this process follows. `positions`: the next offset of each partition of this member's."""

    topic: str
    group: str
    positions: Callable[[], Awaitable[Mapping[int, int]]]


@dataclass(slots=True)
class Running:
    """A process that runs. `tasks` are its services; one that ends by itself is never right. `checks`: each says why its part
    is not done, one sentence each."""

    ground: Foundation
    name: str
    url: str = ""
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    followed: list[Followed] = field(default_factory=list)
    draining: bool = False
    _lags: Mapping[Labels, float] = field(default_factory=dict)
    _page: MetricsPage = field(init=False)

    def __post_init__(self) -> None:
        self._page = MetricsPage(self.ground.metrics)

    def unreadiness(self) -> list[str]:
        """Why this process does not do its part; empty: it does."""
        reasons = ["this process is draining: it was told to stop"] if self.draining else []
        server = self.ground.server
        if server is not None and not server.running.is_set():
            reasons.append("PostgreSQL is being restarted")
        refusal = self.ground.refusal()
        if refusal is not None:
            reasons.append(f"the log takes no records: {refusal}")
        for check in self.checks:
            reasons += [reason for reason in check() if reason not in reasons]
        reasons += [f"the service {task.get_name()} has ended" for task in self.tasks if task.done()]
        return reasons

    async def readiness(self) -> Sequence[str]:
        """As `unreadiness`, after asking what this process stands on whether it is there."""
        ground = self.ground
        away = await asyncio.gather(
            _away("the log", ground.bus.watermarks(EVENTS, [0])),
            _away("PostgreSQL", ground.readmodel.next_offsets(EVENTS)),
        )
        return [*self.unreadiness(), *(reason for reason in away if reason is not None)]

    async def metrics_page(self) -> str:
        """As Prometheus reads it; the log is asked for its ends first."""
        lags: dict[Labels, float] = {}
        for each in self.followed:
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    positions = await each.positions()
                    ends = await self.ground.bus.watermarks(each.topic, sorted(positions)) if positions else {}
            except (TransientError, TimeoutError):
                continue
            for partition, at in positions.items():
                labels = labels_of(LAG, each.topic, each.group, str(partition))
                lags[labels] = max(0, ends[partition].high - at)
        self._lags = lags
        return self._page.text()

    def measure(self) -> None:
        """Show what the process as a whole has to show."""
        self.ground.metrics.show(LAG, lambda: self._lags)
        self.ground.metrics.show(READY, lambda: {(): float(not self.unreadiness())})

    @property
    def public_url(self) -> str:
        """How the world reaches the hooks: as the operator says, else as this process is reached."""
        return (self.ground.settings.public_url or self.url).rstrip("/")

    def start(self, name: str, work: Coroutine[object, object, None]) -> None:
        """Run a service until the process ends."""
        self.tasks.append(asyncio.create_task(work, name=name))

    async def end(self) -> None:
        """In reverse order of their start: what feeds the others stops first."""
        for task in reversed(self.tasks):
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def listen(self, stack: contextlib.AsyncExitStack, routes: Sequence[Route], about: About) -> None:
        """Serve these routes from now on, until the stack is put down."""
        ground, settings = self.ground, self.ground.settings
        configured = settings.jwt_secret.get_secret_value() if settings.jwt_secret is not None else None
        secret = jwt_secret(configured, ground.data_dir, ground.randomness)
        verifier = TokenVerifier(secret, clock=ground.clock)
        server = await HttpServer.start(
            build_app(routes, HttpDependencies(verifier=verifier, randomness=ground.randomness, about=about)),
            host=settings.http_host,
            port=settings.http_port,
            shutdown_timeout_seconds=settings.shutdown_timeout_seconds,
            limits=connection_limits(settings),
            metrics=ground.metrics,
        )
        stack.push_async_callback(server.close)
        self.measure()
        self.url = server.url


async def _away(what: str, asked: Awaitable[object]) -> str | None:
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            await asked
    except TransientError as error:
        return f"{what} does not answer: {error}"
    except TimeoutError:
        return f"{what} has not answered for {ANSWER_SECONDS:g} s"
    return None


async def serve(settings: UpshotSettings, opening: Opening) -> None:
    """Run until SIGTERM or SIGINT, then drain. One JSON line on stdout says where it is, once it is ready."""
    set_up_logging(settings.log_level)
    raise_descriptor_limit()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    stack = contextlib.AsyncExitStack()
    try:
        running = await _started(stack, settings, opening, stop)
        if running is None:
            log.info("stopped before it was ready")
            return
        # What is loaded by now stays; what an event allocates dies young. Collecting as often as Python does by itself
        # cost a tenth of the CPU time.
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        line = {
            "url": running.url,
            "pid": os.getpid(),
            "data_dir": str(running.ground.data_dir),
            "service": running.name,
        }
        sys.stdout.buffer.write(orjson.dumps(line) + b"\n")
        sys.stdout.flush()
        if settings.huge_pages:
            collapsed = await asyncio.to_thread(collapse_heap)
            log.info("%d MiB of this process lie in huge pages", collapsed // 2**20)
        await _until_stopped(stop, running.tasks)
        running.draining = True
        log.info("draining")
        await asyncio.sleep(settings.drain_notice_seconds)  # whoever balances load looks at /readyz now and then
    finally:
        await _put_down(stack, settings.shutdown_timeout_seconds + LEAVE_SECONDS)


async def _put_down(stack: contextlib.AsyncExitStack, timeout_seconds: float) -> None:
    """In order, as long as that takes no longer: a log that does not answer must not keep a process from ending."""
    try:
        async with asyncio.timeout(timeout_seconds):
            await stack.aclose()
    except TimeoutError:
        log.warning(
            "not all could be put down in order within %g s; what others wait for, they take over", timeout_seconds
        )


async def _started(
    stack: contextlib.AsyncExitStack, settings: UpshotSettings, opening: Opening, stop: asyncio.Event
) -> Running | None:
    """None where it is to stop before it is ready: building a read model anew may take long."""
    starting = asyncio.create_task(stack.enter_async_context(opening(settings)), name="start")
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait([starting, stopping], return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            return starting.result()
        starting.cancel()
        await asyncio.wait([starting])
        return None
    finally:
        starting.cancel()
        stopping.cancel()


async def _until_stopped(stop: asyncio.Event, tasks: Sequence[asyncio.Task[None]]) -> None:
    stopping = asyncio.create_task(stop.wait())
    try:
        done, _ = await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            if task is not stopping:
                task.result()
                raise RuntimeError(f"{task.get_name()} ended by itself")
    finally:
        stopping.cancel()
