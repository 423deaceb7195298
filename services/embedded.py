"""All services in one process: `upshot up`. Wired by hand, top to bottom; taken down in the reverse order.

Two such processes on one data folder share the work: partitions are divided among them by the log's own groups.
"""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Literal

import orjson

from services.api.app import ABOUT, ApiDependencies, api_routes
from services.api.service.ports import ENDPOINT_SECRET, HOOK_SECRET, SOURCE_SECRET
from services.api.settings import ApiSettings
from services.approvals.service import Approvals
from services.approvals.settings import ApprovalsSettings
from services.backtests.api import routes as backtests_routes
from services.executor.actions import Tools, discover_actions
from services.executor.service import Executor
from services.executor.service.carrying import Carrier
from services.executor.settings import ExecutorSettings
from services.foundation import Foundation, foundation
from services.ingest.api import IngestDependencies
from services.ingest.api import routes as ingest_routes
from services.ingest.core.admission import TenantAdmission
from services.ingest.service.answering import Answering
from services.ingest.service.deliveries import Deliveries
from services.ingest.service.published import Published
from services.ingest.service.rejections import Rejections
from services.ingest.settings import IngestSettings
from services.levelling import bring_read_model_level
from services.matcher.service import Matcher, Matching
from services.matcher.settings import MatcherSettings
from services.matcher.triggers import discover_triggers
from services.projector.service.projector import Projector
from services.projector.settings import ProjectorSettings
from services.run_ends import RunEndings
from services.trying import trying
from shared.bus import codec
from shared.bus.topics import EVENTS
from shared.bus.write_level import member_name
from shared.domain import catalogue
from shared.domain.envelope import Event
from shared.readmodel.connect import API, SERVICE
from shared.readmodel.keystore import Keystore
from shared.readmodel.tenant_queries import TenantQueries
from shared.runtime.definitions import DefinitionsFollower
from shared.runtime.egress import EgressSettings, OutgoingClient
from shared.runtime.http import HttpDependencies, HttpServer, Route, TokenVerifier, build_app, jwt_secret
from shared.runtime.progress import ProjectionProgress
from shared.runtime.sealing import Sealer
from shared.runtime.settings import RunsSettings, UpshotSettings
from shared.runtime.shards import RunsFollower
from shared.telemetry.logging import set_up_logging
from shared.workflows.catalogue import Catalogue

log = logging.getLogger(__name__)

GC_THRESHOLDS = (100_000, 50, 100)

GROUP = "embedded"
"""One group for all that acts on runs: whoever owns a partition executes, expires and projects it."""


@dataclass(slots=True)
class Platform:
    """A running platform. `tasks` are its services; one that ends by itself is never right."""

    url: str
    ground: Foundation
    follower: RunsFollower
    definitions: DefinitionsFollower
    projector: Projector
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def unreadiness(self) -> list[str]:
        """Why this process does not do its part, one sentence each; empty: it does."""
        reasons = []
        server = self.ground.server
        if server is not None and not server.running.is_set():
            reasons.append("PostgreSQL is being restarted")
        if not self.follower.assigned:
            reasons.append("no partitions are assigned to this process yet")
        restoring = sum(1 for shard in self.follower.shards.values() if not shard.level)
        if restoring:
            reasons.append(f"{restoring} of {len(self.follower.shards)} partitions are being restored")
        for halted in (self.definitions.halted, self.projector.logs.halted, self.follower.halted):
            reasons += [detail for _, detail in sorted(halted.items()) if detail not in reasons]
        reasons += [f"the service {task.get_name()} has ended" for task in self.tasks if task.done()]
        return reasons


