"""The `anything-but` operators: complements over the values that are there.

Each holds for a present value of any other type too (`anything-but "1"` holds for 1 and for null); an absent field
is never held, and in an array one element that differs is enough.
Next: `pattern.py`, the tree that operators hang in.
"""

from dataclasses import dataclass

from shared.matching.numbers import comparable
from shared.matching.text import EqualsIgnoreCase, Prefix, Suffix, Wildcard


@dataclass(frozen=True, slots=True)
class AnythingButTexts:
    """Holds for all but these strings."""

    texts: frozenset[str]

    def holds(self, value: object) -> bool:
        """Whether an event's value is held."""
        return type(value) is not str or value not in self.texts

    def describe(self) -> object:
        """As written in a pattern."""
        return {"anything-but": sorted(self.texts)}


@dataclass(frozen=True, slots=True)
class AnythingButNumbers:
    """Holds for all but these numbers, however written."""

    numbers: frozenset[int | float]

    def holds(self, value: object) -> bool:
        """Whether an event's value is held."""
        number = comparable(value)
        return number is None or number not in self.numbers

    def describe(self) -> object:
        """As written in a pattern."""
        return {"anything-but": sorted(self.numbers)}


@dataclass(frozen=True, slots=True)
class AnythingButMatching:
    """Holds for all but the strings that one of `operators` (all of one kind) holds for."""

    operators: tuple[Prefix | Suffix | EqualsIgnoreCase | Wildcard, ...]

    def holds(self, value: object) -> bool:
        """Whether an event's value is held."""
        if type(value) is str:
            for operator in self.operators:
                if operator.holds(value):
                    return False
        return True

    def describe(self) -> object:
        """As written in a pattern."""
        texts: dict[str, list[str]] = {}
        for operator in self.operators:
            match operator:
                case Prefix(text):
                    texts.setdefault("prefix", []).append(text)
                case Suffix(text):
                    texts.setdefault("suffix", []).append(text)
                case EqualsIgnoreCase(variants):
                    texts.setdefault("equals-ignore-case", []).append(variants.text)
                case Wildcard(source, _):
                    texts.setdefault("wildcard", []).append(source)
        return {"anything-but": texts}
