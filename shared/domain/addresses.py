"""Which internet addresses an outgoing call may reach: pure classification by explicit tables.

The standard library's `is_global` calls multicast, NAT64, 6to4 and Azure's WireServer public; these tables do not.
What cannot be parsed is blocked. An IPv6 address that carries an IPv4 one is judged by what it carries.
Next: `shared/runtime/egress/policy.py` combines a verdict with what the operator allows.
"""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """`blocked`: not dialled by default, and `why`; `final`: no allow-list lifts it (credentials live there)."""

    blocked: bool
    why: str
    final: bool = False


def classify(address: Address | str) -> Verdict:
    """The verdict on one address. Text that is no plain address is blocked for good: fail closed."""
    if isinstance(address, str):
        try:
            address = ip_address(address)
        except ValueError:
            return Verdict(blocked=True, why="not an IP address", final=True)
    if isinstance(address, IPv4Address):
        return _classify_v4(address)
    return _classify_v6(address)


_PUBLIC = Verdict(blocked=False, why="public")

# (network, why, final). The first that contains the address decides, so narrow entries stand before wide ones.
_V4: tuple[tuple[IPv4Network, str, bool], ...] = tuple(
    (IPv4Network(cidr), why, final)
    for cidr, why, final in (
        ("0.0.0.0/8", "this network (0.0.0.0 reaches the machine itself)", True),
        ("169.254.0.0/16", "link-local, where cloud metadata lives", True),
        ("168.63.129.16/32", "Azure's WireServer, in public address space", True),
        ("100.100.100.200/32", "Alibaba Cloud's metadata", True),
        ("192.0.0.192/32", "Oracle Cloud's metadata", True),
        ("224.0.0.0/4", "multicast", True),
        ("255.255.255.255/32", "broadcast", True),
        ("10.0.0.0/8", "private", False),
        ("100.64.0.0/10", "shared address space (carrier-grade NAT)", False),
        ("127.0.0.0/8", "loopback", False),
        ("172.16.0.0/12", "private", False),
        ("192.0.0.0/24", "IETF protocol assignments", False),
        ("192.0.2.0/24", "documentation", False),
        ("192.88.99.0/24", "6to4 relays", False),
        ("192.168.0.0/16", "private", False),
        ("198.18.0.0/15", "benchmarking", False),
        ("198.51.100.0/24", "documentation", False),
        ("203.0.113.0/24", "documentation", False),
        ("240.0.0.0/4", "reserved", False),
    )
)

_V6: tuple[tuple[IPv6Network, str, bool], ...] = tuple(
    (IPv6Network(cidr), why, final)
    for cidr, why, final in (
        ("::/128", "unspecified (reaches the machine itself)", True),
        ("::1/128", "loopback", False),
        ("fe80::/10", "link-local", True),
        ("ff00::/8", "multicast", True),
        ("fd00:ec2::/32", "AWS's metadata and pod identity", True),
        ("fd20:ce::254/128", "Google Cloud's metadata", True),
        ("fc00::/7", "unique local (private)", False),
        ("fec0::/10", "site-local (deprecated)", False),
        ("100::/64", "discard-only", False),
        ("100:0:0:1::/64", "dummy prefix", False),
        ("2001::/23", "IETF protocol assignments", False),
        ("2001:db8::/32", "documentation", False),
        ("3fff::/20", "documentation", False),
        ("5f00::/16", "segment routing", False),
    )
)
_GLOBAL_UNICAST = IPv6Network("2000::/3")

# Translations: (prefix, name, how far the embedded IPv4 address stands from the right end, in bits).
_MAPPED = IPv6Network("::ffff:0:0/96")
_CARRIERS: tuple[tuple[IPv6Network, str, int], ...] = tuple(
    (IPv6Network(cidr), name, shift)
    for cidr, name, shift in (
        ("::ffff:0:0:0/96", "IPv4-translated", 0),
        ("64:ff9b::/96", "NAT64", 0),
        ("64:ff9b:1::/48", "local NAT64", 0),
        ("2002::/16", "6to4", 80),
        ("2001::/32", "Teredo", 0),
        ("::/96", "IPv4-compatible", 0),
    )
)
_ISATAP_MARKS = (0x00005EFE, 0x02005EFE)  # the upper half of the interface id, RFC 5214 §6.1
_LOW_32 = 0xFFFFFFFF


def _classify_v4(address: IPv4Address) -> Verdict:
    for network, why, final in _V4:
        if address in network:
            return Verdict(blocked=True, why=why, final=final)
    return _PUBLIC


def _classify_v6(address: IPv6Address) -> Verdict:
    if address.scope_id is not None:
        return Verdict(blocked=True, why="scoped to a network interface", final=True)
    if address in _MAPPED:
        inner = _classify_v4(IPv4Address(int(address) & _LOW_32))
        return Verdict(blocked=inner.blocked, why=f"IPv4-mapped, {inner.why}", final=inner.final)
    for network, why, final in _V6:
        if final and address in network:
            return Verdict(blocked=True, why=why, final=True)
    carried = _carried_v4(address)
    if carried is not None:
        # No receiver lives at a carrier's address; what it carries only decides how hard the no is.
        name, inner_address = carried
        inner = _classify_v4(inner_address)
        return Verdict(blocked=True, why=f"{name} carrying {inner_address}", final=inner.final)
    for network, why, final in _V6:
        if address in network:
            return Verdict(blocked=True, why=why, final=final)
    if address not in _GLOBAL_UNICAST:
        return Verdict(blocked=True, why="outside global unicast")
    return _PUBLIC


def _carried_v4(address: IPv6Address) -> tuple[str, IPv4Address] | None:
    number = int(address)
    if number == 1:
        return None  # ::1 is loopback, not the IPv4-compatible 0.0.0.1
    for network, name, shift in _CARRIERS:
        if address in network:
            embedded = (number >> shift) & _LOW_32
            if name == "Teredo":
                embedded ^= _LOW_32  # the client's address is stored inverted, RFC 4380 §4
            return name, IPv4Address(embedded)
    if (number >> 32) & _LOW_32 in _ISATAP_MARKS:
        return "ISATAP", IPv4Address(number & _LOW_32)
    return None
