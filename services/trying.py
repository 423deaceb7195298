"""Wires `services/backtests`: what it is handed is all that it can do. No bus and no outgoing client is among it."""

from collections.abc import Mapping

from services.api.app import ApiDependencies
from services.api.service.log_reader import LogReader
from services.api.service.tenants import current_tenant
from services.api.service.workflows import check_draft
from services.backtests.api import BacktestsDependencies
from services.backtests.service.subjects import Subjects
from services.backtests.service.trials import Trials
from services.backtests.settings import BacktestsSettings
from services.executor.actions import Action
from services.previews import ActionPreviews
from shared.bus import codec
from shared.bus.topics import EVENTS
from shared.domain.definitions import Tenant
from shared.domain.envelope import Event
from shared.workflows.check import CheckedWorkflow


def trying(api: ApiDependencies, actions: Mapping[str, Action]) -> BacktestsDependencies:
    """Of what the API stands on, it gets: reading definitions, checking a draft, and reading one event."""
    log = LogReader(api.bus, api.settings.log_read_timeout_seconds)

    async def tenant_of(tenant_id: str) -> Tenant:
        return await current_tenant(api, tenant_id)

    def check(document: object, tenant: Tenant) -> tuple[str, CheckedWorkflow]:
        return check_draft(document, tenant, api.catalogue)

    async def find_event(tenant_id: str, event_id: str) -> Event | None:
        found = await api.queries.get_event(tenant_id, event_id)
        if found is None:
            return None
        (record,) = await log.at(EVENTS, found.event.partition, [found.event.offset])
        return codec.decode(record)

    subjects = Subjects(tenant_of, check, api.catalogue, api.clock)
    return BacktestsDependencies(
        trials=Trials(subjects, find_event, ActionPreviews(actions), api.clock),
        settings=BacktestsSettings(),
    )
