"""The services that answer HTTP: ingest for vendors and upstream services, the API for tenants. What comes out is routes."""

from collections.abc import Awaitable, Callable, Sequence

from services.api.app import ApiDependencies, api_routes
from services.api.settings import ApiSettings
from services.backtest_worker import LogAccess
from services.backtests.api import BacktestsDependencies
from services.backtests.api import routes as backtests_routes
from services.foundation import Foundation
from services.ingest.api import IngestDependencies
from services.ingest.api import routes as ingest_routes
from services.ingest.core.admission import TenantAdmission
from services.ingest.service.answering import Answering
from services.ingest.service.deliveries import Deliveries
from services.ingest.service.published import Published
from services.ingest.service.rejections import Rejections
from services.ingest.settings import IngestSettings
from services.run_ends import RunEndings
from services.trying import trying
from services.wiring.common import Common, Unsealing
from shared.bus.seal import seal_key
from shared.readmodel.connect import SERVICE
from shared.readmodel.tenant_queries import TenantQueries
from shared.runtime.egress import EgressSettings
from shared.runtime.http import Route
from shared.runtime.progress import ProjectionProgress
from shared.runtime.sealing import Sealer
from shared.runtime.settings import read_settings_of

Readiness = Callable[[], Awaitable[Sequence[str]]]


def ingest(
    it: Common, sealer: Sealer, queries: TenantQueries, progress: ProjectionProgress, matched: ProjectionProgress
) -> list[Route]:
    """`matched`: how far events are matched, wherever the matcher is."""
    bus, clock, settings = it.ground.bus, it.ground.clock, read_settings_of(IngestSettings)
    admission = TenantAdmission(
        events_per_second=settings.tenant_events_per_second,
        burst=settings.tenant_burst_events,
        backlog_max=settings.tenant_backlog_events_max,
    )
    rejections = Rejections(per_source_max=settings.rejections_kept_max, sources_max=settings.rejecting_sources_max)
    ends = RunEndings(
        bus,
        queries,
        progress,
        matched,
        clock,
        log_read_timeout_seconds=read_settings_of(ApiSettings).log_read_timeout_seconds,
    )
    dependencies = IngestDependencies(
        deliveries=Deliveries(
            bus=bus,
            definitions=it.definitions,
            unseal=Unsealing(sealer).delivery_secret,
            admission=admission,
            rejections=rejections,
            settings=settings,
            clock=clock,
        ),
        published=Published(
            bus=bus, known_events=queries.known_events, admission=admission, settings=settings, clock=clock
        ),
        answering=Answering(ends, settings),
        rejections=rejections,
        definitions=it.definitions,
        settings=settings,
        metrics=it.ground.metrics,
    )
    return list(ingest_routes(dependencies))


def api(
    it: Common,
    sealer: Sealer,
    queries: TenantQueries,
    progress: ProjectionProgress,
    egress: EgressSettings,
    *,
    public_url: Callable[[], str],
    readiness: Readiness,
    metrics_page: Callable[[], Awaitable[str]],
) -> tuple[list[Route], BacktestsDependencies]:
    """The API and the backtests; end the latter's `backtests` before all else ends."""
    ground = it.ground
    dependencies = ApiDependencies(
        bus=ground.bus,
        queries=queries,
        progress=progress,
        definitions=it.definitions,
        sealer=sealer,
        egress=egress.policy(),
        catalogue=it.catalogue,
        clock=ground.clock,
        randomness=ground.randomness,
        settings=read_settings_of(ApiSettings),
        allow_unsigned_sources=ground.settings.allow_unsigned_sources,
        public_url=public_url,
        readiness=readiness,
        metrics_page=metrics_page,
    )
    tried = trying(dependencies, it.actions, _log_access(ground))
    return [*api_routes(dependencies), *backtests_routes(tried)], tried


def _log_access(ground: Foundation) -> LogAccess:
    match ground.settings.bus:
        case "postgres":
            return LogAccess(connection=ground.role(SERVICE))
        case "kafka":
            return LogAccess(seal_key=seal_key(ground.master_key).hex())
