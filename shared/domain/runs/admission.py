"""Whether a run that is asked for is admitted: loops, depth, cooldowns, runs per day and month. Concurrency: `waiting.py`.

Pure: verdicts follow from what the same partition held before and from what the record carries. Each refusal says the
numbers it was decided on, and from when on the next run would be admitted.
Next: `days.py` for where days and months end.
"""

from collections import OrderedDict
from collections.abc import Sequence
from datetime import datetime, timedelta

from shared.domain.counting import counted
from shared.domain.records import Problem, SourceEvent
from shared.domain.runs.days import QUARTERS_KEPT, day_bounds, local_day, month_of, next_month, quarter_of
from shared.domain.runs.state import Activity, Usage
from shared.domain.workflow import DEPTH_MAX, Limits, Match, SharedLimit


def refusal(
    match: Match,
    event: SourceEvent | None,
    activity: Activity,
    shared: Sequence[Activity],
    usage: Usage,
    now: datetime,
) -> Problem | None:
    """Why this run is skipped, or None: it is admitted. `shared`: the activities of `match.shared`, in that order."""
    limits = match.limits
    refused = (
        _loop(match, event, limits)
        or _cooldown(match, activity, limits, now)
        or _runs_per_day(activity, limits, now)
        or _runs_per_month(match, usage, now)
    )
    if refused is None and shared:
        for limit, each in zip(match.shared, shared, strict=True):
            refused = _shared_cooldown(limit, each, now) or _shared_runs_per_day(limit, each, limits.zone, now)
            if refused is not None:
                return refused
    return refused


def refusal_of_the_first(match: Match, event: SourceEvent | None, now: datetime) -> Problem | None:
    """`refusal` as if no other run had ever been: what would hold this one whatever has been admitted before."""
    return refusal(match, event, Activity(), [Activity() for _ in match.shared], Usage(), now)


def note_admitted(match: Match, activity: Activity, shared: Sequence[Activity], usage: Usage, now: datetime) -> None:
    """Remember an admission for the limits to come."""
    limits = match.limits
    today = local_day(now, limits.zone)
    if activity.day != today:
        activity.day, activity.runs_today = today, 0
    activity.runs_today += 1
    month = month_of(now)
    if usage.month != month:
        usage.month, usage.runs = month, 0
    usage.runs += 1
    if limits.cooldown_seconds is not None:
        _note_cooldown(activity, match.cooldown_key, limits.cooldown_seconds, now)
    for limit, each in zip(match.shared, shared, strict=True):
        _note_shared(limit, each, now)


def forget_cooldowns(cooldowns: OrderedDict[str, datetime], over: datetime) -> list[str]:
    """Forget, and return, the keys whose last admission was at `over` or before.

    What is forgotten depends on the log alone (a later revision with a longer cooldown begins with what its predecessor
    left), so whoever keeps a copy must forget the same.
    """
    forgotten = []
    while cooldowns:
        key, at = next(iter(cooldowns.items()))
        if at > over:
            break
        del cooldowns[key]
        forgotten.append(key)
    return forgotten


def _note_cooldown(activity: Activity, key: str | None, seconds: int, now: datetime) -> None:
    activity.cooldowns[key or ""] = now
    activity.cooldowns.move_to_end(key or "")
    over = now - timedelta(seconds=seconds)
    activity.cooldowns_end = over if activity.cooldowns_end is None else max(over, activity.cooldowns_end)
    forget_cooldowns(activity.cooldowns, over)


def _note_shared(limit: SharedLimit, activity: Activity, now: datetime) -> None:
    quarter = quarter_of(now)
    activity.quarters[quarter] = activity.quarters.get(quarter, 0) + 1
    while (oldest := next(iter(activity.quarters))) <= quarter - QUARTERS_KEPT:
        del activity.quarters[oldest]
    if limit.cooldown_seconds is not None:
        # A short cooldown must not forget what a neighbour's longer one still asks for.
        activity.cooldown_seconds = max(activity.cooldown_seconds, limit.cooldown_seconds)
        _note_cooldown(activity, limit.cooldown_key, activity.cooldown_seconds, now)


