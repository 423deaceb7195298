"""What can go wrong with an outgoing call, each with a stable `kind` for records, metrics and the console.

The text is written for the tenant who owns the endpoint: it names the host, never path or query (they hold secrets),
and never an address that a name of the operator's network resolved to.
Next: `wire.py` maps what happens on the wire to these.
"""

from typing import Literal

from shared.domain.errors import PermanentError, TransientError

RefusalKind = Literal["url", "host", "port", "address", "method", "header", "body"]
TimeoutKind = Literal["timeout", "connect_timeout", "dns_timeout"]
UnreachableKind = Literal["dns", "refused", "unreachable", "reset", "tls", "too_large_headers", "bad_response"]


class EgressRefused(PermanentError):
    """We will not make this call: nothing was sent, and sending again will not help."""

    def __init__(self, kind: RefusalKind, detail: str) -> None:
        super().__init__(detail)
        self.kind: RefusalKind = kind


class ReceiverTimeout(TransientError):
    """The receiver was too slow; it may or may not have acted on what it got.

    `status` is the answer's status where its head had arrived and only its body was too slow.
    """

    def __init__(self, kind: TimeoutKind, detail: str, *, status: int | None = None) -> None:
        super().__init__(detail)
        self.kind: TimeoutKind = kind
        self.status = status


class ReceiverUnreachable(TransientError):
    """No usable answer: no name, no connection, no trusted certificate, or a connection that broke.

    All are transient: names, certificates and proxies get mended within a retry schedule that spans a day. Except for
    `dns`, `refused`, `unreachable` and `tls` the receiver may have acted on what it got.
    """

    def __init__(self, kind: UnreachableKind, detail: str) -> None:
        super().__init__(detail)
        self.kind: UnreachableKind = kind


class DialRefused(OSError):
    """The guard at the socket said no. An OSError, because aiohttp's connection race keeps only those."""
