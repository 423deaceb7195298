"""The kernel of schedules, pure: read a workflow's `schedule:` once, ask when it comes next and what was missed.

    schedule = parse_schedule({"cron": "0 8 * * MON-FRI"}, zone="Europe/Paris")
    schedule.next_after(instant); schedule.missed(since, until, at_most=schedule.catch_up_max)

Start at `parse.py` for what can be said, `clock_changes.py` for what it means when clocks are put forward or back.
"""

from shared.schedules.parse import CATCH_UP_MAX, parse_schedule, zone_named
from shared.schedules.parse_kinds import INTERVAL_SECONDS_MAX, INTERVAL_SECONDS_MIN, KINDS, TIMES_MAX
from shared.schedules.recurrence import EPOCH
from shared.schedules.schedule import Overlap, Schedule

__all__ = [
    "CATCH_UP_MAX",
    "EPOCH",
    "INTERVAL_SECONDS_MAX",
    "INTERVAL_SECONDS_MIN",
    "KINDS",
    "TIMES_MAX",
    "Overlap",
    "Schedule",
    "parse_schedule",
    "zone_named",
]
