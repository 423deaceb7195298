"""All that the tenant API reads, and can reach: one transaction a call, held to its tenant by row-level security.

Guarantee: a call sees rows of `tenant_id` only, whatever its other arguments are; without a tenant it sees none. Lists
are newest first (definitions: by name) and paged by opaque cursors. A call survives connections that died while idle.
Next: `tenant_sql.py` for the statements, `tenant_values.py` for what comes back.
"""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from uuid import UUID

import orjson

from shared.bus.topics import DEFINITIONS
from shared.bus.topics import RUNS as RUNS_TOPIC
from shared.domain.errors import Flaw, InvalidInput
from shared.domain.ids import match_id
from shared.domain.runs import approvals
from shared.domain.verdicts import Verdict
from shared.readmodel import tenant_sql as sql
from shared.readmodel.connect import ConnectParameters, Pool, Pooled, open_pool
from shared.readmodel.cursors import read_cursor
from shared.readmodel.deltas import key_text
from shared.readmodel.errors import AWAY, BROKEN, ReadModelAway, RebuildNeeded
from shared.readmodel.settings import ReadModelSettings
from shared.readmodel.tenant_rows import Fields, page_of, parsed, run_detail
from shared.readmodel.tenant_rows import approval as approval_item
from shared.readmodel.tenant_rows import revision as revision_item
from shared.readmodel.tenant_rows import workflow as workflow_item
from shared.readmodel.tenant_values import (
    ApprovalItem,
    CommandItem,
    EndpointItem,
    EventDetail,
    EventItem,
    Page,
    RevisionItem,
    RevisionSummary,
    RunDetail,
    RunItem,
    SourceItem,
    TenantItem,
    WorkflowItem,
)
from shared.readmodel.turns import Turns
from shared.readmodel.versions import MODEL_VERSION

LIMIT_DEFAULT = 50
LIMIT_MAX = 200
_RUNS_OF_EVENT_MAX = 1000

_Filters = Mapping[str, Sequence[object] | None]


class _Session:
    """One transaction that sees one tenant's rows of the current generation."""

    def __init__(self, connection: Pooled, rm: str, tenant_id: str) -> None:
        self._connection = connection
        self._rm = rm
        self._tenant_id = tenant_id

    async def all(self, statement: str, *arguments: object) -> list[Fields]:
        rows = await self._connection.fetch(statement.format(rm=self._rm), self._tenant_id, *arguments)
        return [dict(row) for row in rows]

    async def one(self, statement: str, *arguments: object) -> Fields | None:
        row = await self._connection.fetchrow(statement.format(rm=self._rm), self._tenant_id, *arguments)
        return dict(row) if row is not None else None

    async def some(
        self, statement: str, known_filters: Mapping[str, str], filters: _Filters, limit: int
    ) -> list[Fields]:
        """Rows under those filters that are not None, at most `limit` and one more."""
        arguments: list[object] = []
        conditions = []
        for name, values in filters.items():
            if values is not None:
                places = [f"${len(arguments) + 2 + index}" for index in range(len(values))]
                conditions.append(known_filters[name].format(*places))
                arguments.extend(values)
        text = statement.format(rm=self._rm, filters=" ".join(conditions), limit=f"${len(arguments) + 2}")
        return [dict(row) for row in await self._connection.fetch(text, self._tenant_id, *arguments, limit + 1)]


