"""From an empty database to one that services can work with: roles, migrations, the log's schema, a first generation.

Guarantee: safe to run at every start and from several processes at once; where all is in place it takes three
log-ins and two reads, needs no administrator, and loads no migration tool.
Next: `store.py` works on what is made here.
"""

from collections.abc import Awaitable, Callable, Sequence

from shared.readmodel.connect import OWNER, Connection, ConnectParameters, as_role, connect
from shared.readmodel.migrate import HEAD, installed_revision, migrate
from shared.readmodel.roles import ensure_roles, roles_are_ready
from shared.readmodel.versions import LAYOUT_VERSION, MODEL_VERSION

Install = Callable[[Connection], Awaitable[object]]
"""Installs one more schema over a connection of the owner's; must be repeatable. The log's adapter brings one."""

_LOCK_KEY = 0x5570_73686F74_02


async def bootstrap(admin: ConnectParameters, master_key: bytes, *, install: Sequence[Install] = ()) -> None:
    """Make the database that `admin` names ready. `install` run as the owner, one process at a time."""
    if not await roles_are_ready(admin, master_key):
        await _with_lock(admin, lambda connection: ensure_roles(connection, master_key))
    owner = as_role(admin, master_key, OWNER)
    await migrate(owner)

    async def finish(connection: Connection) -> None:
        await _ensure_first_generation(connection)
        for each in install:
            await each(connection)

    await _with_lock(owner, finish)


async def is_ready(owner: ConnectParameters) -> bool:
    """Whether the newest migration is installed."""
    connection = await connect(owner)
    try:
        return await installed_revision(connection) == HEAD
    finally:
        await connection.close()


async def _with_lock(parameters: ConnectParameters, work: Install) -> None:
    connection = await connect(parameters, application="upshot-bootstrap")
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", _LOCK_KEY)
        await work(connection)
    finally:
        await connection.close()


async def _ensure_first_generation(connection: Connection) -> None:
    if await connection.fetchval("SELECT true FROM readmodel.current"):
        return
    async with connection.transaction():
        await connection.execute("SELECT readmodel.create_generation(1, $1)", LAYOUT_VERSION)
        await connection.execute(
            "INSERT INTO readmodel.current (generation, fold_version) VALUES (1, $1)", MODEL_VERSION
        )
