"""Generations: read models side by side, of which a pointer names the current one.

Guarantee: one rebuild at a time (a lock that ends with its connection); a killed one leaves a schema that nobody reads
and that the next one removes; the pointer is moved in one transaction, under a lock that every writer respects.
Next: `checksums.py` compares two of them, `services/projector/service/rebuild.py` folds a new one.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from shared.bus.topics import DEFINITIONS, EVENTS, RUNS
from shared.domain.errors import UpshotError
from shared.readmodel.connect import Pooled
from shared.readmodel.versions import LAYOUT_VERSION, MODEL_VERSION

PROJECTED = (DEFINITIONS, EVENTS, RUNS)

_LOCK_KEY = 0x5570_73686F74_03
_LOCK = "SELECT pg_try_advisory_lock($1)"
_UNLOCK = "SELECT pg_advisory_unlock($1)"
_POINTER = "SELECT generation, fold_version FROM readmodel.current"
_SCHEMAS = r"SELECT substr(nspname, 4)::int AS generation FROM pg_namespace WHERE nspname ~ '^rm_\d+$'"
_CREATE = "SELECT readmodel.create_generation($1, $2)"
_DROP = "SELECT readmodel.drop_generation($1)"
_SWITCH = "UPDATE readmodel.current SET generation = $1, fold_version = $2"
_CHECKPOINTS = """
INSERT INTO {rm}.checkpoints (topic, partition, next, fold_version)
SELECT topic, partition, 0, $3 FROM unnest($1::text[]) AS topic, generate_series(0, $2 - 1) AS partition
ON CONFLICT DO NOTHING
"""


class RebuildRunning(UpshotError):
    """Another process is rebuilding, or verifying, right now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pointer:
    """Which generation is current, and what folded it."""

    generation: int
    fold_version: int

    @property
    def comparable(self) -> bool:
        """Whether this version's fold of the same records must give the same rows."""
        return self.fold_version == MODEL_VERSION


@asynccontextmanager
async def rebuilding(connection: Pooled) -> AsyncIterator[None]:
    """While inside, nobody else rebuilds. Raises RebuildRunning."""
    if not await connection.fetchval(_LOCK, _LOCK_KEY):
        raise RebuildRunning("another rebuild is running; only one can")
    try:
        yield
    finally:
        if not connection.is_closed():
            await connection.execute(_UNLOCK, _LOCK_KEY)


async def read_pointer(connection: Pooled, *, hold: bool = False) -> Pointer:
    """The pointer. `hold`: until the transaction's end no writer writes, and what was begun is finished."""
    row = await connection.fetchrow(f"{_POINTER} FOR UPDATE" if hold else _POINTER)
    if row is None:
        raise AssertionError("bootstrap makes a first generation")
    return Pointer(generation=row["generation"], fold_version=row["fold_version"])


async def create_generation(connection: Pooled, partition_count: int) -> int:
    """A new generation, empty, all its checkpoints at 0. Removes every generation that is not current first."""
    current = (await read_pointer(connection)).generation
    existing = [row["generation"] for row in await connection.fetch(_SCHEMAS)]
    for abandoned in existing:
        if abandoned != current:
            await drop_generation(connection, abandoned)
    generation: int = max([current, *existing]) + 1
    await connection.execute(_CREATE, generation, LAYOUT_VERSION)
    await connection.execute(
        _CHECKPOINTS.format(rm=f"rm_{generation}"), list(PROJECTED), partition_count, MODEL_VERSION
    )
    return generation


async def drop_generation(connection: Pooled, generation: int) -> None:
    """Remove one that is not current."""
    await connection.execute(_DROP, generation)


async def switch_to(connection: Pooled, generation: int) -> None:
    """Make it current. Within the transaction that holds the pointer."""
    await connection.execute(_SWITCH, generation, MODEL_VERSION)
