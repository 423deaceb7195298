"""The one statement that writes a batch, put together from the tables that the batch touches.

One statement is one transaction and one round trip: at 100 small batches a second, BEGIN, COMMIT and a statement a
table would cost more than the rows. Rows come as one array a column (`unnest`), so that the text, and the server's
prepared plan, do not depend on their number. Whatever does not hold (the generation is not current, a checkpoint has
moved) raises inside the statement, which takes all of it back.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from shared.readmodel.array_text import array_text


@dataclass(frozen=True, slots=True)
class Table:
    """How rows of one table are written. Columns are (name, type of the array's elements, cast to the column's type)."""

    name: str
    columns: tuple[tuple[str, str, str], ...]
    keys: tuple[str, ...]
    fixed: tuple[str, ...] = ()
    """Columns that the first row decides for ever; all of them: later rows are ignored."""


def _columns(text: str) -> tuple[tuple[str, str, str], ...]:
    """From `name type[>cast], …`."""
    found = []
    for part in text.split(","):
        name, kind = part.split()
        kind, _, cast = kind.partition(">")
        found.append((name, kind, f"::{cast}" if cast else ""))
    return tuple(found)


EVENTS = Table(
    "events",
    _columns(
        "tenant_id text, event_id text, type text, source text, subject text, time timestamptz, recorded_at timestamptz, "
        'partition int4, "offset" int8, bytes int4, correlation_id text, causation_id text'
    ),
    keys=("tenant_id", "event_id"),
    fixed=("*",),
)

_FIXED_IN_RUNS = (
    *("workflow_id", "workflow_name", "revision", "priority", "event_id", "event_type", "event_subject", "replay_id"),
    *("match_id", "requested_by", "requested_at", "partition", "correlation_id", "causation_id", "traceparent"),
)
RUNS = Table(
    "runs",
    _columns(
        "tenant_id text, run_id text, workflow_id text, workflow_name text, revision int4, priority int4, status text, "
        "reason_kind text, reason text, event_id text, event_type text, event_subject text, replay_id text, "
        "match_id uuid, requested_by text, requested_at timestamptz, started_at timestamptz, ended_at timestamptz, "
        "partition int4, positions text>int8[], correlation_id text, causation_id text, traceparent text, open bool, "
        "summary json, state json"
    ),
    keys=("tenant_id", "run_id"),
    fixed=_FIXED_IN_RUNS,
)

APPROVALS = Table(
    "approvals",
    _columns(
        "tenant_id text, approval_id text, run_id text, workflow_id text, workflow_name text, status text, "
        "requested_at timestamptz, expires_at timestamptz, roles json, quorum int4, self_approval bool, author text, "
        "subject_hash text, decisions json, decided_at timestamptz, decided_by text, partition int4"
    ),
    keys=("tenant_id", "approval_id"),
)
ACTIVITY = Table(
    "activity",
    _columns(
        "tenant_id text, scope text, partition int4, day text, runs_today int4, quarters json, cooldown_seconds int4"
    ),
    keys=("tenant_id", "scope"),
)
COOLDOWNS = Table(
    "cooldowns",
    _columns("tenant_id text, scope text, digest bytea, partition int4, key bytea, admitted_at timestamptz"),
    keys=("tenant_id", "scope", "digest"),
)
MONTHLY_RUNS = Table(
    "monthly_runs",
    _columns("tenant_id text, month text, partition int4, runs int8"),
    keys=("tenant_id", "month"),
)
WINDOWS = Table(
    "windows",
    _columns(
        "tenant_id text, workflow_id text, trigger text, digest bytea, partition int4, key bytea, kind text, state json"
    ),
    keys=("tenant_id", "workflow_id", "trigger", "digest"),
)
COMMANDS = Table(
    "commands",
    _columns(
        "tenant_id text, topic text, command_id text, payload_hash text, status int4, body json, decided_at timestamptz"
    ),
    keys=("tenant_id", "topic", "command_id"),
)
TENANTS = Table(
    "tenants",
    _columns(
        "tenant_id text, name text, plan text, created_at timestamptz, version int4, workflows_max int4, "
        "runs_per_month_max int8"
    ),
    keys=("tenant_id",),
)
SOURCES = Table(
    "sources",
    _columns(
        "tenant_id text, source_id text, name text, vendor text, settings json, secrets json, created_at timestamptz"
    ),
    keys=("tenant_id", "source_id"),
)
ENDPOINTS = Table(
    "endpoints",
    _columns(
        "tenant_id text, endpoint_id text, name text, url text, secrets json, created_at timestamptz, revision int4, "
        "disabled_reason text"
    ),
    keys=("tenant_id", "endpoint_id"),
)
WORKFLOWS = Table(
    "workflows",
    _columns("tenant_id text, workflow_id text, name text, enabled bool, revision int4, archived bool"),
    keys=("tenant_id", "workflow_id"),
)
WORKFLOW_REVISIONS = Table(
    "workflow_revisions",
    _columns(
        "tenant_id text, workflow_id text, revision int4, document json, steps json, high_risk bool, author text, "
        "saved_at timestamptz, changes text"
    ),
    keys=("tenant_id", "workflow_id", "revision"),
    fixed=("*",),
)

TABLES = {
    each.name: each
    for each in (
        EVENTS,
        RUNS,
        APPROVALS,
        ACTIVITY,
        COOLDOWNS,
        MONTHLY_RUNS,
        WINDOWS,
        COMMANDS,
        TENANTS,
        SOURCES,
        ENDPOINTS,
        WORKFLOWS,
        WORKFLOW_REVISIONS,
    )
}

OLD_COOLDOWNS = "old_cooldowns"
"""Not a table: up to which instant a scope's cooldowns are deleted, in the statement that adds the new ones."""

