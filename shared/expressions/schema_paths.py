"""Whether a path can exist in data that a JSON Schema describes, and of which type its value may be.

Guarantee: a path is called absent only where the schema, read generously, has no place for it: what this reader does
not understand (remote references, `if`, patterns of names) counts as open. An object that declares `properties` and
does not say `additionalProperties: true` is taken at its word; one that declares none is open.
Next: `conditions.py` refuses conditions over absent paths when a workflow is saved.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final, TypeAlias

from shared.expressions.cel_paths import Path

Schema: TypeAlias = Mapping[str, object] | bool

_VISITS_MAX: Final = 2_000
_DEPTH_MAX: Final = 32
_DEPENDS_ON_DATA: Final = frozenset({"if", "dependentSchemas", "patternProperties", "$dynamicRef", "propertyNames"})


def absent_segment(schema: Schema, path: Path) -> int | None:
    """The index of the first segment of `path` for which the schema has no place; None: the path can exist."""
    reader = _Reader(root=schema)
    places: list[Schema] = [schema]
    for index, segment in enumerate(path):
        below = reader.below_any(places, segment)
        if below is None:
            return None
        if not below:
            return index
        places = below
    return None


def may_hold(schema: Schema, path: Path, kinds: Collection[str]) -> bool:
    """Whether a value of one of these JSON Schema types can stand there."""
    reader = _Reader(root=schema)
    places: Places = [schema]
    for segment in path:
        places = reader.below_any(places, segment) if places is not None else None
    return places is None or any(reader.may_be(place, kinds) for place in places)


def suggestion(schema: Schema, path: Path, index: int) -> str | None:
    """A declared name that looks like the absent segment `path[index]`."""
    reader = _Reader(root=schema)
    places: Places = [schema]
    for segment in path[:index]:
        places = reader.below_any(places or [], segment)
    names = {name for place in places or [] for name in reader.names(place)}
    matches = get_close_matches(str(path[index]), sorted(names), n=1)
    return matches[0] if matches else None


Places: TypeAlias = list[Schema] | None
"""The schemas of what can lie somewhere: [] nothing can, None anything may."""


@dataclass(slots=True, kw_only=True)
class _Reader:
    """Walks one schema; after `_VISITS_MAX` steps or `_DEPTH_MAX` references in a row (they may loop and fan out) it
    calls the rest open."""

    root: Schema
    visits: int = 0

    def below_any(self, places: list[Schema], segment: str | int, depth: int = 0) -> Places:
        """Below whichever of `places` holds."""
        found: list[Schema] = []
        for place in places:
            below = self.below(place, segment, depth)
            if below is None:
                return None
            found.extend(below)
        return found

    def below(self, place: Schema, segment: str | int, depth: int) -> Places:
        self.visits += 1
        if isinstance(place, bool):
            return None if place else []
        if self.visits > _VISITS_MAX or depth > _DEPTH_MAX or _DEPENDS_ON_DATA & place.keys():
            return None
        if not _may_be(place, "object" if isinstance(segment, str) else "array"):
            return []  # a name in a list or an index into text: a type clash whenever it is evaluated
        views = [_own(place, segment)]
        if isinstance(reference := place.get("$ref"), str):
            views.append(self.below(_resolve(reference, self.root), segment, depth + 1))
        views.extend(self.below(sub, segment, depth + 1) for sub in _schemas(place.get("allOf")))
        views.extend(
            self.below_any(alternatives, segment, depth + 1)
            for word in ("anyOf", "oneOf")
            if (alternatives := _schemas(place.get(word)))
        )
        # All views hold at once. Those that say nothing of names add nothing; where none says anything, all is open.
        saying = [view for view in views if view is not None]
        return [sub for view in saying for sub in view] if saying else None

    def may_be(self, place: Schema, kinds: Collection[str], depth: int = 0) -> bool:
        self.visits += 1
        if isinstance(place, bool):
            return place
        if self.visits > _VISITS_MAX or depth > _DEPTH_MAX or _DEPENDS_ON_DATA & place.keys():
            return True
        reference = place.get("$ref")
        together = [_resolve(reference, self.root)] if isinstance(reference, str) else []
        together += _schemas(place.get("allOf"))
        choices = [alternatives for word in ("anyOf", "oneOf") if (alternatives := _schemas(place.get(word)))]
        return (
            any(_may_be(place, kind) for kind in kinds)
            and all(self.may_be(each, kinds, depth + 1) for each in together)
            and all(any(self.may_be(each, kinds, depth + 1) for each in alternatives) for alternatives in choices)
        )

    def names(self, place: Schema, depth: int = 0) -> set[str]:
        self.visits += 1
        if isinstance(place, bool) or self.visits > _VISITS_MAX or depth > _DEPTH_MAX:
            return set()
        found = set(_properties(place))
        parts = [sub for word in ("allOf", "anyOf", "oneOf") for sub in _schemas(place.get(word))]
        if isinstance(reference := place.get("$ref"), str):
            parts.append(_resolve(reference, self.root))
        return found.union(*(self.names(part, depth + 1) for part in parts))


def _own(schema: Mapping[str, object], segment: str | int) -> Places:
    """What the schema says itself, leaving aside what it refers to or combines."""
    if isinstance(segment, int):
        return _schemas([schema.get("items"), *_sequence(schema.get("prefixItems"))]) or None
    properties = _properties(schema)
    if segment in properties:
        return [properties[segment]]
    additional = schema.get("additionalProperties", schema.get("unevaluatedProperties"))
    if isinstance(additional, Mapping):
        return [additional]
    if additional is False:
        return []
    return [] if properties and additional is None else None


def _may_be(schema: Mapping[str, object], kind: str) -> bool:
    declared = schema.get("type")
    if isinstance(declared, str):
        return declared == kind
    return kind in declared if isinstance(declared, Sequence) else True


def _properties(schema: Mapping[str, object]) -> Mapping[str, Schema]:
    properties = schema.get("properties")
    if not isinstance(properties, Mapping):
        return {}
    return {str(name): sub for name, sub in properties.items() if isinstance(sub, Mapping | bool)}


def _resolve(reference: str, root: Schema) -> Schema:
    if not reference.startswith("#"):
        return True
    at: object = root
    for token in reference[1:].split("/")[1:]:
        if not isinstance(at, Mapping):
            return True
        at = at.get(token.replace("~1", "/").replace("~0", "~"), True)
    return at if isinstance(at, Mapping | bool) else True


def _schemas(value: object) -> list[Schema]:
    return [sub for sub in _sequence(value) if isinstance(sub, Mapping | bool)]


def _sequence(value: object) -> Sequence[object]:
    return value if isinstance(value, Sequence) and not isinstance(value, str) else ()
