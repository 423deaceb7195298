"""From rows back to what a fold takes over. Pure.

Guarantee: a fold that is restored from these goes on exactly as the one that wrote them would have.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import orjson

from shared.domain.runs.resting import is_idle, pack
from shared.domain.runs.state import Activity, ActivityKey, Run, Usage
from shared.domain.windows import Window, WindowKey
from shared.readmodel.rows import RUN_STATE, WINDOW_STATES


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """How far one partition of a topic is projected. `next`: the next offset; `now`: the fold's time there."""

    topic: str
    partition: int
    next: int
    now: datetime | None
    fold_version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What `RunsFold.restore` takes: `fold.restore(s.runs, s.activities, s.usage, s.now, s.windows)`.

    `next` is the offset to go on from. `now` is None where nothing was ever folded.
    """

    partition: int
    next: int
    now: datetime | None
    runs: tuple[Run, ...] = ()
    activities: Mapping[ActivityKey, Activity] = field(default_factory=dict)
    usage: Mapping[str, Usage] = field(default_factory=dict)
    windows: tuple[tuple[WindowKey, Window], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowsSnapshot:
    """What triggers remember of one partition. `next`: the offset of `upshot.runs` to go on from."""

    next: int
    now: datetime | None
    windows: tuple[tuple[WindowKey, Window], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalDue:
    """An approval that nobody has decided by its deadline."""

    tenant_id: str
    approval_id: str
    run_id: str
    workflow_id: str
    workflow_name: str
    partition: int
    requested_at: datetime
    expires_at: datetime


class Fields(Protocol):
    """A row of asyncpg's, by column."""

    def __getitem__(self, name: str, /) -> Any:  # typed by the statement that asked for it
        ...


def snapshots_of(
    partitions: Iterable[int],
    checkpoints: Iterable[Fields],
    runs: Iterable[Fields],
    counts: Iterable[Fields],
    cooldowns: Iterable[Fields],
    months: Iterable[Fields],
    windows: Iterable[Fields],
) -> dict[int, Snapshot]:
    """A snapshot a partition, from the rows of the statements of the same names in `service_sql.py`."""
    wanted = set(partitions)
    states = defaultdict(list)
    for row in runs:
        run = RUN_STATE.validate_json(row["state"])
        if is_idle(run):
            pack([run])  # one by one: parsed, all of them would not go into memory
        states[row["partition"]].append(run)
    activities: dict[int, dict[ActivityKey, Activity]] = {partition: {} for partition in wanted}
    for row in counts:
        activities[row["partition"]][row["tenant_id"], row["scope"]] = Activity(
            day=row["day"],
            runs_today=row["runs_today"],
            quarters=dict(orjson.loads(row["quarters"])) if row["quarters"] is not None else {},
            cooldown_seconds=row["cooldown_seconds"],
        )
    for row in cooldowns:
        activity = activities[row["partition"]].setdefault((row["tenant_id"], row["scope"]), Activity())
        activity.cooldowns[row["key"].decode("utf-8", "surrogatepass")] = row["admitted_at"]
    usage: dict[int, dict[str, Usage]] = {partition: {} for partition in wanted}
    for row in months:
        usage[row["partition"]][row["tenant_id"]] = Usage(month=row["month"], runs=row["runs"])
    watched = _windows(windows)
    return {
        row["partition"]: Snapshot(
            partition=row["partition"],
            next=row["next"],
            now=row["now"],
            runs=in_order(states[row["partition"]]),
            activities=activities[row["partition"]],
            usage=usage[row["partition"]],
            windows=tuple(watched[row["partition"]]),
        )
        for row in checkpoints
        if row["partition"] in wanted
    }


def windows_of(
    partitions: Iterable[int], checkpoints: Iterable[Fields], windows: Iterable[Fields]
) -> dict[int, WindowsSnapshot]:
    """The part of `snapshots_of` that a matcher needs."""
    wanted = set(partitions)
    watched = _windows(windows)
    return {
        row["partition"]: WindowsSnapshot(next=row["next"], now=row["now"], windows=tuple(watched[row["partition"]]))
        for row in checkpoints
        if row["partition"] in wanted
    }


def _windows(rows: Iterable[Fields]) -> Mapping[int, list[tuple[WindowKey, Window]]]:
    watched = defaultdict(list)
    for row in rows:
        key = row["key"].decode("utf-8", "surrogatepass")
        named = WindowKey(row["tenant_id"], row["workflow_id"], row["trigger"], key)
        watched[row["partition"]].append((named, WINDOW_STATES[row["kind"]].validate_json(row["state"])))
    return watched


def in_order(runs: Iterable[Run]) -> tuple[Run, ...]:
    """As the log asked for them; those of one record by priority."""
    return tuple(sorted(runs, key=lambda run: (run.positions[0], run.match.priority, run.match.workflow_id, run.id)))
