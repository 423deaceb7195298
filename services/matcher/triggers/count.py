"""`count: {event: authz.denied, times: 5, within_seconds: 600, key: "{{ event.subject }}"}`: the fifth within ten minutes.

By the events' own time: an event counts until `lateness_seconds` after it happened. Whoever completed a count is used up; the
next run needs as many again. The run is about the event that completed the count.
"""

from collections.abc import Mapping, Sequence

from services.matcher.triggers.selecting import (
    mapping_or,
    seconds_flaws,
    selector_flaws,
    selector_pattern,
    text_flaws,
    unknown_fields,
)
from shared.domain.errors import Flaw, InvalidInput
from shared.domain.windows import (
    COUNT_MAX,
    KEY_CHARS_MAX,
    LATENESS_SECONDS,
    LATENESS_SECONDS_MAX,
    LATENESS_SECONDS_MIN,
    WITHIN_SECONDS_MAX,
)
from shared.workflows.triggers import OnCount

_FIELDS = ("event", "pattern", "times", "within_seconds", "key", "lateness_seconds")


class CountTrigger:
    """Starts once so many events of one key have happened within a time."""

    key = "count"

    def flaws(self, value: object) -> Sequence[Flaw]:
        return mapping_or(
            value, _flaws, detail="write {event: <type>, times: <n>, within_seconds: <s>, key: <template>}"
        )

    def start(self, value: object, *, zone: str) -> OnCount:
        del zone
        if not isinstance(value, Mapping) or self.flaws(value):
            raise InvalidInput("no count", self.flaws(value))
        within = int(value["within_seconds"])
        return OnCount(
            pattern=selector_pattern(value),
            times=int(value["times"]),
            within_seconds=within,
            lateness_seconds=int(value.get("lateness_seconds", LATENESS_SECONDS)),
            key=str(value.get("key", "")),
        )


TRIGGER = CountTrigger()


def _flaws(value: Mapping[str, object]) -> list[Flaw]:
    return [
        *unknown_fields(value, _FIELDS),
        *selector_flaws(value),
        *seconds_flaws(value, "times", 2, COUNT_MAX, needed=True),
        *seconds_flaws(value, "within_seconds", 1, WITHIN_SECONDS_MAX, needed=True),
        *seconds_flaws(value, "lateness_seconds", LATENESS_SECONDS_MIN, LATENESS_SECONDS_MAX, needed=False),
        *text_flaws(value, "key", KEY_CHARS_MAX),
    ]
