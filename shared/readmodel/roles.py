"""The three roles, made or mended by an administrator's connection: the embedded superuser or whoever may create roles.

Guarantee: none of them is superuser or passes row-level security; doing it again changes nothing. Roles belong to a
whole PostgreSQL cluster: two Upshots with different master keys need two clusters.
Next: `bootstrap.py`.
"""

import asyncpg

from shared.readmodel.connect import (
    API,
    OWNER,
    ROLES,
    Connection,
    ConnectParameters,
    as_role,
    connect,
    role_credentials,
)

_ATTRIBUTES = "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION"

# Roles are cluster-wide, so a bootstrap of a neighbouring database may be doing the same right now.
_CREATE = """
DO $block$ BEGIN
    CREATE ROLE {role} {attributes};
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $block$
"""

_OWNER_MAY_CREATE = "SELECT has_database_privilege(current_database(), 'CREATE')"

# The tenant API reads, briefly.
_API_DEFAULTS = {
    "default_transaction_read_only": "on",
    "statement_timeout": "10s",
    "idle_in_transaction_session_timeout": "10s",
}


async def roles_are_ready(database: ConnectParameters, master_key: bytes) -> bool:
    """Whether every role can log in with the password of this master key, and the owner can work in this database."""
    for role in ROLES:
        try:
            connection = await connect(as_role(database, master_key, role))
        except (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InsufficientPrivilegeError):
            return False
        try:
            if role == OWNER and not await connection.fetchval(_OWNER_MAY_CREATE):
                return False
        finally:
            await connection.close()
    return True


async def ensure_roles(admin: Connection, master_key: bytes) -> None:
    """Make the roles, give them their passwords, and let the owner work in this database."""
    for role in ROLES:
        await admin.execute(_CREATE.format(role=role, attributes=_ATTRIBUTES))
        # Names and verifiers are of our own making: no quote can stand in them.
        verifier = role_credentials(master_key, role).verifier
        await admin.execute(f"ALTER ROLE {role} LOGIN PASSWORD '{verifier}'")
    for setting, value in _API_DEFAULTS.items():
        await admin.execute(f"ALTER ROLE {API} SET {setting} = '{value}'")
    database = await admin.fetchval("SELECT quote_ident(current_database())")
    await admin.execute(f"GRANT CREATE, CONNECT ON DATABASE {database} TO {OWNER}")
    await admin.execute(f"GRANT CONNECT ON DATABASE {database} TO {', '.join(ROLES)}")
    await admin.execute(f"REVOKE CREATE, TEMPORARY ON DATABASE {database} FROM PUBLIC")
