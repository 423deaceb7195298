"""What may be reached: public addresses on web ports, and what the operator allows beside them.

Order of judgement: a final block (metadata, link-local, multicast) stands always; then the operator's allow-list by
host and port, then by address and port; then the block lists. Next: `dial.py` applies it to each address dialled.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network

from shared.domain.addresses import Address, classify
from shared.domain.errors import Flaw, InvalidInput
from shared.runtime.egress.trouble import EgressRefused
from shared.runtime.egress.url import Target, parse_name, parse_url

# Names that lead to a cloud's credentials: refused whatever they resolve to and whatever is allowed.
_METADATA_NAMES = frozenset(
    {"metadata", "metadata.google.internal", "metadata.goog", "instance-data", "instance-data.ec2.internal"}
)
# Suffixes no public resolver answers; named here so that saving says so at once instead of the first delivery.
_LOCAL_SUFFIXES = ("localhost", "localdomain", "local", "internal", "home.arpa", "svc", "lan", "intranet")

# Below 1024 only the web's own ports; above, the well-known ports of services that speak no HTTP or give it to admins.
_WEB_PORTS = frozenset({80, 443})
_DATABASES = {1433, 1521, 3306, 5432, 5984, 6379, 8086, 9042, 9200, 9300, 11211, 27017, 27018, 27019}
_BROKERS = {2181, 5671, 5672, 9092, 61616}
_ORCHESTRATION = {2375, 2376, 2379, 2380, 6443, 10250, 10255, 50070}
_REMOTE_ACCESS = {1723, 2049, 3389, 5900, 6000}
_NOT_FOR_BROWSERS = {4190, 5060, 5061, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080}  # fetch's bad ports
_SERVICE_PORTS = frozenset(_DATABASES | _BROKERS | _ORCHESTRATION | _REMOTE_ACCESS | _NOT_FOR_BROWSERS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """One entry of the allow-list: a host name or a network, and a port (None: every port)."""

    host: str | IPv4Network | IPv6Network
    port: int | None

    def covers_name(self, host: str, port: int) -> bool:
        return self.host == host and self.port in (None, port)

    def covers_address(self, address: Address, port: int) -> bool:
        network = self.host
        return not isinstance(network, str) and address in network and self.port in (None, port)


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressPolicy:
    """What the operator lets through beside public addresses on web ports. The default allows nothing more."""

    allow: frozenset[Allowance] = frozenset()

    @classmethod
    def parse(cls, text: str) -> "EgressPolicy":
        """From `host:port,…`: a host name, an IPv4 address or CIDR, or `[an IPv6 one]`; port `*` is every port."""
        entries = [entry.strip() for entry in text.split(",")]
        return cls(allow=frozenset(_parse_allowance(entry) for entry in entries if entry))

    def refuse_target(self, target: Target) -> None:
        """Raise EgressRefused for a target that can be refused before any name is resolved."""
        host, port = target.host, target.port
        if host in _METADATA_NAMES:
            raise EgressRefused("host", f"{host} leads to a cloud's credentials and is never called")
        if target.address is not None:
            self.refuse_address(target.address, host=host, port=port)
        elif not self._names(host, port) and not self._awaits_address(port):
            if _is_local(host):
                raise EgressRefused("host", f"{host} is a name of the local network; {_HINT}")
            _refuse_port(port)

    def refuse_address(self, address: Address | str, *, host: str, port: int) -> None:
        """Raise EgressRefused unless a call to `host`:`port` may dial `address`."""
        verdict = classify(address)
        if verdict.final:
            raise EgressRefused("address", f"{host} leads to an address that is never called: {verdict.why}")
        if self._names(host, port) or (not isinstance(address, str) and self._holds(address, port)):
            return
        if verdict.blocked:
            raise EgressRefused("address", f"{host} leads to an address that is not public: {verdict.why}; {_HINT}")
        _refuse_port(port)

    def _awaits_address(self, port: int) -> bool:
        """Whether some network is allowed on this port, so that only the address can tell."""
        return any(not isinstance(entry.host, str) and entry.port in (None, port) for entry in self.allow)

    def _names(self, host: str, port: int) -> bool:
        return any(entry.covers_name(host, port) for entry in self.allow)

    def _holds(self, address: Address, port: int) -> bool:
        return any(entry.covers_address(address, port) for entry in self.allow)


_HINT = "the operator can allow it with UPSHOT_EGRESS_ALLOW"
NOTHING_ALLOWED = EgressPolicy()


def check_url(text: str, policy: EgressPolicy = NOTHING_ALLOWED, *, pointer: str = "#/url") -> Target:
    """The target of a URL that a tenant wants to save, or InvalidInput with a flaw at `pointer`.

    A name that resolves to a blocked address passes here: addresses are judged when they are dialled.
    """
    target = parse_url(text, pointer=pointer)
    try:
        policy.refuse_target(target)
    except EgressRefused as refusal:
        raise InvalidInput("This URL cannot be called", [Flaw(pointer=pointer, detail=str(refusal))]) from refusal
    return target


def _refuse_port(port: int) -> None:
    if port in _SERVICE_PORTS or (port < 1024 and port not in _WEB_PORTS):
        raise EgressRefused("port", f"port {port} belongs to a service that takes no webhooks; {_HINT}")


def _is_local(host: str) -> bool:
    return "." not in host or any(host.endswith(f".{suffix}") for suffix in _LOCAL_SUFFIXES)


def _parse_allowance(entry: str) -> Allowance:
    host, colon, port_text = entry.rpartition(":")
    if not colon:
        raise _bad_entry(entry, "the port is missing; write host:port, or host:* for every port")
    if port_text != "*" and not (port_text.isascii() and port_text.isdigit() and 0 < int(port_text) <= 65535):
        raise _bad_entry(entry, "the port must be a number from 1 to 65535, or *")
    return Allowance(host=_parse_allowed_host(entry, host), port=None if port_text == "*" else int(port_text))


def _parse_allowed_host(entry: str, host: str) -> str | IPv4Network | IPv6Network:
    bracketed = host.startswith("[") and host.endswith("]")
    inner = host[1:-1] if bracketed else host
    try:
        network = ip_network(inner)
    except ValueError:
        network = None
    if network is not None:
        if isinstance(network, IPv6Network) != bracketed:
            raise _bad_entry(entry, "an IPv6 address or network stands in brackets, an IPv4 one does not")
        return network
    try:
        return parse_name(host)
    except InvalidInput as trouble:
        raise _bad_entry(entry, trouble.title) from None


def _bad_entry(entry: str, detail: str) -> InvalidInput:
    return InvalidInput(f"UPSHOT_EGRESS_ALLOW has an entry that cannot be used: {entry!r}: {detail}")


def format_allow(entries: Iterable[Allowance]) -> str:
    """The text that `EgressPolicy.parse` reads back, sorted."""
    return ",".join(sorted(f"{_format_host(entry.host)}:{entry.port or '*'}" for entry in entries))


def _format_host(host: str | IPv4Network | IPv6Network) -> str:
    return f"[{host}]" if isinstance(host, IPv6Network) else str(host)
