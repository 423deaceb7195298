"""The operators on strings: prefix, suffix, both without regard to case, equals-ignore-case, wildcard.

None holds for a value of another type. The empty prefix holds for every string.
Next: `casefold.py` and `wildcard.py` for their meaning, `anything_but.py` for their complements.
"""

from dataclasses import dataclass

from shared.matching.casefold import CaseVariants
from shared.matching.wildcard import WildcardPieces


@dataclass(frozen=True, slots=True)
class Prefix:
    """Holds for strings that begin with `text`."""

    text: str

    def holds(self, value: object) -> bool:
        """Whether an event's value is held."""
        return type(value) is str and value.startswith(self.text)

    def describe(self) -> object:
        """As written in a pattern."""
        return {"prefix": self.text}


@dataclass(frozen=True, slots=True)
class Suffix:
    """Holds for strings that end with `text`."""

    text: str

    def holds(self, value: object) -> bool:
        """Whether an event's value is held."""
        return type(value) is str and value.endswith(self.text)

    def describe(self) -> object:
        """As written in a pattern."""
        return {"suffix": self.text}


@dataclass(frozen=True, slots=True)
class PrefixIgnoreCase:
    """Holds for strings that begin with a spelling of `variants`."""

    variants: CaseVariants

    def holds(self, value: object) -> bool:
        """Whether an event's value is held."""
        return type(value) is str and self.variants.begins(value)

    def describe(self) -> object:
        """As written in a pattern."""
        return {"prefix": {"equals-ignore-case": self.variants.text}}


@dataclass(frozen=True, slots=True)
class SuffixIgnoreCase:
    """Holds for strings that end with a spelling of `variants`."""

    variants: CaseVariants

    def holds(self, value: object) -> bool:
        """Whether an event's value is held."""
        return type(value) is str and self.variants.ends(value)

    def describe(self) -> object:
        """As written in a pattern."""
        return {"suffix": {"equals-ignore-case": self.variants.text}}


@dataclass(frozen=True, slots=True)
class EqualsIgnoreCase:
    """Holds for the spellings of `variants`."""

    variants: CaseVariants

    def holds(self, value: object) -> bool:
        """Whether an event's value is held."""
        return type(value) is str and self.variants.equals(value)

    def describe(self) -> object:
        """As written in a pattern."""
        return {"equals-ignore-case": self.variants.text}


@dataclass(frozen=True, slots=True)
class Wildcard:
    """Holds for strings that the wildcard text describes as a whole."""

    source: str
    pieces: WildcardPieces

    def holds(self, value: object) -> bool:
        """Whether an event's value is held."""
        return type(value) is str and self.pieces.matches(value)

    def describe(self) -> object:
        """As written in a pattern."""
        return {"wildcard": self.source}


TextOperator = Prefix | Suffix | PrefixIgnoreCase | SuffixIgnoreCase | EqualsIgnoreCase | Wildcard
