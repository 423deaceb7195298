"""From JSON to a `Pattern`, with every flaw named: where, what, how to mend it.

Guarantee: total. Whatever comes in either parses or raises `InvalidInput`; a pattern that parses has at most 1,000
alternatives of at most 256 fields, 10,000 in all. The save edge uses the defaults; evaluation of what others saved may ask for
the lenient readings that the reference implementation has.
Next: `parse_operators.py`, the entries of one field.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from shared.domain.errors import Flaw, InvalidInput
from shared.matching.json_text import JsonObject, below, ordered_object, read_json
from shared.matching.numbers import from_python
from shared.matching.parse_operators import OPERATOR_NAMES, read_entries
from shared.matching.pattern import Alternative, FieldPattern, Pattern, alternative_of

ALTERNATIVES_MAX = 1_000
FIELDS_MAX = 256
ENTRIES_MAX = 10_000
"""Fields of all alternatives together: each stands in the index by itself."""
DEPTH_MAX = 100
_TITLE = "the event pattern is not valid"
_OR = "$or"
# Never a field inside a branch of $or: the operators, their comparisons, and names kept free for operators to come.
_RESERVED_IN_BRANCHES = OPERATOR_NAMES | {
    *("=", "<", "<=", ">", ">="),
    *("html", "regex", "not-wildcard", "not-equals-ignore-case"),
    *("date-after", "date-on-or-after", "date-before", "date-on-or-before", "in-date-range"),
    *("ip-address-in-range", "ip-address-not-in-range"),
}

DuplicateKeys = Literal["refuse", "last_wins"]


def parse_pattern(
    source: bytes | str | Mapping[str, Any],  # Any: parsed JSON; its types are checked here
    *,
    duplicate_keys: DuplicateKeys = "refuse",
    legacy_or: bool = False,
) -> Pattern:
    """The pattern that a JSON text, or an already parsed JSON object, describes; raises `InvalidInput`.

    `duplicate_keys="last_wins"`: of entries for one path the last stands, objects with one key are merged. Only a
    text can show duplicates. `legacy_or`: where `$or` cannot be read as alternatives, it is a field of that name.
    """
    if isinstance(source, bytes | str):
        document = read_json(source, title=_TITLE, on_object=ordered_object)
    else:
        document = _from_python(source, "#", depth=0)
    reader = _Reader(refuse_duplicates=duplicate_keys == "refuse", or_is_a_field=False)
    alternatives = reader.read(document)
    if reader.flaws and legacy_or:
        legacy = _Reader(refuse_duplicates=duplicate_keys == "refuse", or_is_a_field=True)
        legacy_alternatives = legacy.read(document)
        if not legacy.flaws:
            return Pattern(legacy_alternatives)
    if reader.flaws:
        raise InvalidInput(_TITLE, reader.flaws)
    return Pattern(alternatives)


_Branch = dict[str, FieldPattern]


class _TooManyEntries(Exception):
    """Reading stops here."""


@dataclass(slots=True)
class _Reader:
    """One reading of one document; collects flaws instead of stopping at the first."""

    refuse_duplicates: bool
    or_is_a_field: bool
    flaws: list[Flaw] = field(default_factory=list)
    entries_left: int = ENTRIES_MAX

    def read(self, document: object) -> tuple[Alternative, ...]:
        if not isinstance(document, JsonObject):
            self._flaw("#", 'a pattern is a JSON object of fields, such as {"type": ["order.created"]}')
            return ()
        try:
            branches = self._object([{}], document, path=None, pointer="#", inside_or=False, depth=0)
        except _TooManyEntries:
            self._flaw("#", f"its alternatives have more than {ENTRIES_MAX} fields together; split the pattern")
            return ()
        for branch in branches:
            if len(branch) > FIELDS_MAX:
                self._flaw("#", f"{len(branch)} fields have to hold together; at most {FIELDS_MAX} may")
                break
        return tuple(alternative_of(branch.values()) for branch in branches)

    def _object(
        self, branches: list[_Branch], node: JsonObject, *, path: str | None, pointer: str, inside_or: bool, depth: int
    ) -> list[_Branch]:
        if not node.members:
            self._flaw(pointer, "an empty object says nothing; name a field in it, or leave it out")
        if depth > DEPTH_MAX:
            self._flaw(pointer, f"nested more than {DEPTH_MAX} levels deep")
            return branches
        seen: set[str] = set()
        for key, value in node.members:
            here = below(pointer, key)
            if key in seen and self.refuse_duplicates:
                self._flaw(here, f"the key {key!r} appears twice; merge the two")
            seen.add(key)
            if key == _OR and not self.or_is_a_field:
                branches = self._alternatives(branches, value, path=path, pointer=here, depth=depth)
                continue
            if inside_or and key in _RESERVED_IN_BRANCHES:
                self._flaw(here, f"{key!r} is an operator's name and no field in a branch of $or; wrap it in its field")
                continue
            joined = sys.intern(key if path is None else f"{path}.{key}")  # few paths, many patterns
            if isinstance(value, JsonObject):
                branches = self._object(
                    branches, value, path=joined, pointer=here, inside_or=inside_or, depth=depth + 1
                )
            elif isinstance(value, list):
                self._field(branches, joined, value, here)
            else:
                self._flaw(here, "a field's values stand in an array: write [value], or an object to go deeper")
        return branches

    def _field(self, branches: list[_Branch], path: str, entries: list[object], pointer: str) -> None:
        operators, or_absent = read_entries(entries, pointer, self._flaw)
        found = FieldPattern(path=path, operators=operators, or_absent=or_absent, pointer=pointer)
        self._spend(len(branches))
        if self.refuse_duplicates and any(path in branch for branch in branches):
            self._flaw(pointer, f"the field {path!r} is described twice; merge the two")
        for branch in branches:
            branch[path] = found

    def _alternatives(
        self, branches: list[_Branch], value: object, *, path: str | None, pointer: str, depth: int
    ) -> list[_Branch]:
        if not isinstance(value, list):
            self._flaw(pointer, "$or takes an array of two or more objects")
            return branches
        if len(value) < 2:
            self._flaw(pointer, "$or takes at least two objects; with one, write its fields directly")
        unfolded: list[_Branch] = []
        for index, branch in enumerate(value):
            here = f"{pointer}/{index}"
            if not isinstance(branch, JsonObject):
                self._flaw(here, "each branch of $or is an object of fields")
                continue
            self._spend(sum(map(len, branches)))
            copies = [dict(known) for known in branches]
            unfolded += self._object(copies, branch, path=path, pointer=here, inside_or=True, depth=depth + 1)
            if len(unfolded) > ALTERNATIVES_MAX:
                self._flaw(pointer, f"more than {ALTERNATIVES_MAX} combinations of $or branches; split the pattern")
                return branches
        return unfolded or branches

    def _spend(self, entries: int) -> None:
        """Before they are made: unfolding multiplies."""
        self.entries_left -= entries
        if self.entries_left < 0:
            raise _TooManyEntries

    def _flaw(self, pointer: str, detail: str) -> None:
        self.flaws.append(Flaw(pointer=pointer, detail=detail))


def _from_python(value: object, pointer: str, *, depth: int) -> object:
    """Parsed JSON in the shape that reading text yields."""
    if depth > 2 * DEPTH_MAX:
        raise InvalidInput(_TITLE, [Flaw(pointer=pointer, detail="nested too deeply; flatten it")])
    match value:
        case None | bool() | str():
            return value
        case int():
            return from_python(value)
        case float() if value - value == 0:  # neither infinite nor NaN
            return from_python(value)
        case list():
            return [_from_python(item, f"{pointer}/{index}", depth=depth + 1) for index, item in enumerate(value)]
        case Mapping():
            members: list[tuple[str, Any]] = []
            for key, member in value.items():
                if not isinstance(key, str):
                    detail = f"the key {key!r} is no string; quote it"
                    raise InvalidInput(_TITLE, [Flaw(pointer=pointer, detail=detail)])
                members.append((key, _from_python(member, below(pointer, key), depth=depth + 1)))
            return JsonObject(tuple(members))
    detail = f"{type(value).__name__} {value!r} is no JSON value; write it as a string or a number"
    raise InvalidInput(_TITLE, [Flaw(pointer=pointer, detail=detail)])
