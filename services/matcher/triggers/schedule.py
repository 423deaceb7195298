"""`schedule: {cron: "0 8 * * MON-FRI"}`, or `interval`, `daily`, `weekly`, `monthly`: at planned instants.

Each firing is a platform event of its own (`upshot.schedule.fired`), which the run is about.
Next: `shared/schedules`, what can be said; `services/matcher/service/firing.py`, who fires.
"""

from collections.abc import Sequence

from shared.domain.errors import Flaw, InvalidInput
from shared.schedules import parse_schedule
from shared.workflows.triggers import OnSchedule


class ScheduleTrigger:
    """Starts by the clock."""

    key = "schedule"

    def flaws(self, value: object) -> Sequence[Flaw]:
        try:
            parse_schedule(value, zone="UTC")
        except InvalidInput as error:
            return error.flaws
        return []

    def start(self, value: object, *, zone: str) -> OnSchedule:
        return OnSchedule(schedule=parse_schedule(value, zone=zone))


TRIGGER = ScheduleTrigger()
