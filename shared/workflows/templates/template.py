"""A workflow template as a value, and a document made from it. Pure.

Guarantee: filled with nothing it is a document already, because every parameter has a default; a value is put in as what it
is and never becomes syntax of the expression around it.
Next: `read.py`, the shape of the files.
"""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from shared.domain.errors import Flaw, InvalidInput
from shared.schedules import parse_schedule
from shared.workflows.document import pointer_to, written_triggers

ParameterType = Literal["endpoint", "url", "text", "integer", "schedule"]
PLACEHOLDER = re.compile(r"\$\{([a-z][a-z0-9_]*)\}")
VALUE_CHARACTERS_MAX = 2000
# What would end a text, an expression or a line where a value stands inside of one.
_SYNTAX = re.compile(r"""['"`\\{}\r\n]""")
_TITLE = "the template cannot be filled like this"


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """What a user names. `endpoint`: an endpoint's name; `schedule`: the value of a trigger's `schedule`; `minimum` and
    `maximum` are an integer's."""

    name: str
    type: ParameterType
    description: str
    default: str | int | Mapping[str, object]
    minimum: int = 0
    maximum: int = 2**53 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What a run comes to; `tells` names the parameters whose endpoint or URL is called, once for each call, where a run
    waits for a person after that. No `run`: nothing starts."""

    run: Literal["succeeded", "failed", "skipped", "pending_approval"] | None
    tells: tuple[str, ...] = ()
    emits: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """Events (`type`, `subject`, `data`), or the inputs of a run that a person asks for, or that a schedule `fires`; and
    what follows."""

    title: str
    events: tuple[Mapping[str, object], ...] = ()
    inputs: Mapping[str, object] | None = None
    fires: bool = False
    expect: Expected


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkflowTemplate:
    """One template; `document` still has its placeholders. `trial`: values of parameters under which its examples hold and
    play out within seconds."""

    key: str
    name: str
    description: str
    tags: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    document: Mapping[str, object]
    trial: Mapping[str, object]
    examples: tuple[Example, ...]

    @property
    def trigger_kinds(self) -> tuple[str, ...]:
        """The keys of its triggers, each once."""
        return tuple(dict.fromkeys(key for _, trigger in written_triggers(self.document) for key in trigger))


def fill(template: WorkflowTemplate, values: Mapping[str, object]) -> dict[str, object]:
    """The document with `values` in the place of its placeholders, defaults where none is given.

    Raises `InvalidInput`, pointers into `values`. That the document can be saved is `check_document`'s to say.
    """
    known = {each.name: each for each in template.parameters}
    flaws = [_unknown(name, known) for name in values if name not in known]
    for name, parameter in known.items():
        flaws += _flaws(parameter, values[name]) if name in values else []
    if not flaws:
        chosen = {name: values.get(name, each.default) for name, each in known.items()}
        inside = {name for text in texts_of(template.document) for name in _inside(text)}
        flaws = [
            Flaw(
                pointer=pointer_to(name),
                detail="it stands inside a text here; leave out quotes, backslashes, braces and line breaks",
            )
            for name in sorted(inside)
            if _SYNTAX.search(str(chosen[name]))
        ]
    if flaws:
        raise InvalidInput(_TITLE, flaws)
    filled = _filled(template.document, chosen)
    assert isinstance(filled, dict)  # as the document is a mapping
    return filled


def placeholders_of(document: Mapping[str, object]) -> set[str]:
    """The names of all placeholders in it."""
    return {name for text in texts_of(document) for name in PLACEHOLDER.findall(text)}


def texts_of(value: object) -> list[str]:
    """Every text in a JSON value, keys left out."""
    if isinstance(value, str):
        return [value]
    below: Sequence[object] = ()
    if isinstance(value, Mapping):
        below = list(value.values())
    elif isinstance(value, list | tuple):
        below = value
    return [found for each in below for found in texts_of(each)]


def _filled(value: object, chosen: Mapping[str, object]) -> object:
    if isinstance(value, str):
        whole = PLACEHOLDER.fullmatch(value)
        return _filled(chosen[whole[1]], {}) if whole else PLACEHOLDER.sub(lambda found: str(chosen[found[1]]), value)
    if isinstance(value, Mapping):
        return {key: _filled(each, chosen) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_filled(each, chosen) for each in value]
    return value


def _inside(text: str) -> list[str]:
    """The placeholders that are a part of this text only."""
    return [] if PLACEHOLDER.fullmatch(text) else PLACEHOLDER.findall(text)


def _flaws(parameter: Parameter, value: object) -> list[Flaw]:
    place = pointer_to(parameter.name)
    if parameter.type == "schedule":
        try:
            parse_schedule(value, zone="UTC")
        except InvalidInput as error:
            return [Flaw(pointer=place + each.pointer.removeprefix("#"), detail=each.detail) for each in error.flaws]
        return []
    problem = _whole_number_problem(parameter, value) if parameter.type == "integer" else _text_problem(value)
    return [Flaw(pointer=place, detail=f"{value!r}: {problem}")] if problem is not None else []


def _whole_number_problem(parameter: Parameter, value: object) -> str | None:
    low, high = parameter.minimum, parameter.maximum
    fits = isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
    return None if fits else f"a whole number from {low} to {high} is needed"


def _text_problem(value: object) -> str | None:
    if not isinstance(value, str) or not 1 <= len(value) <= VALUE_CHARACTERS_MAX:
        return f"a text of 1 to {VALUE_CHARACTERS_MAX} characters is needed"
    return "a value has no placeholders of its own" if "${" in value else None


def _unknown(name: str, known: Mapping[str, Parameter]) -> Flaw:
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(known)}"
    return Flaw(pointer=pointer_to(name), detail=f"this template has no parameter {name!r}; {hint}")
