"""The `numeric` operator: one comparison, or a lower bound followed by an upper one.

It sees comparable numbers only (see `numbers.py`): never strings, never true, never a number that lost digits.
Next: `cidr.py`.
"""

import math
from dataclasses import dataclass

from shared.matching.numbers import comparable


@dataclass(frozen=True, slots=True, kw_only=True)
class NumericRange:
    """Holds for comparable numbers between the bounds; `=` is a range of one number. `source` is as written."""

    source: tuple[str | int | float, ...]
    low: int | float = -math.inf
    high: int | float = math.inf
    low_included: bool = True
    high_included: bool = True

    def holds(self, value: object) -> bool:
        """Whether an event's value is held."""
        number = comparable(value)
        return number is not None and self.spans(number)

    def spans(self, number: int | float) -> bool:
        """Whether a comparable number lies between the bounds."""
        if number <= self.low:
            return number == self.low and self.low_included
        if number >= self.high:
            return number == self.high and self.high_included
        return True

    def describe(self) -> object:
        """As written in a pattern."""
        return {"numeric": list(self.source)}
