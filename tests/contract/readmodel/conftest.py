"""A database of its own for each test, on both PostgreSQLs: a copy of one that was bootstrapped once."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest
import pytest_asyncio

from services.projector.core import include_change
from shared.bus.topics import DEFINITIONS, EVENTS
from shared.domain.definitions import Definitions
from shared.domain.records import (
    Command,
    DefinitionsFact,
    EndpointCreated,
    SourceCreated,
    TenantCreated,
    WorkflowArchived,
    WorkflowDisabled,
    WorkflowSaved,
)
from shared.domain.runs.delta import RunsDelta
from shared.domain.runs.fold import Known, RunsFold
from shared.readmodel.bootstrap import bootstrap
from shared.readmodel.connect import API, OWNER, SERVICE, Connection, ConnectParameters, as_role, connect
from shared.readmodel.deltas import DefinitionsDelta, EventRow, EventsDelta
from shared.readmodel.keystore import Keystore
from shared.readmodel.roles import ensure_roles
from shared.readmodel.store import ReadModel
from shared.readmodel.tenant_queries import TenantQueries
from shared.testing.folds import START, RunsScenario, apply_all, approval, limits, match, step
from shared.testing.postgres import debian_installation, debian_postgres, embedded_postgres

MASTER_KEY = b"a master key of no consequence.."
_TEMPLATE = "bootstrapped"
_numbers = count()


@dataclass(frozen=True)
class Database:
    """One test's database, and the way in as each role."""

    admin: ConnectParameters

    @property
    def service(self) -> ConnectParameters:
        return as_role(self.admin, MASTER_KEY, SERVICE)

    @property
    def owner(self) -> ConnectParameters:
        return as_role(self.admin, MASTER_KEY, OWNER)

    @property
    def api(self) -> ConnectParameters:
        return as_role(self.admin, MASTER_KEY, API)


@pytest_asyncio.fixture(
    scope="session",
    loop_scope="session",
    params=[
        pytest.param(each, marks=pytest.mark.xdist_group(f"readmodel-{each}"))  # each server is started once
        for each in ("embedded", "debian")
    ],
)
async def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[ConnectParameters]:
    """A superuser's way into a running server that holds a bootstrapped database to copy."""
    if request.param == "debian" and debian_installation() is None:
        pytest.skip("PostgreSQL 15 is not installed here")
    start = embedded_postgres if request.param == "embedded" else debian_postgres
    folder: Path = tmp_path_factory.mktemp("readmodel")
    async with start(folder) as handle:
        known = handle.connection
        admin = ConnectParameters(
            host=str(known.host), port=known.port, user=known.user, password=known.password, database=known.database
        )
        connection = await connect(admin)
        await connection.execute(f"CREATE DATABASE {_TEMPLATE}")
        await connection.close()
        await bootstrap(replace(admin, database=_TEMPLATE), MASTER_KEY)
        yield admin


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def administration(server: ConnectParameters) -> AsyncIterator[Connection]:
    """The superuser's connection that makes and drops databases."""
    connection = await connect(server)
    yield connection
    await connection.close()


@pytest_asyncio.fixture(loop_scope="session")
async def database(server: ConnectParameters, administration: Connection) -> AsyncIterator[Database]:
    name = f"test_{next(_numbers)}"
    await administration.execute(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE} STRATEGY file_copy")
    made = Database(replace(server, database=name))
    # A copy keeps its schemas, but not the rights on the database itself.
    there = await connect(made.admin)
    await ensure_roles(there, MASTER_KEY)
    await there.close()
    yield made
    await administration.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def readmodel(database: Database) -> AsyncIterator[ReadModel]:
    opened = await ReadModel.open(database.service)
    yield opened
    await opened.close()


@pytest.fixture
async def queries(database: Database) -> AsyncIterator[TenantQueries]:
    opened = await TenantQueries.open(database.api)
    yield opened
    await opened.close()


@pytest.fixture
async def keystore(database: Database) -> AsyncIterator[Keystore]:
    opened = await Keystore.open(database.service)
    yield opened
    await opened.close()


