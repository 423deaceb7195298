"""Python functions written as source, for where a loop over what to do costs more than doing it.

The source holds no text of any rule, only numbered names; what these stand for is bound afterwards. So nothing from
outside is ever compiled, and levels and rules of one shape share one compiled body, whosever they are.
Next: `index_code.py` and `index_rest.py`, which write them.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

import orjson

_SHAPES_MAX: Final = 1_024  # compiled bodies that are kept: some KB each
_INDENT: Final = "    "


class Source:
    """The lines of one function, and what its names b0, b1, … are bound to."""

    __slots__ = ("_bound", "_lines")

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._bound: list[Any] = []  # Any: whatever the function needs

    def line(self, depth: int, text: str) -> None:
        """One more line, `depth` deep in the function."""
        self._lines.append(_INDENT * (depth + 2) + text)

    def bind(self, value: Any) -> str:
        """The name by which the function knows a value."""
        self._bound.append(value)
        return f"b{len(self._bound) - 1}"

    def function(self, *arguments: str) -> Callable[..., Any]:
        """The function of these arguments."""
        names = ", ".join(f"b{number}" for number in range(len(self._bound)))
        head = f"def make({names}):\n{_INDENT}def written({', '.join(arguments)}):"
        return _maker("\n".join([head, *self._lines, f"{_INDENT}return written"]))(*self._bound)


def as_parsed(key: str) -> str:
    """The same key as the very object that the parser gives to events, which keeps short keys: so a look-up need not
    compare characters, nor fetch them from memory."""
    try:
        (parsed,) = orjson.loads(orjson.dumps({key: 0}))
    except TypeError:
        return key  # a lone surrogate, which only the slow reader yields
    return str(parsed)


@lru_cache(maxsize=_SHAPES_MAX)
def _maker(source: str) -> Callable[..., Callable[..., Any]]:
    names: dict[str, Any] = {}
    exec(compile(source, "<written>", "exec"), names)  # noqa: S102  # only what this package wrote, see above
    make: Callable[..., Callable[..., Any]] = names["make"]
    return make
