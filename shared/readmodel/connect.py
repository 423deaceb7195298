"""How any process reaches PostgreSQL: parameters, the three roles, and their passwords.

Guarantee: whoever holds the master key can connect as each role, and nothing else has to be handed around; a password
never travels in clear text, nor into a server's log: roles are given SCRAM verifiers, computed here.
Next: `bootstrap.py` makes the roles.
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

import asyncpg
import asyncpg.pool

OWNER = "upshot_owner"
"""Owns every schema and runs the migrations; nothing else connects as it."""
SERVICE = "upshot_service"
"""The services: the log, the projector, whoever restores, the keystore."""
API = "upshot_api"
"""The tenant API's reads: row-level security holds it to the tenant that its transaction names."""

ROLES = (OWNER, SERVICE, API)

# They slow down whoever guesses a password that a person chose. Ours are 256 bits of HMAC output: nobody guesses those,
# and each log-in would pay for them.
_SCRAM_ITERATIONS = 1
_CONNECT_TIMEOUT_SECONDS = 10.0

# asyncpg's classes take parameters in its stubs only, hence the quotes.
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Pooled: TypeAlias = "asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectParameters:
    """Where a database is and as whom to go there. `url` may say it all; what stands beside it overrules it.

    `host` may be the folder of a unix socket.
    """

    url: str | None = None
    host: str | None = None
    port: int | None = None
    database: str | None = None
    user: str | None = None
    password: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleCredentials:
    """One role's name and password; `verifier` is what the server stores of it."""

    role: str
    password: str
    verifier: str


def role_credentials(master_key: bytes, role: str) -> RoleCredentials:
    """The credentials of `role` under this master key, the same in every process."""
    password = _derive(master_key, f"upshot role password: {role}").hex()
    salt = _derive(master_key, f"upshot role salt: {role}")[:16]
    return RoleCredentials(role=role, password=password, verifier=scram_verifier(password, salt, _SCRAM_ITERATIONS))


def as_role(parameters: ConnectParameters, master_key: bytes, role: str) -> ConnectParameters:
    """The same database, as one of Upshot's roles."""
    return replace(parameters, user=role, password=role_credentials(master_key, role).password)


def scram_verifier(password: str, salt: bytes, iterations: int) -> str:
    """What PostgreSQL stores of a password (RFC 5803), so that it need not be told the password itself."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, iterations)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    parts = (base64.b64encode(each).decode() for each in (salt, stored, server))
    return "SCRAM-SHA-256${}:{}${}:{}".format(iterations, *parts)


async def connect(
    parameters: ConnectParameters, *, server_settings: Mapping[str, str] | None = None, application: str = "upshot"
) -> Connection:
    """One connection of its own, outside any pool."""
    return await asyncpg.connect(
        parameters.url,
        host=parameters.host,
        port=parameters.port,
        database=parameters.database,
        user=parameters.user,
        password=parameters.password,
        timeout=_CONNECT_TIMEOUT_SECONDS,
        server_settings={"application_name": application, **(server_settings or {})},
    )


async def open_pool(
    parameters: ConnectParameters,
    *,
    connections_max: int,
    command_timeout_seconds: float,
    server_settings: Mapping[str, str],
) -> Pool:
    """A pool whose connections are opened when they are first needed, but for one."""
    return await asyncpg.create_pool(
        parameters.url,
        host=parameters.host,
        port=parameters.port,
        database=parameters.database,
        user=parameters.user,
        password=parameters.password,
        min_size=1,
        max_size=connections_max,
        timeout=_CONNECT_TIMEOUT_SECONDS,
        command_timeout=command_timeout_seconds,
        server_settings={"application_name": "upshot", **server_settings},
        reset=_keep_session,
    )


async def _keep_session(connection: object) -> None:
    """No statement of ours leaves anything in a session, so none is reset: that was a round trip a borrowing."""


def _derive(master_key: bytes, purpose: str) -> bytes:
    return hmac.digest(master_key, purpose.encode(), "sha256")
