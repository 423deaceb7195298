"""What happened on the wire, as trouble with a stable kind: the one place that knows aiohttp's exceptions."""

import errno
import ssl

import aiohttp
from aiohttp.http_exceptions import LineTooLong

from shared.domain.errors import UpshotError
from shared.runtime.egress.trouble import DialRefused, EgressRefused, ReceiverTimeout, ReceiverUnreachable
from shared.runtime.egress.url import Target


def translated(
    trouble: aiohttp.ClientError | OSError, target: Target, timeout_seconds: float, status: int | None
) -> UpshotError:
    """The error to raise for `trouble`; `status` is set where the head of an answer had arrived."""
    host = target.host
    match trouble:
        case aiohttp.ConnectionTimeoutError():
            return ReceiverTimeout("connect_timeout", f"no connection to {host} in time")
        case TimeoutError():
            seen = "no answer" if status is None else f"status {status}, but not the whole answer,"
            return ReceiverTimeout("timeout", f"{seen} from {host} within {timeout_seconds:g} s", status=status)
        case aiohttp.ClientSSLError():
            return ReceiverUnreachable("tls", f"no trusted TLS connection to {host}: {_tls_reason(trouble)}")
        case aiohttp.ClientConnectorError():
            return _not_connected(trouble.os_error, host)
        case aiohttp.ClientResponseError():
            if _too_large(trouble):
                return ReceiverUnreachable("too_large_headers", f"{host} answered with headers over the limit")
            return ReceiverUnreachable("bad_response", f"{host} answered with something that is not HTTP")
        case aiohttp.ClientConnectionError() | aiohttp.ClientPayloadError() | OSError():
            when = "without an answer" if status is None else f"amid its answer (status {status})"
            return ReceiverUnreachable("reset", f"{host} closed the connection {when}")
        case _:
            return ReceiverUnreachable("bad_response", f"{host} answered with something that is not HTTP")


def _not_connected(reason: OSError, host: str) -> UpshotError:
    match reason:
        case DialRefused():
            return EgressRefused("address", str(reason))
        case ConnectionRefusedError():
            return ReceiverUnreachable("refused", f"{host} refused the connection")
        case ConnectionResetError():
            return ReceiverUnreachable("reset", f"{host} closed the connection before it stood")
        case _:
            why = errno.errorcode.get(reason.errno or 0, "no route")
            return ReceiverUnreachable("unreachable", f"{host} cannot be reached ({why})")


def _tls_reason(trouble: aiohttp.ClientSSLError) -> str:
    reason = trouble.__cause__
    if isinstance(reason, ssl.SSLCertVerificationError):
        return reason.verify_message
    return (reason.reason if isinstance(reason, ssl.SSLError) else None) or "the handshake failed"


def _too_large(trouble: BaseException) -> bool:
    # The parser's own exception is the last of the chain; too many headers has no class of its own.
    cause: BaseException | None = trouble
    while cause is not None:
        if isinstance(cause, LineTooLong) or "Too many headers" in str(cause):
            return True
        cause = cause.__cause__
    return False
