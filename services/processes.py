"""Each service in a process of its own: `upshot ingest|matcher|executor|approvals|api|projector`, any number of each.

Put together by hand, top to bottom, from the same parts as `embedded.py`; taken down in the reverse order. What differs: the
projector is elsewhere, so folds let go of what the read model's checkpoints have passed, and whoever waits for a verdict asks
how far they are; how far events are matched is what the matcher's group has committed.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import TypeAlias

from services.levelling import read_definitions
from services.matcher.service.matcher import GROUP as MATCHER_GROUP
from services.projector.service.projector import Projector
from services.running import Running
from services.wiring import acting, showing
from services.wiring.common import common, open_progress, open_queries, open_sealer
from shared.runtime.egress import EgressSettings, OutgoingClient
from shared.runtime.http import About
from shared.runtime.http.health import health_routes
from shared.runtime.progress import ProjectionProgress
from shared.runtime.settings import UpshotSettings, read_settings_of

Process: TypeAlias = Callable[[UpshotSettings], contextlib.AbstractAsyncContextManager[Running]]

_HEALTH_ABOUT = About(
    title="Upshot", version="1", description="For whoever runs the platform.", tags=(("health", "Is it well?"),)
)


@contextlib.asynccontextmanager
async def ingest(settings: UpshotSettings) -> AsyncIterator[Running]:
    """Takes vendors' deliveries and upstream services' events."""
    # Here and below, not above: those that serve nothing start a quarter sooner without.
    from services.api.app import ABOUT
    from services.wiring import serving

    about = About(
        title="Upshot ingest",
        version=ABOUT.version,
        description="Where vendors and upstream services deliver to.",
        tags=(*(tag for tag in ABOUT.tags if tag[0] in ("ingest", "sources")), *_HEALTH_ABOUT.tags),
    )
    async with contextlib.AsyncExitStack() as stack:
        it = await stack.enter_async_context(common(settings))
        running = Running(ground=it.ground, name="ingest")
        sealer = await open_sealer(stack, it.ground)
        queries = await open_queries(stack, it.ground)
        progress = open_progress(stack, it.ground, elsewhere=True)
        matched = ProjectionProgress(lambda topic: it.ground.bus.committed(MATCHER_GROUP, topic), elsewhere=True)
        stack.push_async_callback(matched.close)
        await read_definitions(it.ground, it.definitions)
        routes = serving.ingest(it, sealer, queries, progress, matched)
        showing.show_definitions(running, it.definitions)
        await running.listen(stack, [*routes, *health_routes(running.readiness, running.metrics_page)], about)
        yield running


@contextlib.asynccontextmanager
async def api(settings: UpshotSettings) -> AsyncIterator[Running]:
    """The HTTP interface of tenants."""
    from services.api.app import ABOUT
    from services.wiring import serving

    async with contextlib.AsyncExitStack() as stack:
        it = await stack.enter_async_context(common(settings))
        running = Running(ground=it.ground, name="api")
        sealer = await open_sealer(stack, it.ground)
        queries = await open_queries(stack, it.ground)
        progress = open_progress(stack, it.ground, elsewhere=True)
        await read_definitions(it.ground, it.definitions)
        routes, tried = serving.api(
            it,
            sealer,
            queries,
            progress,
            read_settings_of(EgressSettings),
            public_url=lambda: running.public_url,
            readiness=running.readiness,
            metrics_page=running.metrics_page,
        )
        showing.show_definitions(running, it.definitions)
        await running.listen(stack, routes, ABOUT)
        # First of all: the server waits for the streams that follow them.
        stack.push_async_callback(tried.backtests.close)
        yield running


@contextlib.asynccontextmanager
async def matcher(settings: UpshotSettings) -> AsyncIterator[Running]:
    """Events joined with workflows."""
    async with contextlib.AsyncExitStack() as stack:
        it = await stack.enter_async_context(common(settings))
        running = Running(ground=it.ground, name="matcher")
        matchers = acting.Matchers(it)
        await read_definitions(it.ground, it.definitions)
        matching = matchers.matcher()
        showing.show_matcher(running, matching, matchers.matching)
        showing.show_definitions(running, it.definitions)
        await _with_health(stack, running)
        running.start("matcher", matching.run())
        yield running


@contextlib.asynccontextmanager
async def executor(settings: UpshotSettings) -> AsyncIterator[Running]:
    """Runs' steps, attempts, retries and timers."""
    async with contextlib.AsyncExitStack() as stack:
        it = await stack.enter_async_context(common(settings))
        running = Running(ground=it.ground, name="executor")
        sealer = await open_sealer(stack, it.ground)
        outgoing = await stack.enter_async_context(
            await OutgoingClient.open(read_settings_of(EgressSettings), clock=it.ground.clock)
        )
        await read_definitions(it.ground, it.definitions)
        acts = acting.executor(it, sealer, outgoing)
        elsewhere, follower = acting.following(it, [acts], group=acting.EXECUTOR_GROUP)
        showing.show_follower(running, follower, acting.EXECUTOR_GROUP)
        showing.show_definitions(running, it.definitions)
        showing.show_executor(running, acts)
        showing.show_elsewhere(running, elsewhere)
        await _with_health(stack, running)
        running.start("checkpoints", elsewhere.run())
        running.start("executor", acts.run())
        running.start("runs", follower.run())
        stack.push_async_callback(acts.drain, settings.shutdown_timeout_seconds)
        yield running


