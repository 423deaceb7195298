"""The value at a path in the common case: objects on the way, one plain value at the end.

Guarantee: what it answers is what `fields.leaves_at` finds. Where arrays, duplicate members or keys with dots are in
play it says so instead (`SEVERAL`), and the caller asks `leaves_at`.
Next: `evaluate.py`, which is asked for the rest.
"""

from typing import Any, Final

from shared.matching.event import EventFields

MISSING: Final = object()
SEVERAL: Final = object()
_SEVERAL_KINDS: Final = (list, tuple)


class PathLookup:
    """One path, split once."""

    __slots__ = ("_first", "_last", "_levels", "path")

    def __init__(self, path: str) -> None:
        self.path = path
        keys = path.split(".")
        # at each level the key, and the keys with dots that would lead further at once
        levels = [
            (key, tuple(".".join(keys[level : end + 1]) for end in range(level + 1, len(keys))))
            for level, key in enumerate(keys)
        ]
        self._levels = tuple(levels[:-1])
        self._last = keys[-1]
        self._first = keys[0] if len(keys) == 2 else None

    def value(self, event: EventFields) -> Any:  # Any: a JSON scalar or a sentinel
        """The plain value; `MISSING` where there is none; `SEVERAL` where it takes more to tell."""
        node: Any = event
        if self._first is not None:  # two keys, by far the most: the loop below, unrolled
            if self.path in event:
                return SEVERAL
            node = event.get(self._first)
            if type(node) is not dict:
                return SEVERAL if type(node) in _SEVERAL_KINDS else MISSING
        else:
            for key, dotted in self._levels:
                for joined in dotted:
                    if joined in node:
                        return SEVERAL
                node = node.get(key)
                if type(node) is not dict:
                    return SEVERAL if type(node) in _SEVERAL_KINDS else MISSING
        value = node.get(self._last, MISSING)
        if type(value) is str:
            return value
        if type(value) is dict:
            return MISSING
        return SEVERAL if type(value) in _SEVERAL_KINDS else value
