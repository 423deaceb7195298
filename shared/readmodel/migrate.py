"""Bring the schemas up to date. One round trip when they are: Alembic and SQLAlchemy are loaded only if they are not.

Guarantee: several processes may start at once; one migrates, the others wait on an advisory lock and find it done. A
migration that fails leaves nothing behind. Migrations hold what outlives every generation (pointer, keystore, the
function that makes a generation); the tables of a generation are never migrated, they are built anew (`versions.py`).
Next: `migrations/versions/`.
"""

import asyncio
import importlib.resources
import io

import asyncpg

from shared.readmodel.connect import Connection, ConnectParameters, connect

HEAD = "0003"
"""The newest migration's revision; a test compares it with the folder."""

_LOCK_KEY = 0x5570_73686F74_01
# By query: within a transaction `to_regclass` goes on saying no after a neighbour has made it, as it takes no lock on anything.
_IS_THERE = """
SELECT true FROM pg_catalog.pg_class AS relation JOIN pg_catalog.pg_namespace AS schema ON schema.oid = relation.relnamespace
WHERE schema.nspname = 'readmodel' AND relation.relname = 'alembic_version'
"""
_CURRENT = "SELECT version_num FROM readmodel.alembic_version"


async def migrate(parameters: ConnectParameters, *, target: str = "head") -> None:
    """Migrate to `target` ("head", or "base": nothing), as the owner role. Does nothing where head is installed."""
    connection = await connect(parameters, application="upshot-migrate")
    try:
        if target == "head" and await installed_revision(connection) == HEAD:
            return
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK_KEY)
            installed = await installed_revision(connection)
            if target == "head" and installed == HEAD:
                return
            await connection.execute("CREATE SCHEMA IF NOT EXISTS readmodel")
            if installed is None:  # Alembic's offline mode makes its table anew
                await connection.execute("DROP TABLE IF EXISTS readmodel.alembic_version")
            await connection.execute(await asyncio.to_thread(render_sql, installed, target))
    finally:
        await connection.close()


async def installed_revision(connection: Connection) -> str | None:
    """The revision that the database is at; None before the first."""
    if not await connection.fetchval(_IS_THERE):
        return None
    try:
        revision: str | None = await connection.fetchval(_CURRENT)
    except asyncpg.UndefinedTableError:  # taken down by a neighbour in between
        return None
    return revision


def render_sql(installed: str | None, target: str) -> str:
    """The SQL that leads from one revision to another."""
    from alembic import command
    from alembic.config import Config

    buffer = io.StringIO()
    config = Config(output_buffer=buffer)
    config.set_main_option("script_location", str(importlib.resources.files("shared.readmodel") / "migrations"))
    config.set_main_option("path_separator", "os")
    if target == "base":
        command.downgrade(config, f"{installed}:base", sql=True)
    else:
        command.upgrade(config, f"{installed or 'base'}:{target}", sql=True)
    return buffer.getvalue()
