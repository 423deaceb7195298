"""No row of one tenant is reachable with another's name, none without a name, and the API's role reaches nothing else."""

from collections.abc import AsyncIterator, Awaitable, Callable

import asyncpg
import pytest

from shared.readmodel.connect import API, OWNER, ROLES, SERVICE, ConnectParameters, Pooled, connect
from shared.readmodel.tenant_queries import TenantQueries
from shared.readmodel.write_sql import TABLES

Fill = Callable[[str, int], Awaitable[None]]


@pytest.fixture
async def api(database: object, fill: Fill) -> AsyncIterator[Pooled]:
    """A connection as the API's role, beside rows of two tenants in every table."""
    await fill("acme", 0)
    await fill("globex", 1)
    connection = await connect(_parameters(database, "api"))
    yield connection
    await connection.close()


async def _tenants_seen(connection: Pooled, table: str, setting: str | None) -> set[str]:
    async with connection.transaction():
        if setting is not None:
            await connection.execute("SELECT set_config('upshot.tenant', $1, true)", setting)
        return {row["tenant_id"] for row in await connection.fetch(f"SELECT tenant_id FROM rm_1.{table}")}


async def test_a_session_sees_its_own_tenants_rows_only(api: Pooled) -> None:
    for table in TABLES:
        assert await _tenants_seen(api, table, "acme") == {"acme"}, table
        assert await _tenants_seen(api, table, "globex") == {"globex"}, table
        assert await _tenants_seen(api, table, "initech") == set(), table


async def test_a_session_without_a_tenant_sees_nothing(api: Pooled) -> None:
    for table in TABLES:
        assert await _tenants_seen(api, table, None) == set(), table
        assert await _tenants_seen(api, table, "") == set(), table
        # After a transaction that named one, the setting exists, and is empty.
        await _tenants_seen(api, table, "acme")
        assert await _tenants_seen(api, table, None) == set(), table


async def test_the_api_writes_nothing(api: Pooled) -> None:
    await api.execute("SET default_transaction_read_only = off")
    for table in TABLES:
        for statement in ("DELETE FROM {}", "UPDATE {} SET tenant_id = 'acme'", "TRUNCATE {}", "DROP TABLE {}"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await api.execute(statement.format(f"rm_1.{table}"))


async def test_the_api_reaches_nothing_else(api: Pooled) -> None:
    await api.execute("SET default_transaction_read_only = off")
    for statement in (
        "SELECT * FROM keystore.data_keys",
        "SELECT * FROM rm_1.checkpoints",
        "UPDATE readmodel.current SET generation = 2",
        "SELECT readmodel.create_generation(9, 1)",
        "SELECT readmodel.drop_generation(1)",
        "CREATE TABLE rm_1.mine (id int)",
        "CREATE SCHEMA mine",
        "CREATE TEMPORARY TABLE mine (id int)",
        "SET ROLE upshot_service",
        "SET ROLE upshot_owner",
        "ALTER TABLE rm_1.runs DISABLE ROW LEVEL SECURITY",
        "SELECT pg_read_file('/etc/passwd')",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await api.execute(statement)


async def test_the_api_only_reads_unless_it_asks_to_write(api: Pooled) -> None:
    assert await api.fetchval("SHOW transaction_read_only") == "on"


async def test_no_role_may_pass_row_level_security(database: object) -> None:
    connection = await connect(_parameters(database, "admin"))
    try:
        roles = await connection.fetch(
            "SELECT rolname, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication FROM pg_roles "
            "WHERE rolname LIKE 'upshot\\_%'"
        )
        members = await connection.fetch(
            "SELECT roleid::regrole::text AS role, member::regrole::text AS member FROM pg_auth_members "
            "WHERE member::regrole::text LIKE 'upshot\\_%'"
        )
        open_tables = await connection.fetch(
            "SELECT relname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace "
            "WHERE nspname = 'rm_1' AND relkind = 'r' AND NOT (relrowsecurity AND relforcerowsecurity)"
        )
    finally:
        await connection.close()
    assert {row["rolname"] for row in roles} == set(ROLES) == {OWNER, SERVICE, API}
    assert [tuple(row) for row in roles if any(list(row)[1:])] == []
    assert members == []
    assert open_tables == []


async def test_even_the_owner_sees_no_tenant(database: object, fill: Fill) -> None:
    """FORCE: who owns the tables has no policy, and so no rows."""
    await fill("acme", 0)
    connection = await connect(_parameters(database, "owner"))
    try:
        assert await connection.fetch("SELECT * FROM rm_1.runs") == []
    finally:
        await connection.close()


async def test_every_query_answers_for_the_tenant_it_is_asked_for(queries: TenantQueries, fill: Fill) -> None:
    await fill("acme", 0)
    await fill("globex", 1)
    page = await queries.list_runs("acme")
    assert {run.tenant_id for run in page.items} == {"acme"}
    waiting = (await queries.list_approvals("acme")).items[0]
    for tenant_id in ("initech", ""):
        assert (await queries.list_runs(tenant_id)).items == ()
        assert (await queries.list_events(tenant_id)).items == ()
        assert (await queries.list_approvals(tenant_id)).items == ()
        assert (await queries.list_workflows(tenant_id)).items == ()
        assert (await queries.list_workflows(tenant_id, archived=True)).items == ()
        assert (await queries.list_sources(tenant_id)).items == ()
        assert (await queries.list_endpoints(tenant_id)).items == ()
        assert (await queries.list_revisions(tenant_id, "w1")).items == ()
        assert await queries.get_tenant(tenant_id) is None
        assert await queries.get_run(tenant_id, page.items[0].run_id) is None
        assert await queries.get_event(tenant_id, "event-0") is None
        assert await queries.get_approval(tenant_id, waiting.approval_id) is None
        assert await queries.get_workflow(tenant_id, "w1") is None
        assert await queries.get_source(tenant_id, "source") is None
        assert await queries.get_endpoint(tenant_id, "endpoint") is None
        assert await queries.get_command(tenant_id, "ask") is None
        assert await queries.known_events(tenant_id, ["event-0"]) == frozenset()
    stolen = await queries.get_run("globex", page.items[0].run_id)
    assert stolen is None or stolen.run.tenant_id == "globex"


def _parameters(database: object, role: str) -> ConnectParameters:
    return getattr(database, role)  # type: ignore[no-any-return]  # the fixture's class lives in conftest.py