class TenantQueries:
    """The tenant's side of the read model."""

    def __init__(self, pool: Pool, settings: ReadModelSettings) -> None:
        self._pool = pool
        self._turns = Turns(settings.api_connections_max, patience_seconds=settings.api_patience_seconds)

    @classmethod
    async def open(cls, api: ConnectParameters, settings: ReadModelSettings | None = None) -> "TenantQueries":
        """Connect as the API role. Raises ReadModelAway while PostgreSQL cannot be reached."""
        settings = settings or ReadModelSettings()
        try:
            pool = await open_pool(
                api,
                connections_max=settings.api_connections_max,
                command_timeout_seconds=settings.api_timeout_seconds,
                server_settings={"jit": "off"},
            )
        except AWAY as error:
            raise ReadModelAway(f"PostgreSQL cannot be reached: {error!r}") from error
        return cls(pool, settings)

    async def close(self) -> None:
        """Close the pool once what is under way has ended."""
        await self._pool.close()

    # ------------------------------------------------------------ events

    async def list_events(
        self,
        tenant_id: str,
        *,
        type: str | None = None,
        source: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        cursor: str | None = None,
        limit: int = LIMIT_DEFAULT,
    ) -> Page[EventItem]:
        """Events by when they were recorded, in [since, until)."""
        limit = _bounded(limit)
        filters: _Filters = {
            "type": _one(key_text(type) if type is not None else None),
            "source": _one(key_text(source) if source is not None else None),
            "since": _one(since),
            "until": _one(until),
            "cursor": _place("events", cursor),
        }
        async with self._session(tenant_id) as session:
            rows = await session.some(sql.EVENTS, sql.EVENTS_FILTERS, filters, limit)
        return page_of("events", [EventItem(**row) for row in rows], limit, lambda it: (it.recorded_at, it.event_id))

    async def get_event(self, tenant_id: str, event_id: str) -> EventDetail | None:
        """An event with the runs it led to."""
        async with self._session(tenant_id) as session:
            row = await session.one(sql.EVENT, key_text(event_id))
            if row is None:
                return None
            own_match = UUID(match_id(event_id, None))
            runs = await session.all(sql.RUNS_OF_EVENT, own_match, key_text(event_id), _RUNS_OF_EVENT_MAX)
        return EventDetail(event=EventItem(**row), runs=tuple(RunItem(**each) for each in runs))

    async def runs_of_match(self, tenant_id: str, event_id: str, replay_id: str | None) -> tuple[RunItem, ...]:
        """The runs that an event led to by itself, or in one replay, oldest first."""
        match = UUID(match_id(event_id, replay_id))
        async with self._session(tenant_id) as session:
            rows = await session.all(sql.RUNS_OF_MATCH, match, _RUNS_OF_EVENT_MAX)
        return tuple(RunItem(**row) for row in rows)

    async def known_events(self, tenant_id: str, event_ids: Collection[str]) -> frozenset[str]:
        """Those of these ids that are events already."""
        keys = {key_text(event_id): event_id for event_id in event_ids}
        async with self._session(tenant_id) as session:
            rows = await session.all(sql.KNOWN_EVENTS, list(keys))
        return frozenset(keys[str(row["event_id"])] for row in rows)

    # ------------------------------------------------------------ runs

    async def list_runs(
        self,
        tenant_id: str,
        *,
        workflow_id: str | None = None,
        status: str | None = None,
        since: datetime | None = None,
        cursor: str | None = None,
        limit: int = LIMIT_DEFAULT,
    ) -> Page[RunItem]:
        """Runs by when they were asked for."""
        limit = _bounded(limit)
        filters: _Filters = {
            "workflow_id": _one(key_text(workflow_id) if workflow_id is not None else None),
            "status" if status == "succeeded" else "unsuccessful_status": _one(status),
            "since": _one(since),
            "cursor": _place("runs", cursor),
        }
        async with self._session(tenant_id) as session:
            rows = await session.some(sql.RUNS, sql.RUNS_FILTERS, filters, limit)
        return page_of("runs", [RunItem(**row) for row in rows], limit, lambda it: (it.requested_at, it.run_id))

    async def get_run(self, tenant_id: str, run_id: str) -> RunDetail | None:
        """A run, whole."""
        async with self._session(tenant_id) as session:
            row = await session.one(sql.RUN, key_text(run_id))
        return run_detail(row) if row is not None else None

    async def run_of_approval(self, tenant_id: str, approval_id: str) -> RunDetail | None:
        """The run that waits, or waited, for that approval."""
        approval = await self.get_approval(tenant_id, approval_id)
        return await self.get_run(tenant_id, approval.run_id) if approval is not None else None

    # ------------------------------------------------------------ approvals

    async def list_approvals(
        self,
        tenant_id: str,
        *,
        status: str | None = None,
        roles: Collection[str] | None = None,
        cursor: str | None = None,
        limit: int = LIMIT_DEFAULT,
    ) -> Page[ApprovalItem]:
        """Approvals by when they were asked for. `roles`: only those that one of these (qualified) may decide."""
        limit = _bounded(limit)
        filters: _Filters = {
            "status": _one(status),
            "decided_by": _one(list(roles) if roles is not None else None),
            "cursor": _place("approvals", cursor),
        }
        async with self._session(tenant_id) as session:
            rows = await session.some(sql.APPROVALS, sql.APPROVALS_FILTERS, filters, limit)
        items = [approval_item(row) for row in rows]
        return page_of("approvals", items, limit, lambda it: (it.requested_at, it.approval_id))

    async def get_approval(self, tenant_id: str, approval_id: str) -> ApprovalItem | None:
        async with self._session(tenant_id) as session:
            row = await session.one(sql.APPROVAL, key_text(approval_id))
        return approval_item(row) if row is not None else None

    async def approval_of_run(self, tenant_id: str, run_id: str) -> ApprovalItem | None:
        """The approval of a whole run, if it ever needed one."""
        return await self.get_approval(tenant_id, approvals.approval_id(run_id))

    # ------------------------------------------------------------ definitions

    async def get_tenant(self, tenant_id: str) -> TenantItem | None:
        async with self._session(tenant_id) as session:
            row = await session.one(sql.TENANT)
        return TenantItem(**row) if row is not None else None

    async def monthly_runs(self, tenant_id: str, months: int) -> dict[str, int]:
        """Runs that were admitted by month (`2026-03`, UTC): the newest `months` in which there were any, newest first."""
        async with self._session(tenant_id) as session:
            rows = await session.all(sql.MONTHS, months)
        return {row["month"]: row["runs"] for row in rows}

    async def list_workflows(
        self,
        tenant_id: str,
        *,
        enabled: bool | None = None,
        archived: bool = False,
        cursor: str | None = None,
        limit: int = LIMIT_DEFAULT,
    ) -> Page[WorkflowItem]:
        """Workflows by name, each with its newest revision: those in use, or those that are archived."""
        limit = _bounded(limit)
        filters: _Filters = {
            "archived": _one(archived),
            "enabled": _one(enabled),
            "cursor": _place("workflows", cursor, by_name=True),
        }
        async with self._session(tenant_id) as session:
            rows = await session.some(sql.WORKFLOWS, sql.WORKFLOWS_FILTERS, filters, limit)
        return page_of("workflows", [workflow_item(row) for row in rows], limit, lambda it: (it.name, it.workflow_id))

    async def get_workflow(self, tenant_id: str, workflow_id: str) -> WorkflowItem | None:
        async with self._session(tenant_id) as session:
            row = await session.one(sql.WORKFLOW, key_text(workflow_id))
        return workflow_item(row) if row is not None else None

    async def get_workflow_named(self, tenant_id: str, name: str) -> WorkflowItem | None:
        """The one that bears the name now: an archived one bears none."""
        async with self._session(tenant_id) as session:
            row = await session.one(sql.WORKFLOW_NAMED, key_text(name))
        return workflow_item(row) if row is not None else None

    async def list_revisions(
        self, tenant_id: str, workflow_id: str, *, cursor: str | None = None, limit: int = LIMIT_DEFAULT
    ) -> Page[RevisionSummary]:
        """Newest first, without their documents."""
        limit = _bounded(limit)
        place = _place("revisions", cursor, by_name=True)
        filters: _Filters = {
            "workflow_id": _one(key_text(workflow_id)),
            "cursor": _one(_revision_number(str(place[0]))) if place is not None else None,
        }
        async with self._session(tenant_id) as session:
            rows = await session.some(sql.REVISIONS, sql.REVISIONS_FILTERS, filters, limit)
        items = [RevisionSummary(**row) for row in rows]
        return page_of("revisions", items, limit, lambda it: (str(it.revision), it.workflow_id))

    async def get_revision(self, tenant_id: str, workflow_id: str, revision: int) -> RevisionItem | None:
        async with self._session(tenant_id) as session:
            row = await session.one(sql.REVISION, key_text(workflow_id), revision)
        return revision_item(row) if row is not None else None

    async def list_sources(
        self, tenant_id: str, *, cursor: str | None = None, limit: int = LIMIT_DEFAULT
    ) -> Page[SourceItem]:
        """Sources by name."""
        limit = _bounded(limit)
        filters: _Filters = {"cursor": _place("sources", cursor, by_name=True)}
        async with self._session(tenant_id) as session:
            rows = await session.some(sql.SOURCES, sql.SOURCES_FILTERS, filters, limit)
        items = [SourceItem(**parsed(row, "settings", "secrets")) for row in rows]
        return page_of("sources", items, limit, lambda it: (it.name, it.source_id))

    async def get_source(self, tenant_id: str, source_id: str) -> SourceItem | None:
        async with self._session(tenant_id) as session:
            row = await session.one(sql.SOURCE, key_text(source_id))
        return SourceItem(**parsed(row, "settings", "secrets")) if row is not None else None

    async def list_endpoints(
        self, tenant_id: str, *, cursor: str | None = None, limit: int = LIMIT_DEFAULT
    ) -> Page[EndpointItem]:
        """Endpoints by name."""
        limit = _bounded(limit)
        filters: _Filters = {"cursor": _place("endpoints", cursor, by_name=True)}
        async with self._session(tenant_id) as session:
            rows = await session.some(sql.ENDPOINTS, sql.ENDPOINTS_FILTERS, filters, limit)
        items = [EndpointItem(**parsed(row, "secrets")) for row in rows]
        return page_of("endpoints", items, limit, lambda it: (it.name, it.endpoint_id))

    async def get_endpoint(self, tenant_id: str, endpoint_id: str) -> EndpointItem | None:
        async with self._session(tenant_id) as session:
            row = await session.one(sql.ENDPOINT, key_text(endpoint_id))
        return EndpointItem(**parsed(row, "secrets")) if row is not None else None

    # ------------------------------------------------------------ commands

    async def get_command(self, tenant_id: str, command_id: str, *, topic: str | None = None) -> CommandItem | None:
        """The verdict on a command; `topic`: only of that fold."""
        topics = [topic] if topic is not None else [DEFINITIONS, RUNS_TOPIC]
        async with self._session(tenant_id) as session:
            row = await session.one(sql.COMMAND, key_text(command_id), topics)
        if row is None:
            return None
        verdict = Verdict(
            command_id=command_id,
            payload_hash=row["payload_hash"],
            status=row["status"],
            body=orjson.loads(row["body"]),
            decided_at=row["decided_at"],
        )
        return CommandItem(topic=row["topic"], verdict=verdict)

    # ------------------------------------------------------------ sessions

    @asynccontextmanager
    async def _session(self, tenant_id: str) -> AsyncIterator[_Session]:
        try:
            async with self._turns.of(tenant_id), AsyncExitStack() as stack:
                try:
                    session = await self._begin(stack, tenant_id)
                except BROKEN:
                    # A server that was restarted has let go of all connections, not of this one alone.
                    await self._pool.expire_connections()
                    session = await self._begin(stack, tenant_id)
                yield session
        except AWAY as error:
            raise ReadModelAway(f"reading the read model: {error!r}") from error

    async def _begin(self, stack: AsyncExitStack, tenant_id: str) -> _Session:
        """A transaction that ends with `stack`; where it cannot begin, nothing of it is left."""
        async with AsyncExitStack() as attempt:
            connection = await attempt.enter_async_context(self._pool.acquire())
            await attempt.enter_async_context(connection.transaction(readonly=True))
            pointer = await connection.fetchrow(sql.SESSION, key_text(tenant_id))
            found = pointer["fold_version"] if pointer is not None else None
            if pointer is None or found != MODEL_VERSION:
                raise RebuildNeeded(found, MODEL_VERSION)
            stack.push_async_exit(attempt.pop_all())
        return _Session(connection, f"rm_{pointer['generation']}", key_text(tenant_id))


def _one(value: object) -> tuple[object] | None:
    return (value,) if value is not None else None


def _place(kind: str, text: str | None, *, by_name: bool = False) -> tuple[object, object] | None:
    """Where the page before ended: (instant or name, id)."""
    if text is None:
        return None
    cursor = read_cursor(kind, text)
    if isinstance(cursor.after, datetime) == by_name:
        raise _unusable_cursor()
    return cursor.after, cursor.id


def _revision_number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise _unusable_cursor()
    return int(text)


def _unusable_cursor() -> InvalidInput:
    return InvalidInput("This cursor cannot be used.", [Flaw(pointer="#/cursor", detail="begin without one")])


def _bounded(limit: int) -> int:
    return min(max(limit, 1), LIMIT_MAX)
