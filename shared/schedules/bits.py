"""Sets of small numbers as the bits of one integer: a minute of the day among 1,440 is found in a tenth of a microsecond.

Next: `days.py` and `wall_pattern.py`, which think in them.
"""

from collections.abc import Iterable


def bits_of(numbers: Iterable[int]) -> int:
    """The set that holds these numbers."""
    found = 0
    for number in numbers:
        found |= 1 << number
    return found


def members(bits: int) -> list[int]:
    """The numbers in the set, ascending."""
    return [number for number in range(bits.bit_length()) if bits >> number & 1]


def lowest(bits: int) -> int:
    """The smallest number in the set; -1 of an empty one."""
    return (bits & -bits).bit_length() - 1


def highest(bits: int) -> int:
    """The largest number in the set; -1 of an empty one."""
    return bits.bit_length() - 1
