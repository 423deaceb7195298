"""The one parser of outgoing URLs: strict, so that no two readers of a URL can see two hosts.

It accepts what every URL parser reads alike and refuses the rest: fail closed. A `Target` is dialled from its own
fields; the text is never parsed again. Next: `policy.py` decides whether a target may be reached.
"""

import re
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Literal

import idna

from shared.domain.addresses import Address
from shared.domain.errors import Flaw, InvalidInput

URL_CHARACTERS_MAX = 2048
HOST_CHARACTERS_MAX = 253

Scheme = Literal["http", "https"]
_DEFAULT_PORTS: dict[str, int] = {"http": 80, "https": 443}

_SPLIT = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<rest>[^#]*)(?:#.*)?", re.DOTALL)
_AUTHORITY = re.compile(r"(?:\[(?P<v6>[^\[\]]*)\]|(?P<name>[^\[\]:]*))(?::(?P<port>[^:]*))?", re.DOTALL)
_PORT = re.compile(r"[0-9]{1,5}")
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_NUMERIC_LABEL = re.compile(r"[0-9]+|0x[0-9a-f]*")
_FORBIDDEN_ANYWHERE = re.compile(r"[\x00-\x20\x7f\\]")
_REST = re.compile(r"(?:[!$&'()*+,\-./0-9:;=?@A-Z\[\]_a-z|~{}^]|%[0-9A-Fa-f]{2})*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a call goes, in the only reading that counts.

    `host` is canonical: lower case, punycode, no trailing dot, an IPv6 address without brackets. `address` is set when
    the host is a literal. `path_qs` begins with `/` and goes on the wire as it stands. `original` may hold secrets.
    """

    scheme: Scheme
    host: str
    port: int
    path_qs: str = field(repr=False)
    host_header: str
    original: str = field(repr=False)
    address: Address | None = None


def parse_url(text: str, *, pointer: str = "#/url") -> Target:
    """The target that `text` names, or InvalidInput with one flaw at `pointer` saying what to mend."""
    try:
        return _parse(text)
    except _Unusable as trouble:
        raise InvalidInput("This URL cannot be called", [Flaw(pointer=pointer, detail=str(trouble))]) from None


def parse_name(text: str) -> str:
    """The canonical form of a host name alone, as it stands in a `Target`, or InvalidInput."""
    try:
        return _parse_name(text)[0]
    except _Unusable as trouble:
        raise InvalidInput(str(trouble)) from None


class _Unusable(Exception):
    """Why a URL is refused; the text reaches the tenant."""


def _parse(text: str) -> Target:
    if len(text) > URL_CHARACTERS_MAX:
        raise _Unusable(f"a URL may have at most {URL_CHARACTERS_MAX} characters; this one has {len(text)}")
    if _FORBIDDEN_ANYWHERE.search(text):
        raise _Unusable("spaces, control characters and backslashes are not allowed in a URL; percent-encode them")
    split = _SPLIT.fullmatch(text)
    if split is None:
        raise _Unusable("write an absolute URL: https://host/path")
    match split["scheme"].lower():
        case "http" | "https" as scheme:
            pass
        case _:
            raise _Unusable("only http and https URLs can be called")
    authority = split["authority"]
    if "@" in authority:
        raise _Unusable("user names and passwords are not allowed in a URL; use a header")
    parts = _AUTHORITY.fullmatch(authority)
    if parts is None:
        raise _Unusable("the host cannot be read; an IPv6 address stands in brackets: https://[2001:db8::1]/")
    port = _DEFAULT_PORTS[scheme] if parts["port"] is None else _parse_port(parts["port"])
    host, address = _parse_host(parts["v6"], parts["name"])
    rest = split["rest"]
    if not _REST.fullmatch(rest):
        raise _Unusable("path and query may hold only ASCII URL characters; percent-encode the rest as %XX")
    shown = f"[{host}]" if isinstance(address, IPv6Address) else host
    return Target(
        scheme=scheme,
        host=host,
        port=port,
        path_qs=rest if rest.startswith("/") else f"/{rest}",
        host_header=shown if port == _DEFAULT_PORTS[scheme] else f"{shown}:{port}",
        original=text,
        address=address,
    )


def _parse_port(text: str) -> int:
    if not _PORT.fullmatch(text) or not 0 < int(text) <= 65535:
        raise _Unusable("the port must be a number from 1 to 65535")
    return int(text)


def _parse_host(v6: str | None, name: str | None) -> tuple[str, Address | None]:
    if v6 is not None:
        try:
            address = IPv6Address(v6)
        except AddressValueError:
            raise _Unusable("the brackets hold no IPv6 address") from None
        if address.scope_id is not None:
            raise _Unusable("zone ids are not allowed in an address")
        return address.compressed, address
    if not name:
        raise _Unusable("the host is missing")
    return _parse_name(name)


def _parse_name(text: str) -> tuple[str, IPv4Address | None]:
    name = text.lower() if text.isascii() else _to_ascii(text)
    absolute = name.endswith(".")
    name = name.removesuffix(".")
    labels = name.split(".")
    if _NUMERIC_LABEL.fullmatch(labels[-1]):
        return _parse_v4(name, absolute=absolute)
    if len(name) > HOST_CHARACTERS_MAX:
        raise _Unusable(f"a host name may have at most {HOST_CHARACTERS_MAX} characters")
    for label in labels:
        if not _LABEL.fullmatch(label):
            raise _Unusable(
                "the host is no valid name: letters, digits, hyphens and underscores between single dots, "
                "at most 63 characters each"
            )
        if label.startswith("xn--"):
            _check_punycode(label)
    return name, None


def _parse_v4(name: str, *, absolute: bool) -> tuple[str, IPv4Address]:
    # Whatever ends in a number is an address to some resolver, and each reads 0177.1 or 2130706433 its own way.
    try:
        address = IPv4Address(name)
    except AddressValueError:
        raise _Unusable("write an IPv4 address as four decimal numbers without leading zeros") from None
    if absolute:
        raise _Unusable("an IPv4 address has no trailing dot")
    return name, address


def _to_ascii(text: str) -> str:
    # Label by label on the ASCII dot only: the ideographic full stops stay inside a label and are refused there.
    # No UTS 46 mapping: full-width digits, circled letters and soft hyphens are refused instead of folded.
    labels = []
    for label in text.split("."):
        if label.isascii():
            labels.append(label.lower())
            continue
        try:
            labels.append(idna.alabel(label).decode("ascii"))
        except (idna.IDNAError, UnicodeError):
            raise _Unusable(
                "the host holds characters that no host name may have; write it in lower case or as punycode (xn--…)"
            ) from None
    return ".".join(labels)


def _check_punycode(label: str) -> None:
    try:
        idna.ulabel(label)
    except (idna.IDNAError, UnicodeError):
        raise _Unusable("the host holds punycode (xn--…) that decodes to no valid name") from None
