"""YAML as others send it: the subset that says the same as JSON, read without recursion.

Guarantee: the value holds only what JSON can hold; no key stands twice in one mapping; nesting, the number of nodes
(each alias counts as all that it repeats: no billion laughs) and the bytes are bounded; tags, merge keys and more than
one document are refused. Scalars are resolved by YAML 1.2's core schema: `no`, `on` and `2026-01-01` are texts.
Everything else is `InvalidInput` with the line, never another exception.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import yaml

from shared.domain.errors import Flaw, InvalidInput
from shared.domain.json_text import DEPTH_MAX, is_kept

YAML_BYTES_MAX = 262_144
NODES_MAX = 20_000

_TITLE = "The body is not usable YAML."
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_TRUES = frozenset({"true", "True", "TRUE"})
_FALSES = frozenset({"false", "False", "FALSE"})
_INTEGER = re.compile(r"[-+]?[0-9]{1,20}")
# Beyond these, nobody who reads JSON as most do would get the same number.
_INTEGER_MIN, _INTEGER_MAX = -(2**63), 2**64 - 1
_OCTAL_OR_HEX = re.compile(r"0o[0-7]{1,21}|0x[0-9a-fA-F]{1,15}")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_LOADER = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader


Place = tuple[str | int, ...]
"""Keys and indices that lead to a value."""


@dataclass(slots=True)
class _Open:
    """A collection whose end has not come. `key`: of a mapping, the key that waits for its value."""

    value: dict[str, object] | list[object]
    anchor: str | None
    line: int
    place: Place = ()
    size: int = 1
    key: str | None = None


@dataclass(slots=True)
class _Builder:
    """Builds the value from parser events on a stack of its own. `lines`, where it is asked for: where each value stands."""

    lines: dict[Place, int] | None = None
    stack: list[_Open] = field(default_factory=list)
    anchors: dict[str, tuple[object, int]] = field(default_factory=dict)
    documents: int = 0
    size: int = 0
    root: object = None

    def take(self, event: yaml.Event) -> None:
        line = event.start_mark.line + 1 if event.start_mark is not None else 0
        match event:
            case yaml.ScalarEvent():
                self._refuse_tag(event.tag, line)
                plain = event.implicit[0] and not event.style  # libyaml says "" where Python says None
                value = _resolved(event.value, line) if plain and not self._awaits_key() else event.value
                self._note(line)
                self._place(value, event.anchor, line, size=1)
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                self._refuse_tag(event.tag, line)
                if self._awaits_key():
                    raise _flaw(line, "a key must be a text")
                if len(self.stack) >= DEPTH_MAX:
                    raise _flaw(line, f"it is nested deeper than {DEPTH_MAX} levels")
                self._note(line)
                empty: dict[str, object] | list[object] = {} if isinstance(event, yaml.MappingStartEvent) else []
                place = self._next_place() if self.lines is not None else ()
                self.stack.append(_Open(empty, event.anchor, line, place))
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                done = self.stack.pop()
                self._place(done.value, done.anchor, done.line, size=done.size)
            case yaml.AliasEvent():
                if event.anchor not in self.anchors:
                    raise _flaw(line, f"the alias *{event.anchor} names nothing that stands complete above it")
                value, size = self.anchors[event.anchor]
                if self._awaits_key() and not isinstance(value, str):
                    raise _flaw(line, "a key must be a text")
                self._note(line)
                self._place(value, None, line, size=size)
            case yaml.DocumentStartEvent():
                self.documents += 1
                if self.documents > 1:
                    raise _flaw(line, "it holds more than one document")

    def _next_place(self) -> Place:
        """Where the value that begins now belongs."""
        if not self.stack:
            return ()
        parent = self.stack[-1]
        return (*parent.place, len(parent.value) if isinstance(parent.value, list) else parent.key or "")

    def _note(self, line: int) -> None:
        """A member stands where its key does, an item where it begins."""
        if self.lines is not None and not (self.stack and isinstance(self.stack[-1].value, dict)):
            self.lines[self._next_place()] = line

    def _awaits_key(self) -> bool:
        return bool(self.stack) and isinstance(self.stack[-1].value, dict) and self.stack[-1].key is None

    def _place(self, value: object, anchor: str | None, line: int, *, size: int) -> None:
        if anchor is not None:
            self.anchors[anchor] = (value, size)
        if not self.stack:
            self.root = value
            return
        parent = self.stack[-1]
        parent.size += size
        if parent.size > NODES_MAX:
            raise _flaw(line, f"it holds more than {NODES_MAX} values, counting what its aliases repeat")
        if isinstance(parent.value, list):
            parent.value.append(value)
        elif parent.key is None:
            self._open_key(parent, str(value), line)
        else:
            parent.value[parent.key] = value
            parent.key = None

    def _open_key(self, parent: _Open, key: str, line: int) -> None:
        if key in parent.value:
            raise _flaw(line, f"the key {key[:100]!r} stands twice in one mapping; keep one")
        if key == "<<":
            raise _flaw(line, "merge keys (<<) are not supported; write the members out")
        parent.key = key
        if self.lines is not None:
            self.lines[(*parent.place, key)] = line

    def _refuse_tag(self, tag: str | None, line: int) -> None:
        if tag is not None and tag != "!":
            raise _flaw(line, f"the tag {tag[:100]!r} is not supported")


def read_yaml(body: bytes) -> object:
    """The value of one YAML document in UTF-8. Raises InvalidInput."""
    return _read(body, _Builder())


def read_yaml_with_lines(body: bytes) -> tuple[object, Mapping[Place, int]]:
    """`read_yaml`, and the line, from 1, of every member and item. What an alias repeats stands where the alias does."""
    lines: dict[Place, int] = {}
    return _read(body, _Builder(lines=lines)), lines


def _read(body: bytes, builder: _Builder) -> object:
    if len(body) > YAML_BYTES_MAX:
        raise InvalidInput(_TITLE, [Flaw(pointer="#", detail=f"it has more than {YAML_BYTES_MAX} bytes; send JSON")])
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as flaw:
        detail = f"it is not UTF-8: byte {flaw.start} cannot be decoded"
        raise InvalidInput(_TITLE, [Flaw(pointer="#", detail=detail)]) from None
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            builder.take(event)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark is not None else 0
        raise _flaw(line, error.problem or "it cannot be parsed") from None
    except yaml.YAMLError as error:
        raise InvalidInput(_TITLE, [Flaw(pointer="#", detail=f"it cannot be parsed: {error}")]) from None
    if builder.documents == 0:
        raise InvalidInput(_TITLE, [Flaw(pointer="#", detail="it is empty; send a document")])
    return builder.root


def _resolved(text: str, line: int) -> object:
    """A plain scalar by YAML 1.2's core schema."""
    if text in _NULLS:
        return None
    if text in _TRUES:
        return True
    if text in _FALSES:
        return False
    if _INTEGER.fullmatch(text) and _INTEGER_MIN <= int(text) <= _INTEGER_MAX:
        return int(text)
    if _OCTAL_OR_HEX.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text):
        number = float(text)
        if math.isinf(number):
            raise _flaw(line, f"{text[:40]} is too large a number")
        if not is_kept(text):
            raise _flaw(
                line, f"{text[:60]} has more digits than a number keeps (whole ones 64 bits); quote or round it"
            )
        return number
    if _NOT_FINITE.fullmatch(text):
        raise _flaw(line, f"{text} is no number that JSON has; quote it if it is a text")
    return text


def _flaw(line: int, detail: str) -> InvalidInput:
    return InvalidInput(_TITLE, [Flaw(pointer="#", detail=f"line {line}: {detail}" if line else detail)])
