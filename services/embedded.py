"""All services in one process: `upshot up`. Put together by hand, top to bottom; taken down in the reverse order.

Two such processes on one log share the work: partitions are divided among them by the log's own groups. How each service is made
stands in `wiring/`; `processes.py` runs each by itself.
"""

import contextlib
from collections.abc import AsyncIterator

from services.api.app import ABOUT
from services.levelling import read_definitions
from services.running import Running
from services.wiring import acting, serving, showing
from services.wiring.common import common, open_progress, open_queries, open_sealer
from shared.runtime.egress import EgressSettings, OutgoingClient
from shared.runtime.progress import ProjectionProgress
from shared.runtime.settings import UpshotSettings, read_settings_of


@contextlib.asynccontextmanager
async def platform(settings: UpshotSettings, egress: EgressSettings | None = None) -> AsyncIterator[Running]:
    """Everything running and ready to take requests."""
    async with contextlib.AsyncExitStack() as stack:
        it = await stack.enter_async_context(common(settings))
        running = Running(ground=it.ground, name="up")
        sealer = await open_sealer(stack, it.ground)
        queries = await open_queries(stack, it.ground)
        egress = egress if egress is not None else read_settings_of(EgressSettings)
        outgoing = await stack.enter_async_context(await OutgoingClient.open(egress, clock=it.ground.clock))
        progress, matched = open_progress(stack, it.ground), ProjectionProgress()

        matchers = acting.Matchers(it)
        await read_definitions(it.ground, it.definitions)
        executor = acting.executor(it, sealer, outgoing)
        approvals = acting.approvals(it)
        projector, follower = acting.projecting(it, progress, executor, approvals, group=acting.EMBEDDED_GROUP)
        matcher = matchers.matcher(progress=matched, foresee=follower.foresee)
        ingest_routes = serving.ingest(it, sealer, queries, progress, matched)
        api_routes, tried = serving.api(
            it,
            sealer,
            queries,
            progress,
            egress,
            public_url=lambda: running.public_url,
            readiness=running.readiness,
            metrics_page=running.metrics_page,
        )

        showing.show_follower(running, follower, acting.EMBEDDED_GROUP)
        showing.show_definitions(running, it.definitions)
        showing.show_projector(running, projector, follower, acting.EMBEDDED_GROUP)
        showing.show_executor(running, executor)
        showing.show_approvals(running, approvals)
        showing.show_matcher(running, matcher, matchers.matching)
        running.start("projector", projector.run())
        running.start("executor", executor.run())
        running.start("approvals", approvals.run())
        running.start("runs", follower.run())
        running.start("matcher", matcher.run())
        stack.push_async_callback(running.end)
        stack.push_async_callback(executor.drain, settings.shutdown_timeout_seconds)
        await running.listen(stack, [*ingest_routes, *api_routes], ABOUT)
        # First of all: the server waits for the streams that follow them.
        stack.push_async_callback(tried.backtests.close)
        yield running