Fill = Callable[[str, int], Awaitable[None]]


@pytest.fixture
def fill(readmodel: ReadModel) -> Fill:
    """Writes a tenant into a partition of its own: something in every table, with the same ids for every tenant."""

    async def write(tenant_id: str, partition: int) -> None:
        await readmodel.snapshot([partition])
        for topic in (EVENTS, DEFINITIONS):
            await readmodel.ensure_checkpoints(topic, [partition])
        await readmodel.write(
            [runs_of(tenant_id, partition)], [events_of(tenant_id, partition)], [definitions_of(tenant_id, partition)]
        )

    return write


def runs_of(tenant_id: str, partition: int) -> RunsDelta:
    scenario = RunsScenario()
    cooled = match("w1", workflow_name="Alert", limits=limits(cooldown_seconds=60), cooldown_key="k")
    done, _ = scenario.happens(cooled, match("w2", workflow_name="Refund", approval=approval()), event_id="event-0")
    scenario.completes(done)
    scenario.wait(seconds=1).happens(cooled, event_id="event-1")
    scenario.counts("event-0")
    scenario.wait(seconds=1).happens(match("w2", workflow_name="Refund"), event_id="event-0", replay_id="replay-1")
    scenario.wait(seconds=1).asks(match("w2", workflow_name="Refund"), key="by-hand", command_id="ask")
    log = [replace(entry, event=replace(entry.event, tenant_id=tenant_id)) for entry in scenario.log]
    delta = apply_all(RunsFold(), log, Known())
    delta.partition = partition
    return delta


def events_of(tenant_id: str, partition: int) -> EventsDelta:
    rows = [
        EventRow(
            tenant_id=tenant_id,
            event_id=f"event-{number}",
            type=("order.refunded", "order.created")[number % 2],
            source=("shop", "till")[number // 2 % 2],
            subject=f"order {number}",
            time=None,
            recorded_at=START + timedelta(seconds=number),
            partition=partition,
            offset=number,
            bytes=10 + number,
            correlation_id=None,
            causation_id=None,
        )
        for number in range(6)
    ]
    return EventsDelta(partition=partition, start=0, end=6, now=START, rows=rows)


def definitions_of(tenant_id: str, partition: int) -> DefinitionsDelta:
    definitions = Definitions()
    delta = DefinitionsDelta(partition=partition, start=0, end=0)

    def named(command_id: str) -> Command:
        return Command(id=command_id, payload_hash=f"hash of {command_id}", actor="ann")

    facts: list[DefinitionsFact] = [
        TenantCreated(name=tenant_id.title(), plan="free", command=named("tenant")),
        SourceCreated(
            source_id="source",
            name="shop",
            vendor="shopify",
            settings={"region": "eu"},
            secrets=("sealed:a",),
            command=named("s"),
        ),
        EndpointCreated(
            endpoint_id="endpoint", name="finance", url="https://example.com", secrets=("sealed:b",), command=named("e")
        ),
        *(
            WorkflowSaved(
                workflow_id=workflow_id,
                base_revision=base,
                document={"name": name, "note": f"of {tenant_id}, on {base}"},
                steps=(step("a"),),
                high_risk=False,
                command=named(f"{workflow_id} on {base}"),
            )
            for workflow_id, name, base in (
                ("w1", "Alert", None),
                ("w1", "Alert", 1),
                ("w2", "Refund", None),
                ("w0", "Old", None),
            )
        ),
        WorkflowSaved(
            workflow_id="w1",
            base_revision=1,
            document={"name": "Alert"},
            steps=(),
            high_risk=False,
            command=named("stale"),
        ),
        WorkflowDisabled(workflow_id="w2", command=named("off")),
        WorkflowArchived(workflow_id="w0", command=named("away")),
    ]
    for offset, fact in enumerate(facts):
        change = definitions.apply(tenant_id, fact, START)
        include_change(delta, change, definitions.tenant(tenant_id), START, offset + 1)
    return delta
