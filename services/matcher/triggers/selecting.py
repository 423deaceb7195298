"""Which events a window is about: `event`, `pattern` or both, as a trigger of its own says them."""

from collections.abc import Callable, Mapping, Sequence

from services.matcher.triggers.event import TRIGGER as EVENT
from services.matcher.triggers.pattern import TRIGGER as PATTERN
from shared.domain.errors import Flaw, InvalidInput
from shared.workflows.triggers import EventPattern, merge_patterns

_KINDS = (EVENT, PATTERN)


def selector_flaws(value: Mapping[str, object], *, at: str = "#") -> list[Flaw]:
    """What is wrong with the `event` and `pattern` in `value`, which lies at `at`."""
    named = [kind for kind in _KINDS if kind.key in value]
    if not named:
        return [Flaw(pointer=at, detail="say which events: `event: <type>`, `pattern: {…}`, or both")]
    flaws = [
        Flaw(pointer=f"{at}/{kind.key}{flaw.pointer.removeprefix('#')}", detail=flaw.detail)
        for kind in named
        for flaw in kind.flaws(value[kind.key])
    ]
    if flaws:
        return flaws
    try:
        selector_pattern(value)
    except InvalidInput as error:
        return [Flaw(pointer=at + each.pointer.removeprefix("#"), detail=each.detail) for each in error.flaws]
    return []


def selector_pattern(value: Mapping[str, object]) -> EventPattern:
    """The one pattern that they make. Raises `InvalidInput` where both name the same field."""
    return merge_patterns(
        {kind.key: kind.start(value[kind.key], zone="UTC").pattern for kind in _KINDS if kind.key in value}
    )


def seconds_flaws(value: Mapping[str, object], name: str, low: int, high: int, *, needed: bool) -> list[Flaw]:
    """`name` in `value` must be a whole number from `low` to `high`."""
    if name not in value and not needed:
        return []
    found = value.get(name)
    if isinstance(found, int) and not isinstance(found, bool) and low <= found <= high:
        return []
    return [Flaw(pointer=f"#/{name}", detail=f"write a whole number from {low} to {high}")]


def text_flaws(value: Mapping[str, object], name: str, length_max: int, *, at: str = "#") -> list[Flaw]:
    """`name` in `value`, if it is there, must be a text of at most `length_max` characters."""
    found = value.get(name, "")
    if isinstance(found, str) and len(found) <= length_max:
        return []
    return [Flaw(pointer=f"{at}/{name}", detail=f"write a template of at most {length_max} characters")]


def unknown_fields(value: Mapping[str, object], known: Sequence[str], *, at: str = "#") -> list[Flaw]:
    """A flaw for each field that nobody reads."""
    detail = f"there is no such field here; known are {', '.join(known)}"
    return [Flaw(pointer=f"{at}/{name}", detail=detail) for name in value if name not in known]


def mapping_or(value: object, flaws: Callable[[Mapping[str, object]], list[Flaw]], *, detail: str) -> list[Flaw]:
    """The flaws of `value` where it is an object, else that it is none."""
    return flaws(value) if isinstance(value, Mapping) else [Flaw(pointer="#", detail=detail)]
