"""The keystore's rows: one live data key a tenant, wrapped under the master key. The one state that is no fold.

Guarantee: of several processes that need a tenant's first key at once, all get the same one; a destroyed key is gone
from the table for good, its row stays to say so. Commits wait for the disk here: nothing could rebuild these rows.
Next: `shared/runtime/sealing.py` wraps the keys and uses them.
"""

from dataclasses import dataclass

from shared.readmodel.connect import Connection, ConnectParameters, Pool, open_pool
from shared.readmodel.deltas import key_text
from shared.readmodel.errors import AWAY, ReadModelAway

_CONNECTIONS_MAX = 2
_TIMEOUT_SECONDS = 10.0

_LIVE = "SELECT key_id, wrapped FROM keystore.data_keys WHERE tenant_id = $1 AND wrapped IS NOT NULL"
_ONE = "SELECT key_id, wrapped FROM keystore.data_keys WHERE tenant_id = $1 AND key_id = $2"
_ADD = "INSERT INTO keystore.data_keys (tenant_id, key_id, wrapped) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"
_DESTROY = """
UPDATE keystore.data_keys SET wrapped = NULL, destroyed_at = now()
WHERE tenant_id = $1 AND wrapped IS NOT NULL RETURNING key_id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class WrappedKey:
    """A tenant's data key as it is stored; `wrapped` None: destroyed."""

    key_id: str
    wrapped: bytes | None


async def copy_keys(source: Connection, target: Connection) -> int:
    """Put into the target, which has the same master key, what it does not have yet, destroyed ones as such; how many."""
    rows = await source.fetch("SELECT tenant_id, key_id, wrapped, created_at, destroyed_at FROM keystore.data_keys")
    added = "INSERT INTO keystore.data_keys (tenant_id, key_id, wrapped, created_at, destroyed_at) VALUES ($1, $2, $3, $4, $5)"
    await target.executemany(f"{added} ON CONFLICT DO NOTHING", [tuple(row) for row in rows])
    return len(rows)


class Keystore:
    """The table of wrapped data keys, as the service role."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @classmethod
    async def open(cls, service: ConnectParameters) -> "Keystore":
        """Connect as the service role. Raises ReadModelAway while PostgreSQL cannot be reached."""
        try:
            pool = await open_pool(
                service,
                connections_max=_CONNECTIONS_MAX,
                command_timeout_seconds=_TIMEOUT_SECONDS,
                server_settings={"synchronous_commit": "on"},
            )
        except AWAY as error:
            raise ReadModelAway(f"PostgreSQL cannot be reached: {error!r}") from error
        return cls(pool)

    async def close(self) -> None:
        await self._pool.close()

    async def live_key(self, tenant_id: str) -> WrappedKey | None:
        """The key that new secrets of the tenant are sealed with."""
        return await self._one(_LIVE, key_text(tenant_id))

    async def key(self, tenant_id: str, key_id: str) -> WrappedKey | None:
        """A key that something was sealed with once; None: there never was one of this id for this tenant."""
        return await self._one(_ONE, key_text(tenant_id), key_text(key_id))

    async def add_key(self, tenant_id: str, proposed: WrappedKey) -> WrappedKey:
        """Make `proposed` the tenant's live key unless there is one by now; the live key either way."""
        while True:
            live = await self.live_key(tenant_id)
            if live is not None:
                return live
            try:
                await self._pool.execute(_ADD, key_text(tenant_id), proposed.key_id, proposed.wrapped)
            except AWAY as error:
                raise ReadModelAway(f"the keystore: {error!r}") from error

    async def destroy_keys(self, tenant_id: str) -> list[str]:
        """Destroy the tenant's live key; the ids of what was destroyed."""
        try:
            return [row["key_id"] for row in await self._pool.fetch(_DESTROY, key_text(tenant_id))]
        except AWAY as error:
            raise ReadModelAway(f"the keystore: {error!r}") from error

    async def _one(self, statement: str, *arguments: str) -> WrappedKey | None:
        try:
            row = await self._pool.fetchrow(statement, *arguments)
        except AWAY as error:
            raise ReadModelAway(f"the keystore: {error!r}") from error
        return WrappedKey(key_id=row["key_id"], wrapped=row["wrapped"]) if row is not None else None
