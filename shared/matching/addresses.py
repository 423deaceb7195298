"""IP addresses as the pattern language reads them: version and number, whatever the spelling.

Dotted quads may have leading zeros and are decimal (never octal); IPv6 is hex groups only. An IPv4-mapped IPv6
address is no address at all here, so that no spelling of it slips into an IPv4 range.
Next: `cidr.py` (ranges) and `literals.py` (one address).
"""

import re
from ipaddress import AddressValueError, IPv6Address

Address = tuple[int, int]  # (bits: 32 or 128, number)

IPV4_BITS = 32
IPV6_BITS = 128
_IPV4 = re.compile(r"([0-9]+)\.([0-9]+)\.([0-9]+)\.([0-9]+)", re.ASCII)
_IPV4_LENGTH_MAX = 15
_IPV6 = re.compile(r"[0-9a-fA-F:]*:[0-9a-fA-F:]*", re.ASCII)
_MAPPED = 0xFFFF


def read_address(text: str) -> Address | None:
    """The address that a text spells, or None."""
    if ":" in text:
        return _read_ipv6(text)
    if len(text) > _IPV4_LENGTH_MAX:
        return None
    quad = _IPV4.fullmatch(text)
    if quad is None:
        return None
    number = 0
    for group in quad.groups():
        octet = int(group)
        if octet > 255:
            return None
        number = number << 8 | octet
    return IPV4_BITS, number


def _read_ipv6(text: str) -> Address | None:
    if _IPV6.fullmatch(text) is None:
        return None
    try:
        number = int(IPv6Address(text))
    except AddressValueError:
        return None
    return None if number >> 32 == _MAPPED else (IPV6_BITS, number)
