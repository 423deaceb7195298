"""`absence: {after: {event: order.created}, of: {event: order.paid}, within_seconds: 3600, key: "{{ event.subject }}"}`: what
should have followed did not.

By the events' own time, and certain `lateness_seconds` after the last moment at which it could have followed. A key has one
window at a time: a further `after` while it is open begins no other. The run is about the event that opened it. Where both
match the same event it first closes the window, then opens the next: a heartbeat that is missed.
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
    KEY_CHARS_MAX,
    LATENESS_SECONDS,
    LATENESS_SECONDS_MAX,
    LATENESS_SECONDS_MIN,
    WITHIN_SECONDS_MAX,
)
from shared.workflows.triggers import OnAbsence

_FIELDS = ("after", "of", "within_seconds", "key", "lateness_seconds")
_SIDES = ("after", "of")


class AbsenceTrigger:
    """Starts when something was not followed by something else in time."""

    key = "absence"

    def flaws(self, value: object) -> Sequence[Flaw]:
        wanted = "write {after: {event: <type>}, of: {event: <type>}, within_seconds: <s>, key: <template>}"
        return mapping_or(value, _flaws, detail=wanted)

    def start(self, value: object, *, zone: str) -> OnAbsence:
        del zone
        if not isinstance(value, Mapping) or self.flaws(value):
            raise InvalidInput("no absence", self.flaws(value))
        after, of = value["after"], value["of"]
        return OnAbsence(
            after=_pattern(after),
            of=_pattern(of),
            within_seconds=int(value["within_seconds"]),
            lateness_seconds=int(value.get("lateness_seconds", LATENESS_SECONDS)),
            after_key=str(after.get("key", value.get("key", ""))),
            of_key=str(of.get("key", value.get("key", ""))),
        )


TRIGGER = AbsenceTrigger()


def _pattern(side: Mapping[str, object]) -> Mapping[str, object]:
    return selector_pattern({name: each for name, each in side.items() if name != "key"})


def _flaws(value: Mapping[str, object]) -> list[Flaw]:
    flaws = [*unknown_fields(value, _FIELDS)]
    for name in _SIDES:
        side = value.get(name)
        if not isinstance(side, Mapping):
            flaws.append(Flaw(pointer=f"#/{name}", detail="say which events: {event: <type>}, {pattern: {…}}, or both"))
            continue
        flaws += unknown_fields(side, ("event", "pattern", "key"), at=f"#/{name}")
        flaws += selector_flaws(side, at=f"#/{name}")
        flaws += text_flaws(side, "key", KEY_CHARS_MAX, at=f"#/{name}")
    return [
        *flaws,
        *seconds_flaws(value, "within_seconds", 1, WITHIN_SECONDS_MAX, needed=True),
        *seconds_flaws(value, "lateness_seconds", LATENESS_SECONDS_MIN, LATENESS_SECONDS_MAX, needed=False),
        *text_flaws(value, "key", KEY_CHARS_MAX),
    ]
