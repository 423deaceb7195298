"""An event pattern, parsed: alternatives (what `$or` unfolds to) of fields that must all hold.

Everything is immutable and hashable, so a pattern can be shared, cached and compared.
Next: `parse.py` makes one, `evaluate.py` asks it.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from shared.matching.anything_but import AnythingButMatching, AnythingButNumbers, AnythingButTexts
from shared.matching.cidr import Cidr
from shared.matching.literals import AddressText, Constant, NumberLiteral, Text
from shared.matching.numeric import NumericRange
from shared.matching.text import TextOperator


@dataclass(frozen=True, slots=True)
class Exists:
    """`exists: true`: holds for every value that is there, null included."""

    def holds(self, value: object) -> bool:
        """Whether an event's value is held."""
        del value
        return True

    def describe(self) -> object:
        """As written in a pattern."""
        return {"exists": True}


ValueOperator = (
    Text
    | AddressText
    | NumberLiteral
    | Constant
    | TextOperator
    | NumericRange
    | Cidr
    | AnythingButTexts
    | AnythingButNumbers
    | AnythingButMatching
    | Exists
)

_TEXTS_TRIED_MAX = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldPattern:
    """One path and the entries of which one must hold.

    `path` joins keys with dots (so dotted and nested keys are the same path); `operators` look at one value each;
    `or_absent` is `exists: false` among the entries; `pointer` is the place in the pattern. `texts` are the strings
    that hold where no other value does: one look-up instead of asking every operator.
    """

    path: str
    operators: tuple[ValueOperator, ...]
    or_absent: bool
    pointer: str
    texts: Collection[str] | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        texts = [operator.text for operator in self.operators if type(operator) is Text]
        few = len(texts) <= _TEXTS_TRIED_MAX  # a set of one takes 200 bytes, and there are many rules
        only_texts = len(texts) == len(self.operators)
        object.__setattr__(self, "texts", (tuple(texts) if few else frozenset(texts)) if only_texts else None)

    def describe(self) -> list[object]:
        """The entries as written in a pattern, the presence test last."""
        entries = [operator.describe() for operator in self.operators]
        return [*entries, {"exists": False}] if self.or_absent else entries


@dataclass(frozen=True, slots=True)
class Alternative:
    """Fields that must all hold, in one choice of array elements; sorted by path (see `evaluate.py` for why)."""

    fields: tuple[FieldPattern, ...]


@dataclass(frozen=True, slots=True)
class Pattern:
    """Holds where one alternative does."""

    alternatives: tuple[Alternative, ...]

    @property
    def paths(self) -> frozenset[str]:
        """Every path that the pattern looks at."""
        return frozenset(each.path for alternative in self.alternatives for each in alternative.fields)


def alternative_of(fields: Iterable[FieldPattern]) -> Alternative:
    """An alternative with its fields in the order that evaluation needs: UTF-16 code units of the path."""
    return Alternative(tuple(sorted(fields, key=lambda each: each.path.encode("utf-16-be", "surrogatepass"))))
