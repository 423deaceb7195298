"""`pattern: {…}`: an EventBridge event pattern over the event as a CloudEvent (`type`, `source`, `subject`, `data`, …)."""

from collections.abc import Mapping, Sequence

from shared.domain.errors import Flaw, InvalidInput
from shared.matching import parse_pattern
from shared.workflows.triggers import OnEvent


class PatternTrigger:
    """Starts on events that the pattern matches."""

    key = "pattern"

    def flaws(self, value: object) -> Sequence[Flaw]:
        if not isinstance(value, Mapping):
            return [Flaw(pointer="#", detail="an event pattern is an object whose leaves are lists")]
        try:
            parse_pattern(value)
        except InvalidInput as error:
            return error.flaws or [Flaw(pointer="#", detail=error.title)]
        return []

    def start(self, value: object, *, zone: str) -> OnEvent:
        del zone
        if not isinstance(value, Mapping):
            raise InvalidInput("not an event pattern", self.flaws(value))
        return OnEvent(pattern=value)


TRIGGER = PatternTrigger()
