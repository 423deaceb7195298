"""Plain values in a pattern: strings, addresses, numbers, true, false, null. Each holds for its own type only.

Next: `text.py`, the operators on strings.
"""

from dataclasses import dataclass

from shared.matching.addresses import Address, read_address
from shared.matching.numbers import LossyNumber, Number, comparable, written


@dataclass(frozen=True, slots=True)
class Text:
    """Holds for the same string, character by character (no normalisation)."""

    text: str

    def holds(self, value: object) -> bool:
        """Whether an event's value is held."""
        return type(value) is str and value == self.text

    def describe(self) -> object:
        """As written in a pattern."""
        return self.text


@dataclass(frozen=True, slots=True)
class AddressText:
    """A string that spells an IP address: holds for every spelling of that address."""

    text: str
    address: Address

    def holds(self, value: object) -> bool:
        """Whether an event's value is held."""
        return type(value) is str and (value == self.text or read_address(value) == self.address)

    def describe(self) -> object:
        """As written in a pattern."""
        return self.text


@dataclass(frozen=True, slots=True)
class NumberLiteral:
    """Holds for the same number however it is written; a number no double stands for, for the same token only."""

    number: Number

    def holds(self, value: object) -> bool:
        """Whether an event's value is held."""
        number = self.number
        if type(number) is LossyNumber:
            return value == number or (type(value) is int and str(value) == number.token)
        kind = type(value)
        return (kind is int or kind is float) and comparable(value) == number

    def describe(self) -> object:
        """As written in a pattern."""
        return written(self.number) if isinstance(self.number, LossyNumber) else self.number


@dataclass(frozen=True, slots=True)
class Constant:
    """true, false or null: holds for itself."""

    value: bool | None

    def holds(self, value: object) -> bool:
        """Whether an event's value is held."""
        return value is self.value

    def describe(self) -> object:
        """As written in a pattern."""
        return self.value


def literal_text(text: str) -> Text | AddressText:
    """What a plain string in a pattern means."""
    address = read_address(text)
    return Text(text) if address is None else AddressText(text, address)
