"""Wires `services/backtests`: what it is handed is all that it can do. No bus and no outgoing client is among it."""

import os
from collections.abc import Mapping

from services import backtest_worker
from services.api.app import ApiDependencies
from services.api.service.log_reader import LogReader
from services.api.service.tenants import current_tenant
from services.api.service.workflows import check_draft
from services.backtests.api import BacktestsDependencies
from services.backtests.service.asking import Asking
from services.backtests.service.jobs import Backtests
from services.backtests.service.processes import ProcessRunner
from services.backtests.service.subjects import Subjects
from services.backtests.service.trials import Trials
from services.backtests.settings import BacktestsSettings
from services.executor.actions import Action
from services.previews import ActionPreviews
from shared.bus import codec
from shared.bus.partitioner import partition_of
from shared.bus.topics import EVENTS
from shared.domain.definitions import Tenant
from shared.domain.envelope import Event, routing_key
from shared.runtime.settings import read_settings_of
from shared.workflows.check import CheckedWorkflow
from shared.workflows.hiding import Hiding


def trying(
    api: ApiDependencies, actions: Mapping[str, Action], access: backtest_worker.LogAccess
) -> BacktestsDependencies:
    """Of what the API stands on, it gets: reading definitions, checking a draft, and reading one event.

    `access`: what a backtest's process is told; it reads the log by it. End its `backtests` before all else ends.
    """
    log = LogReader(api.bus, api.settings.log_read_timeout_seconds)
    settings, catalogue, clock = read_settings_of(BacktestsSettings), api.catalogue, api.clock

    async def tenant_of(tenant_id: str) -> Tenant:
        return await current_tenant(api, tenant_id)

    def check(document: object, tenant: Tenant) -> tuple[str, CheckedWorkflow]:
        return check_draft(document, tenant, catalogue, allow_unsigned=api.allow_unsigned_sources)

    async def find_event(tenant_id: str, event_id: str) -> Event | None:
        found = await api.queries.get_event(tenant_id, event_id)
        if found is None:
            return None
        (record,) = await log.at(EVENTS, found.event.partition, [found.event.offset])
        return codec.decode(record)

    def partition_of_tenant(tenant_id: str) -> int:
        return partition_of(routing_key(tenant_id), api.bus.partition_count)

    subjects = Subjects(tenant_of, check, catalogue, clock)
    runner = ProcessRunner(
        backtest_worker.COMMAND, backtest_worker.environment(os.environ), backtest_worker.preamble(access)
    )
    return BacktestsDependencies(
        trials=Trials(
            subjects, find_event, catalogue, ActionPreviews(actions), Hiding(api.settings.hidden_names), clock
        ),
        asking=Asking(subjects, settings, clock, partition_of_tenant, api.settings.hidden_names),
        backtests=Backtests(runner, settings, clock, api.randomness),
        clock=clock,
        settings=settings,
    )