# Plain data-modifying parts of one statement see the same snapshot and touch each row at most once: a key that is
# admitted again is left to the upsert.
_OLD_COOLDOWNS = """
deleted_cooldowns AS (
    DELETE FROM {rm}.cooldowns AS cooldown USING unnest({arrays}) AS old (tenant_id, scope, until)
    WHERE cooldown.tenant_id = old.tenant_id AND cooldown.scope = old.scope
      AND cooldown.admitted_at <= old.until{unless_admitted_again}
)"""
_UNLESS_ADMITTED_AGAIN = """
      AND NOT EXISTS (
          SELECT FROM new_cooldowns AS new
          WHERE (new.tenant_id, new.scope, new.digest)
              = (cooldown.tenant_id, cooldown.scope, cooldown.digest))"""
_OLD_COOLDOWNS_TYPES = ("text", "text", "timestamptz")

OLD_WINDOWS = "old_windows"
"""Not a table: the windows that are forgotten. No window is both written and forgotten in one batch."""

_OLD_WINDOWS = """
deleted_windows AS (
    DELETE FROM {rm}.windows AS gone USING unnest({arrays}) AS old (tenant_id, workflow_id, trigger, digest)
    WHERE (gone.tenant_id, gone.workflow_id, gone.trigger, gone.digest)
        = (old.tenant_id, old.workflow_id, old.trigger, old.digest)
)"""
_OLD_WINDOWS_TYPES = ("text", "text", "text", "bytea")

_JSON_COLUMNS: Mapping[str | None, frozenset[int]] = {
    name: frozenset(at for at, (_, kind, _) in enumerate(table.columns) if kind == "json")
    for name, table in TABLES.items()
}

_MOVE_TYPES = ("text", "int4", "int8", "int8", "timestamptz")

# FOR SHARE waits for a switch of generations and then sees what became of it, whatever this statement's snapshot says.
_POINTER = """
pointer AS MATERIALIZED (
    SELECT FROM readmodel.current WHERE generation = {generation} AND fold_version = {version} FOR SHARE
)"""
_MOVED = """
moved AS (
    UPDATE {rm}.checkpoints AS checkpoint SET next = move.next, now = greatest(move.now, checkpoint.now)
    FROM unnest({arrays}) AS move (topic, partition, start, next, now)
    WHERE checkpoint.topic = move.topic AND checkpoint.partition = move.partition AND checkpoint.next = move.start
      AND checkpoint.fold_version = {version}
    RETURNING 1
)"""
_CHECK = "SELECT readmodel.refuse_unless({pointer}, (SELECT count(*) FROM moved), cardinality($1::text::text[]))"

_UPSERT = """
new_{table} AS (SELECT * FROM unnest({arrays}) AS new ({names})),
written_{table} AS (
    INSERT INTO {rm}.{table} ({names}) SELECT {values} FROM new_{table} ON CONFLICT ({keys}) DO {action}
)"""

NOT_OWNER = "UP001"
"""SQLSTATE: a checkpoint does not stand where the write begins."""
STALE_GENERATION = "UP002"
"""SQLSTATE: another generation is current by now."""


@lru_cache(maxsize=512)
def write_statement(generation: int, version: int, tables: tuple[str, ...], *, check_pointer: bool) -> str:
    """The statement for a batch that touches `tables`, whose parameters are `column_arrays`."""
    rm = f"rm_{generation}"
    numbering = _Numbering()
    parts = [_MOVED.format(rm=rm, arrays=numbering.arrays(_MOVE_TYPES), version=version)]
    if check_pointer:
        parts.append(_POINTER.format(generation=generation, version=version))
    for name in tables:
        if name == OLD_COOLDOWNS:
            unless = _UNLESS_ADMITTED_AGAIN if COOLDOWNS.name in tables else ""
            arrays = numbering.arrays(_OLD_COOLDOWNS_TYPES)
            parts.append(_OLD_COOLDOWNS.format(rm=rm, arrays=arrays, unless_admitted_again=unless))
        elif name == OLD_WINDOWS:
            parts.append(_OLD_WINDOWS.format(rm=rm, arrays=numbering.arrays(_OLD_WINDOWS_TYPES)))
        else:
            table = TABLES[name]
            arrays = numbering.arrays([kind for _, kind, _ in table.columns])
            parts.append(_upsert(rm, table, arrays))
    pointer = "EXISTS (SELECT FROM pointer)" if check_pointer else "true"
    return f"WITH {','.join(parts)}\n{_CHECK.format(pointer=pointer)}"


def column_arrays(rows: Iterable[Sequence[object]], table: str | None = None) -> list[str]:
    """One array's text a column: the statement's parameters are those of the moves, then those of each table in its order."""
    json = _JSON_COLUMNS.get(table, frozenset())
    return [array_text(column, json=at in json) for at, column in enumerate(zip(*rows, strict=True))]


def _upsert(rm: str, table: Table, arrays: str) -> str:
    names = ", ".join(name for name, _, _ in table.columns)
    values = ", ".join(name + cast for name, _, cast in table.columns)
    changing = ", ".join(
        f"{name} = excluded.{name}" for name, _, _ in table.columns if name not in table.keys + table.fixed
    )
    names_only = {"rm": rm, "table": table.name, "names": names, "values": values, "arrays": arrays}
    action = "NOTHING" if "*" in table.fixed else f"UPDATE SET {changing}"
    return _UPSERT.format(**names_only, keys=", ".join(table.keys), action=action)


class _Numbering:
    """Hands out $1, $2, …"""

    def __init__(self) -> None:
        self._used = 0

    def arrays(self, types: Sequence[str]) -> str:
        first = self._used + 1
        self._used += len(types)
        return ", ".join(f"${first + index}::text::{kind}[]" for index, kind in enumerate(types))
