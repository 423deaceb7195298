"""The `cidr` operator: an address range, IPv4 below /32 or IPv6 below /128; host bits are masked away.

Next: `anything_but.py`.
"""

import re
from dataclasses import dataclass

from shared.domain.errors import PermanentError
from shared.matching.addresses import IPV4_BITS, Address, read_address

_PREFIX_LENGTH = re.compile(r"[0-9]{1,3}", re.ASCII)


class CidrError(PermanentError):
    """A text that is no address range; says why and how to mend it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cidr:
    """Holds for strings that spell an address between `low` and `high`, both included, of the same version."""

    text: str
    low: Address
    high: Address

    def holds(self, value: object) -> bool:
        """Whether an event's value is held."""
        if type(value) is not str:
            return False
        address = read_address(value)
        return address is not None and self.low <= address <= self.high

    def describe(self) -> object:
        """As written in a pattern."""
        return {"cidr": self.text}


def read_cidr(text: str) -> Cidr:
    """The range that a text such as `10.0.0.0/8` names; raises `CidrError`."""
    base, slash, length = text.partition("/")
    if not slash or "/" in length:
        raise CidrError(f"{text!r} is no address range; write an address, one `/` and a prefix length: 10.0.0.0/8")
    address = read_address(base)
    if address is None:
        raise CidrError(f"{base!r} is no IPv4 or IPv6 address")
    if _PREFIX_LENGTH.fullmatch(length) is None:
        raise CidrError(f"{length!r} is no prefix length; write a whole number")
    bits, number = address
    if int(length) >= bits:
        family = "IPv4" if bits == IPV4_BITS else "IPv6"
        raise CidrError(f"an {family} prefix length is below {bits}; for one address write it as a plain string")
    host_mask = (1 << bits - int(length)) - 1
    return Cidr(text=text, low=(bits, number & ~host_mask), high=(bits, number | host_mask))