async def serve(settings: UpshotSettings) -> None:
    """Run until SIGTERM or SIGINT, then drain. One JSON line on stdout says where it is, once it is ready."""
    set_up_logging(settings.log_level)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with contextlib.AsyncExitStack() as stack:
        running = await _started(stack, settings, stop)
        if running is None:
            log.info("stopped before it was ready")
            return
        # What is loaded by now stays; what an event allocates dies young. Collecting as often as Python does by itself
        # cost a tenth of the CPU time.
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        line = {"url": running.url, "pid": os.getpid(), "data_dir": str(running.ground.data_dir)}
        sys.stdout.buffer.write(orjson.dumps(line) + b"\n")
        sys.stdout.flush()
        await _until_stopped(stop, running.tasks)
        log.info("draining")


async def _started(stack: contextlib.AsyncExitStack, settings: UpshotSettings, stop: asyncio.Event) -> Platform | None:
    """None where it is to stop before it is ready: building a read model anew may take long."""
    starting = asyncio.create_task(stack.enter_async_context(platform(settings)), name="start")
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


@contextlib.asynccontextmanager
async def platform(settings: UpshotSettings, egress: EgressSettings | None = None) -> AsyncIterator[Platform]:
    """Everything running and ready to take requests."""
    async with contextlib.AsyncExitStack() as stack:
        ground = await stack.enter_async_context(foundation(settings))
        await bring_read_model_level(ground)
        clock, bus = ground.clock, ground.bus
        member_id = member_name(f"{socket.gethostname()}-{os.getpid()}-{ground.randomness.token_bytes(4).hex()}")

        keystore = await Keystore.open(ground.role(SERVICE))
        stack.push_async_callback(keystore.close)
        sealer = Sealer(keystore, ground.master_key, ground.randomness, clock)
        queries = await TenantQueries.open(ground.role(API))
        stack.push_async_callback(queries.close)
        egress = egress if egress is not None else EgressSettings()
        outgoing = await stack.enter_async_context(await OutgoingClient.open(egress, clock=clock))

        actions = discover_actions()
        schemas = {each.name: each.schema for each in catalogue.all_types()}
        parts = Catalogue(actions=actions, triggers=discover_triggers(), event_schemas=schemas)
        definitions = DefinitionsFollower(bus)
        matcher_settings = MatcherSettings()
        matching = Matching(
            definitions.definitions, parts, matcher_settings, clock, partition_count=bus.partition_count
        )
        definitions.listen(matching.definition_changed)
        await definitions.start()
        stack.push_async_callback(definitions.close)

        async def unseal_endpoint_secret(tenant_id: str, sealed: str) -> str:
            return await sealer.unseal(tenant_id, sealed, ENDPOINT_SECRET)

        async def unseal_delivery_secret(tenant_id: str, sealed: str, of: Literal["source", "hook"]) -> str:
            return await sealer.unseal(tenant_id, sealed, SOURCE_SECRET if of == "source" else HOOK_SECRET)

        async def publish(event: Event) -> None:
            await bus.append([codec.encode(EVENTS, event)])

        executor_settings = ExecutorSettings()
        carrier = Carrier(
            bus=bus,
            definitions=definitions,
            actions=actions,
            tools=Tools(
                outgoing=outgoing,
                unseal=unseal_endpoint_secret,
                publish=publish,
                clock=clock,
                response_bytes_max=executor_settings.response_bytes_max,
                secrets_kept_max=executor_settings.secrets_kept_max,
            ),
            settings=executor_settings,
            clock=clock,
            randomness=ground.randomness,
        )
        executor = Executor(carrier, executor_settings, clock)
        approvals = Approvals(bus, ApprovalsSettings(), clock)
        progress = ProjectionProgress(ground.readmodel.next_offsets)
        stack.push_async_callback(progress.close)
        matched = ProjectionProgress()

        async def restore_again(partition: int) -> None:
            await follower.restore_again(partition)

        projector = Projector(
            bus,
            ground.readmodel,
            progress,
            clock,
            ProjectorSettings(),
            on_lost=restore_again,
        )
        follower = RunsFollower(
            bus,
            ground.readmodel,
            [projector, executor, approvals],
            group=GROUP,
            member_id=member_id,
            settings=RunsSettings(),
            may_read=projector.accepting,
        )
        matcher = Matcher(
            bus,
            definitions,
            matching,
            matcher_settings,
            member_id=member_id,
            snapshots=ground.readmodel,
            clock=clock,
            progress=matched,
            foresee=follower.foresee,
        )

        secret = jwt_secret(
            settings.jwt_secret.get_secret_value() if settings.jwt_secret is not None else None,
            ground.data_dir,
            ground.randomness,
        )
        ingest_settings = IngestSettings()
        admission = TenantAdmission(
            events_per_second=ingest_settings.tenant_events_per_second,
            burst=ingest_settings.tenant_burst_events,
            backlog_max=ingest_settings.tenant_backlog_events_max,
        )
        rejections = Rejections(
            per_source_max=ingest_settings.rejections_kept_max, sources_max=ingest_settings.rejecting_sources_max
        )
        running = Platform(url="", ground=ground, follower=follower, definitions=definitions, projector=projector)

        async def unreadiness() -> list[str]:
            return running.unreadiness()

        api_settings = ApiSettings()
        api = ApiDependencies(
            bus=bus,
            queries=queries,
            progress=progress,
            definitions=definitions,
            sealer=sealer,
            egress=egress.policy(),
            catalogue=parts,
            clock=clock,
            randomness=ground.randomness,
            settings=api_settings,
            allow_unsigned_sources=settings.allow_unsigned_sources,
            public_url=lambda: (settings.public_url or running.url).rstrip("/"),
            readiness=unreadiness,
        )
        tried = trying(api, actions, ground.role(SERVICE))
        routes: list[Route] = [
            *ingest_routes(
                IngestDependencies(
                    deliveries=Deliveries(
                        bus=bus,
                        definitions=definitions,
                        unseal=unseal_delivery_secret,
                        admission=admission,
                        rejections=rejections,
                        settings=ingest_settings,
                        clock=clock,
                    ),
                    published=Published(
                        bus=bus,
                        known_events=queries.known_events,
                        admission=admission,
                        settings=ingest_settings,
                        clock=clock,
                    ),
                    answering=Answering(
                        RunEndings(
                            bus,
                            queries,
                            progress,
                            matched,
                            clock,
                            log_read_timeout_seconds=api_settings.log_read_timeout_seconds,
                        ),
                        ingest_settings,
                    ),
                    rejections=rejections,
                    definitions=definitions,
                    settings=ingest_settings,
                )
            ),
            *api_routes(api),
            *backtests_routes(tried),
        ]
        verifier = TokenVerifier(secret, clock=clock)
        app = build_app(routes, HttpDependencies(verifier=verifier, randomness=ground.randomness, about=ABOUT))

        running.tasks += [
            _service("projector", projector.run()),
            _service("executor", executor.run()),
            _service("approvals", approvals.run()),
            _service("runs", follower.run()),
            _service("matcher", matcher.run()),
        ]
        stack.push_async_callback(_end, running.tasks)
        stack.push_async_callback(executor.drain, settings.shutdown_timeout_seconds)
        server = await HttpServer.start(
            app,
            host=settings.http_host,
            port=settings.http_port,
            shutdown_timeout_seconds=settings.shutdown_timeout_seconds,
        )
        stack.push_async_callback(server.close)
        stack.push_async_callback(
            tried.backtests.close
        )  # first of all: the server waits for the streams that follow them
        running.url = server.url
        yield running


def _service(name: str, coroutine: Coroutine[object, object, None]) -> asyncio.Task[None]:
    return asyncio.create_task(coroutine, name=name)


async def _end(tasks: Sequence[asyncio.Task[None]]) -> None:
    """In reverse order of their start: the matcher and the fold stop before what they feed."""
    for task in reversed(tasks):
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