@contextlib.asynccontextmanager
async def approvals(settings: UpshotSettings) -> AsyncIterator[Running]:
    """Deadlines of runs that wait for a person."""
    async with contextlib.AsyncExitStack() as stack:
        it = await stack.enter_async_context(common(settings))
        running = Running(ground=it.ground, name="approvals")
        watches = acting.approvals(it)
        elsewhere, follower = acting.following(it, [watches], group=acting.APPROVALS_GROUP, patient=True)
        showing.show_follower(running, follower, acting.APPROVALS_GROUP)
        showing.show_approvals(running, watches)
        showing.show_elsewhere(running, elsewhere)
        await _with_health(stack, running)
        running.start("checkpoints", elsewhere.run())
        running.start("approvals", watches.run())
        running.start("runs", follower.run())
        yield running


@contextlib.asynccontextmanager
async def projector(settings: UpshotSettings) -> AsyncIterator[Running]:
    """The log into tables."""
    async with contextlib.AsyncExitStack() as stack:
        it = await stack.enter_async_context(common(settings))
        running = Running(ground=it.ground, name="projector")
        progress = open_progress(stack, it.ground)
        projects, follower = acting.projecting(it, progress, group=acting.PROJECTOR_GROUP)
        showing.show_follower(running, follower, acting.PROJECTOR_GROUP)
        showing.show_projector(running, projects, follower, acting.PROJECTOR_GROUP)
        await _with_health(stack, running)
        running.start("projector", projects.run())
        running.start("runs", follower.run())
        stack.push_async_callback(_flushed, projects, settings.shutdown_timeout_seconds)
        yield running


PROCESSES: Mapping[str, Process] = {
    "ingest": ingest,
    "matcher": matcher,
    "executor": executor,
    "approvals": approvals,
    "api": api,
    "projector": projector,
}
"""By the name of the command."""


async def _with_health(stack: contextlib.AsyncExitStack, running: Running) -> None:
    """Of a process that serves nothing else: before its services start, so that it shows what they do until they have ended."""
    await running.listen(stack, health_routes(running.readiness, running.metrics_page), _HEALTH_ABOUT)
    stack.push_async_callback(running.end)


async def _flushed(projector: Projector, timeout_seconds: float) -> None:
    """What is folded is written before its partitions are given back: whoever takes them over has the less to fold."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_seconds):
            await projector.flush()
