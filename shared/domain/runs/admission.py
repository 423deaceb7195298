"""Whether a run that is asked for is admitted: loops, depth, cooldown, runs per day. Concurrency comes at the start.

Pure: verdicts follow from what the same partition held before and from what the record carries.
"""

from collections import OrderedDict
from datetime import datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from shared.domain.records import Problem, SourceEvent
from shared.domain.runs.state import Activity
from shared.domain.workflow import DEPTH_MAX, Limits, Match


def refusal(match: Match, event: SourceEvent | None, activity: Activity, now: datetime) -> Problem | None:
    """Why this run is skipped, or None: it is admitted."""
    limits = match.limits
    return (
        _loop(match, event, limits) or _cooldown(match, activity, limits, now) or _runs_per_day(activity, limits, now)
    )


def note_admitted(match: Match, activity: Activity, now: datetime) -> None:
    """Remember an admission for the limits to come."""
    limits = match.limits
    today = local_day(now, limits.zone)
    if activity.day != today:
        activity.day, activity.runs_today = today, 0
    activity.runs_today += 1
    if limits.cooldown_seconds is not None:
        key = match.cooldown_key or ""
        activity.cooldowns[key] = now
        activity.cooldowns.move_to_end(key)
        forget_cooldowns(activity.cooldowns, now - timedelta(seconds=limits.cooldown_seconds))


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


def local_day(now: datetime, zone: str) -> str:
    """The calendar day of an instant in a zone, as `2026-03-01`."""
    return now.date().isoformat() if zone == "UTC" else now.astimezone(_zone(zone)).date().isoformat()


@lru_cache(maxsize=1024)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def _loop(match: Match, event: SourceEvent | None, limits: Limits) -> Problem | None:
    chain = event.causal_chain if event is not None else ()
    if match.workflow_id in chain and not limits.reentrant:
        detail = f"{match.workflow_name} is already in the causal chain of this event; `reentrant: true` would allow it"
        return Problem(kind="loop", detail=detail)
    depth_max = min(limits.max_depth, DEPTH_MAX)
    if len(chain) >= depth_max:
        return Problem(kind="depth", detail=f"{len(chain)} runs led to this event; `max_depth` is {depth_max}")
    return None


def _cooldown(match: Match, activity: Activity, limits: Limits, now: datetime) -> Problem | None:
    if limits.cooldown_seconds is None:
        return None
    if match.cooldown_problem is not None:
        return Problem(kind="cooldown_key", detail=f"the cooldown's key: {match.cooldown_problem}")
    last = activity.cooldowns.get(match.cooldown_key or "")
    if last is None or now - last >= timedelta(seconds=limits.cooldown_seconds):
        return None
    until = last + timedelta(seconds=limits.cooldown_seconds)
    key = f" for {match.cooldown_key!r}" if match.cooldown_key else ""
    return Problem(kind="cooldown", detail=f"last admitted{key} at {last.isoformat()}, next from {until.isoformat()}")


def _runs_per_day(activity: Activity, limits: Limits, now: datetime) -> Problem | None:
    if limits.max_runs_per_day is None or activity.day != local_day(now, limits.zone):
        return None
    if activity.runs_today < limits.max_runs_per_day:
        return None
    detail = f"{activity.runs_today} runs on {activity.day} ({limits.zone}); `max_runs_per_day` is reached"
    return Problem(kind="runs_per_day", detail=detail)
