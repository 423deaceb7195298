"""`event: order.refunded`, a list of types, or `order.*` for all types below a prefix."""

import re
from collections.abc import Sequence

from shared.domain.errors import Flaw
from shared.workflows.triggers import OWN_PREFIX, OnEvent

_TYPE = re.compile(r"[A-Za-z0-9_\-]+(\.[A-Za-z0-9_\-]+)*(\.\*)?|\*")
TYPES_MAX = 50


class EventTrigger:
    """Starts on events of the types that it names."""

    key = "event"

    def flaws(self, value: object) -> Sequence[Flaw]:
        types = _types(value)
        if not types or len(types) > TYPES_MAX:
            return [Flaw(pointer="#", detail=f"name an event type, or a list of 1 to {TYPES_MAX}")]
        mend = "is no event type: dotted words such as order.refunded, or order.* for all below a prefix"
        return [
            Flaw(pointer="#" if isinstance(value, str) else f"#/{index}", detail=f"{each!r} {mend}")
            for index, each in enumerate(types)
            if not isinstance(each, str) or not _TYPE.fullmatch(each)
        ]

    def start(self, value: object, *, zone: str) -> OnEvent:
        del zone
        return OnEvent(pattern={"type": [_clause(str(each)) for each in _types(value)]})


TRIGGER = EventTrigger()


def _types(value: object) -> Sequence[object]:
    if isinstance(value, str):
        return [value]
    return value if isinstance(value, list | tuple) else []


def _clause(event_type: str) -> object:
    if event_type == "*":
        # What happens to a workflow's own schedule or window concerns others only where they name it.
        return {"anything-but": {"prefix": OWN_PREFIX}}
    return {"prefix": event_type.removesuffix("*")} if event_type.endswith(".*") else event_type
