"""How well an operator narrows: a guess at how many events it holds for, in proportion to others of its rule.

Nothing is known about events to come, but much about rules: a path that few rules name is in few events, and one on
which they name a thousand values is one where each value is rare. Guesses only decide where a rule is filed, never
whether it matches.
Next: `index_node.py`, which files a rule under its cheapest field.
"""

from typing import Any

from shared.matching.anything_but import AnythingButMatching, AnythingButNumbers, AnythingButTexts
from shared.matching.facets import NumberFacet, affix_of
from shared.matching.literals import Constant
from shared.matching.lookup import PathLookup
from shared.matching.numeric import NumericRange
from shared.matching.pattern import Exists, ValueOperator
from shared.matching.ranges import FIRST_GUESS
from shared.matching.text import Prefix, PrefixIgnoreCase, Suffix, SuffixIgnoreCase, Wildcard

_DISTINCT_MAX = 1_024
ALWAYS = 1e9  # asked of every event, held or not: worse than any guess
ABSENCE = 2e9  # and worse still: asked even of events that know nothing of the path
_CONSTANT_SHARE = 0.5


class PathUse(PathLookup):
    """A path that rules name: how many do, and which operators (as hashes, up to a thousand)."""

    __slots__ = ("_distinct", "users")

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.users = 0
        self._distinct: set[int] = set()

    def note(self, operators: tuple[ValueOperator, ...]) -> None:
        """One more field on this path."""
        self.users += 1
        if len(self._distinct) < _DISTINCT_MAX:
            self._distinct.update(map(hash, operators))

    def share(self, operator: ValueOperator, numbers: NumberFacet[Any] | None) -> float:  # Any: whatever is filed there
        """The guess for an operator on this path, in users of the path; `numbers` is what is filed there already."""
        rarity = self.users / (len(self._distinct) or 1)
        match operator:
            case Constant():
                return self.users * _CONSTANT_SHARE
            case NumericRange() if operator.low != operator.high:
                return self.users * (numbers.overlap(operator) if numbers is not None else FIRST_GUESS)
            case Prefix() | Suffix() | Wildcard() if affix := affix_of(operator):
                return max(rarity, self.users * 2.0 ** -len(affix))
            case (
                Prefix()
                | Suffix()
                | Wildcard()
                | PrefixIgnoreCase()
                | SuffixIgnoreCase()
                | Exists()
                | AnythingButTexts()
                | AnythingButNumbers()
                | AnythingButMatching()
            ):
                return ALWAYS
            case _:
                return rarity
