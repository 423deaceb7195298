"""Are two generations equal, and if not, where? Order-independent sums of hashes over whole rows.

Every column of every table follows from the log alone, so every column counts; positions in files (ctid) and the version
of the fold do not. Two generations are comparable at equal checkpoints only.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from shared.readmodel.connect import Pooled
from shared.readmodel.write_sql import TABLES

KEYS_SHOWN = 5
_TIMEOUT_SECONDS = 3600.0  # a table is read whole; a connection's usual bound is for ordinary statements

_SUM = """
SELECT count(*) AS rows, coalesce(sum(hashtextextended(whole::text, 0)::numeric), 0)::text AS hash
FROM {rm}.{table} AS whole
"""
_CHECKPOINTS_SUM = """
SELECT count(*) AS rows, coalesce(sum(hashtextextended((topic, partition, next, now)::text, 0)::numeric), 0)::text AS hash
FROM {rm}.checkpoints WHERE next > 0
"""
_CONTENTS_SUM = """
SELECT count(*) AS rows, coalesce(sum(hashtextextended((ROW({values}))::text, 0)::numeric), 0)::text AS hash
FROM {rm}.{table}
"""
_PLACES = ("partition", '"offset"', "positions")
# What a fold keeps names places, too. The text may hold what PostgreSQL's own JSON type refuses.
_STATE = r"""regexp_replace(state::text, '"(positions|queued_position|opened_offset)":(\[[^]]*\]|[^,}]*)', '', 'g')"""
# Tenant by tenant first, then row by row: the join is small where the sums have already told whose rows differ.
_TENANTS = """
SELECT coalesce(one.tenant_id, other.tenant_id) AS tenant_id
FROM (SELECT tenant_id, count(*) AS rows, sum(hashtextextended(whole::text, 0)::numeric) AS hash
      FROM {one}.{table} AS whole GROUP BY tenant_id) AS one
FULL JOIN (SELECT tenant_id, count(*) AS rows, sum(hashtextextended(whole::text, 0)::numeric) AS hash
           FROM {other}.{table} AS whole GROUP BY tenant_id) AS other USING (tenant_id)
WHERE (one.rows, one.hash) IS DISTINCT FROM (other.rows, other.hash)
ORDER BY 1 LIMIT {limit}
"""
_KEYS = """
SELECT ({keys})::text AS key, one IS NULL AS missing_in_one, other IS NULL AS missing_in_other
FROM (SELECT * FROM {one}.{table} WHERE tenant_id = $1) AS one
FULL JOIN (SELECT * FROM {other}.{table} WHERE tenant_id = $1) AS other USING ({columns})
WHERE one::text IS DISTINCT FROM other::text
ORDER BY 1 LIMIT {limit}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checksum:
    """Of one table."""

    rows: int
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Rows of one tenant that differ, by primary key; at most the first five."""

    table: str
    tenant_id: str
    keys: tuple[str, ...]


async def checksums(connection: Pooled, generation: int) -> dict[str, Checksum]:
    """By table."""
    found = {}
    for table in sorted(TABLES):
        row = await connection.fetchrow(_SUM.format(rm=f"rm_{generation}", table=table), timeout=_TIMEOUT_SECONDS)
        found[table] = Checksum(**row) if row is not None else Checksum(rows=0, hash="0")
    row = await connection.fetchrow(_CHECKPOINTS_SUM.format(rm=f"rm_{generation}"))
    found["checkpoints"] = Checksum(**row) if row is not None else Checksum(rows=0, hash="0")
    return found


async def contents(connection: Pooled, generation: int) -> dict[str, Checksum]:
    """By table, of what does not depend on where in a log the records lie: equal in a copy of the log with other offsets and
    another number of partitions."""
    found = {}
    for table in sorted(TABLES):
        columns = [name for name, _, _ in TABLES[table].columns if name not in _PLACES]
        values = ", ".join(_STATE if name == "state" else name for name in columns)
        query = _CONTENTS_SUM.format(rm=f"rm_{generation}", table=table, values=values)
        row = await connection.fetchrow(query, timeout=_TIMEOUT_SECONDS)
        found[table] = Checksum(**row) if row is not None else Checksum(rows=0, hash="0")
    return found


async def differences(
    connection: Pooled, one: int, other: int, sums_of_other: Mapping[str, Checksum] | None = None
) -> list[Difference]:
    """Where two generations differ: none, or the first few tenants of each table and their first rows.

    `sums_of_other`: its checksums, where they are known already.
    """
    left = await checksums(connection, one)
    right = sums_of_other if sums_of_other is not None else await checksums(connection, other)
    found = []
    for table in [table for table in left if left[table] != right[table]]:
        if table == "checkpoints":
            found.append(Difference(table=table, tenant_id="", keys=()))
        else:
            found += await _differences_in(connection, table, f"rm_{one}", f"rm_{other}")
    return found


async def _differences_in(connection: Pooled, table: str, one: str, other: str) -> list[Difference]:
    keys = TABLES[table].keys
    names = {"table": table, "one": one, "other": other, "limit": KEYS_SHOWN}
    found = []
    for row in await connection.fetch(_TENANTS.format(**names), timeout=_TIMEOUT_SECONDS):
        rows = await connection.fetch(
            _KEYS.format(**names, keys=", ".join(keys[1:]) or "tenant_id", columns=", ".join(keys)),
            row["tenant_id"],
            timeout=_TIMEOUT_SECONDS,
        )
        found.append(Difference(table=table, tenant_id=row["tenant_id"], keys=tuple(each["key"] for each in rows)))
    return found