def _loop(match: Match, event: SourceEvent | None, limits: Limits) -> Problem | None:
    chain = event.causal_chain if event is not None else ()
    if match.workflow_id in chain and not limits.reentrant:
        detail = f"{match.workflow_name} is already in the causal chain of this event; `reentrant: true` would allow it"
        return Problem(kind="loop", detail=detail)
    depth_max = min(limits.max_depth, DEPTH_MAX)
    if len(chain) >= depth_max:
        return Problem(
            kind="depth", detail=f"{counted(len(chain), 'run')} led to this event; `max_depth` is {depth_max}"
        )
    return None


def _cooldown(match: Match, activity: Activity, limits: Limits, now: datetime) -> Problem | None:
    if limits.cooldown_seconds is None:
        return None
    if match.cooldown_problem is not None:
        return Problem(kind="cooldown_key", detail=f"the cooldown's key: {match.cooldown_problem}")
    cools = _cools(activity, match.cooldown_key, limits.cooldown_seconds, now)
    return Problem(kind="cooldown", detail=cools) if cools is not None else None


def _shared_cooldown(limit: SharedLimit, activity: Activity, now: datetime) -> Problem | None:
    if limit.cooldown_seconds is None:
        return None
    if limit.cooldown_problem is not None:
        detail = f"tag {limit.tag!r}: the cooldown's key: {limit.cooldown_problem}"
        return Problem(kind="shared_cooldown_key", detail=detail)
    cools = _cools(activity, limit.cooldown_key, limit.cooldown_seconds, now)
    return Problem(kind="shared_cooldown", detail=f"tag {limit.tag!r}: {cools}") if cools is not None else None


def _cools(activity: Activity, key: str | None, seconds: int, now: datetime) -> str | None:
    last = activity.cooldowns.get(key or "")
    if last is None or now - last >= timedelta(seconds=seconds):
        return None
    until = last + timedelta(seconds=seconds)
    named = f" for {key!r}" if key else ""
    return f"last admitted{named} at {last.isoformat()}, the cooldown is {seconds} s; the next is {_from(until)}"


def _runs_per_day(activity: Activity, limits: Limits, now: datetime) -> Problem | None:
    if limits.max_runs_per_day is None or activity.day != local_day(now, limits.zone):
        return None
    if activity.runs_today < limits.max_runs_per_day:
        return None
    detail = _day_is_full(activity.runs_today, limits.max_runs_per_day, limits.zone, now)
    return Problem(kind="runs_per_day", detail=detail)


def _shared_runs_per_day(limit: SharedLimit, activity: Activity, zone: str, now: datetime) -> Problem | None:
    if limit.max_runs_per_day is None:
        return None
    first = quarter_of(day_bounds(now, zone)[0])
    today = sum(runs for quarter, runs in activity.quarters.items() if quarter >= first)
    if today < limit.max_runs_per_day:
        return None
    detail = f"tag {limit.tag!r}: {_day_is_full(today, limit.max_runs_per_day, zone, now)}"
    return Problem(kind="shared_runs_per_day", detail=detail)


def _day_is_full(runs: int, bound: int, zone: str, now: datetime) -> str:
    tomorrow = day_bounds(now, zone)[1]
    return (
        f"{counted(runs, 'run')} on {local_day(now, zone)} ({zone}), `max_runs_per_day` is {bound}; "
        f"the next is {_from(tomorrow)}"
    )


def _runs_per_month(match: Match, usage: Usage, now: datetime) -> Problem | None:
    quota = match.quota
    if quota is None:
        return None
    month = month_of(now)
    runs = usage.runs if usage.month == month else 0
    if runs < quota.runs:
        return None
    detail = (
        f"{counted(runs, 'run')} in {month} (UTC), the plan {quota.plan!r} allows {quota.runs}; "
        f"the next is {_from(next_month(now))}"
    )
    return Problem(kind="plan_runs_per_month", detail=detail)


def _from(instant: datetime) -> str:
    return f"admitted from {instant.isoformat()}"
