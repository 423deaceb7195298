"""From the `schedule:` of a workflow's trigger to a `Schedule`, with every flaw named: where, what, how to mend it.

Guarantee: total. Whatever comes in either parses or raises `InvalidInput` with all that is wrong.
Next: `parse_kinds.py`, the five ways to say when; `schedule.py`, what comes out.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from shared.domain.errors import Flaw, InvalidInput
from shared.schedules.parse_kinds import KINDS, Given, Trouble
from shared.schedules.recurrence import EPOCH
from shared.schedules.schedule import Overlap, Schedule

CATCH_UP_MAX = 100  # after a long downtime a burst of stale firings helps nobody
_COMMON = ("timezone", "overlap", "catch_up_max", "starting_at", "until")
_OVERLAPS: tuple[Overlap, ...] = get_args(Overlap)
_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_OF_A_HOST = frozenset({"localtime", "posixrules", "Factory"})
_VARIANTS = ("posix/", "right/")  # of the same zones, where a host has them
_TITLE = "this is no schedule"
_ONE_KIND = (
    'say when in exactly one way: cron: "0 8 * * MON-FRI", interval: {minutes: 15}, daily: {at: "08:30"}, '
    'weekly: {on: [mon, thu], at: "08:30"} or monthly: {on: last, at: "08:30"}'
)


def parse_schedule(value: object, *, zone: str) -> Schedule:
    """The schedule that `value` describes; `zone` is the workflow's, for when it names none of its own.

    Raises `InvalidInput` with all flaws, their pointers relative to `value`.
    """
    if not isinstance(value, Mapping):
        raise InvalidInput(_TITLE, [Flaw(pointer="#", detail=f"a schedule is an object; {_ONE_KIND}")])
    trouble = Trouble()
    trouble.refuse_unknown("#", value, (*KINDS, *_COMMON))
    starting_at = _instant(value, "starting_at", trouble)
    until = _instant(value, "until", trouble)
    if starting_at is not None and until is not None and until < starting_at:
        trouble.add("#/until", "it ends before `starting_at`; put it later, or leave one of them out")
    given = Given(zone=_zone(value, zone, trouble), origin=starting_at or EPOCH)
    overlap = _overlap(value, trouble)
    catch_up_max = trouble.whole_number("#/catch_up_max", value.get("catch_up_max", 1), 0, CATCH_UP_MAX) or 0
    kinds = [each for each in KINDS if each in value]
    if len(kinds) != 1:
        named = f" (these are {', '.join(kinds)})" if kinds else ""
        trouble.add("#", _ONE_KIND + named)
        raise InvalidInput(_TITLE, trouble.flaws)
    recurrence = KINDS[kinds[0]](value[kinds[0]], given, trouble)
    if trouble.flaws or recurrence is None:
        raise InvalidInput(_TITLE, trouble.flaws)
    return Schedule(
        recurrence=recurrence,
        overlap=overlap,
        catch_up_max=catch_up_max,
        starting_at=starting_at,
        until=until,
    )


def zone_named(name: str) -> ZoneInfo | None:
    """The IANA zone of this name; None where there is none. Names of a host's own files mean something else on the next one."""
    if name in _OF_A_HOST or name.startswith(_VARIANTS):
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def _zone(value: Mapping[object, object], default: str, trouble: Trouble) -> ZoneInfo | None:
    name = value.get("timezone", default)
    zone = zone_named(name) if isinstance(name, str) else None
    if zone is None:
        trouble.add("#/timezone", f"{name!r} is no IANA time zone; name one such as Europe/Paris or UTC")
    return zone


def _overlap(value: Mapping[object, object], trouble: Trouble) -> Overlap:
    said = value.get("overlap", "skip")
    found = next((each for each in _OVERLAPS if each == said), None)
    if found is None:
        trouble.add("#/overlap", f"{said!r}: write allow, skip or queue, for a firing while an earlier run goes on")
    return found or "skip"


def _instant(value: Mapping[object, object], name: str, trouble: Trouble) -> datetime | None:
    said = value.get(name)
    if said is None:
        return None
    if isinstance(said, str) and _RFC_3339.fullmatch(said):
        try:
            return datetime.fromisoformat(said.upper()).astimezone(UTC)
        except (ValueError, OverflowError):
            pass
    trouble.add(f"#/{name}", f'{said!r} is no instant; write date, time and offset, such as "2026-03-01T08:00:00Z"')
    return None
