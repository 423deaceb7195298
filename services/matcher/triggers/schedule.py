"""`schedule: {cron: "0 8 * * MON-FRI"}`, or `interval`, `daily`, `weekly`, `monthly`: at planned instants.

Each firing is a platform event of its own (`upshot.schedule.fired`), which the run is about.
Next: `shared/schedules`, what can be said; `services/matcher/service/firing.py`, who fires.
"""

from collections.abc import Mapping, Sequence

from shared.domain.errors import Flaw, InvalidInput
from shared.schedules import EPOCH, KINDS, parse_schedule
from shared.workflows.triggers import OnSchedule

_NEVER = (
    "it never comes: none of its months has such a day, or nothing lies between `starting_at` and `until`; name a day that there "
    "is (the last of a month is L in cron, `last` in monthly), or widen the bounds"
)


class ScheduleTrigger:
    """Starts by the clock."""

    key = "schedule"

    def flaws(self, value: object) -> Sequence[Flaw]:
        try:
            schedule = parse_schedule(value, zone="UTC")
        except InvalidInput as error:
            return error.flaws
        if schedule.next_after(EPOCH) is not None or not isinstance(value, Mapping):
            return []
        kind = next((each for each in KINDS if each in value), "")
        return [Flaw(pointer=f"#/{kind}" if kind else "#", detail=_NEVER)]

    def start(self, value: object, *, zone: str) -> OnSchedule:
        return OnSchedule(schedule=parse_schedule(value, zone=zone))


TRIGGER = ScheduleTrigger()
