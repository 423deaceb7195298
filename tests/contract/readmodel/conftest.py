"""A database of its own for each test, on both PostgreSQLs: a copy of one that was bootstrapped once."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import pytest
import pytest_asyncio

from shared.readmodel.bootstrap import bootstrap
from shared.readmodel.connect import API, SERVICE, ConnectParameters, as_role, connect
from shared.readmodel.keystore import Keystore
from shared.readmodel.store import ReadModel
from shared.readmodel.tenant_queries import TenantQueries
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
    def api(self) -> ConnectParameters:
        return as_role(self.admin, MASTER_KEY, API)


@pytest_asyncio.fixture(scope="session", loop_scope="session", params=["embedded", "debian"])
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
        await _execute(admin, f"CREATE DATABASE {_TEMPLATE}")
        await bootstrap(replace(admin, database=_TEMPLATE), MASTER_KEY)
        yield admin


@pytest.fixture
async def database(server: ConnectParameters) -> AsyncIterator[Database]:
    name = f"test_{next(_numbers)}"
    await _execute(server, f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE}")
    await _execute(replace(server, database=name), f"GRANT CREATE, CONNECT ON DATABASE {name} TO upshot_owner")
    yield Database(replace(server, database=name))
    await _execute(server, f"DROP DATABASE {name} WITH (FORCE)")


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


async def _execute(parameters: ConnectParameters, statement: str) -> None:
    connection = await connect(parameters)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
