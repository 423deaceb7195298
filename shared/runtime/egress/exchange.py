"""One request and its answer over a kept connection: the head and the body as one write, the answer by aiohttp's own parser.

The pool, the guarded dialling, TLS and the parsing are aiohttp's; what its session does beside them for every call
(payload objects, cookies, redirects, a task that writes) costs more than the call itself, and is nothing that we want.
Guarantee: whatever happens, the connection is given back or closed; it is kept only when all was sent and all was read.
Next: `kept.py`, what may come over a kept one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import aiohttp
from aiohttp.connector import Connection
from aiohttp.http import RawResponseMessage
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from shared.runtime.egress.kept import AnswerProtocol, KeepingConnector, is_final

_WITHOUT_BODY = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods whose missing body needs no `Content-Length: 0`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """A URL, prepared once for all calls to it."""

    path_qs: str
    host: str
    """As the `Host` header names it."""
    dial: aiohttp.ClientRequest
    """What the connector needs to know to find or to open a connection."""

    @classmethod
    def of(cls, url: URL) -> Self:
        """Must be called inside the running loop."""
        dial = aiohttp.ClientRequest("GET", url)
        return cls(path_qs=url.raw_path_qs, host=dial.headers["Host"], dial=dial)


class Exchange:
    """`begin`, `body`, then `end`; where anything is raised, `abandon`."""

    __slots__ = ("_connection", "_destination", "_payload", "_protocol")

    def __init__(self, connection: Connection, protocol: AnswerProtocol, destination: Destination) -> None:
        self._connection = connection
        self._protocol = protocol
        self._destination = destination

    @classmethod
    async def open(
        cls, connector: KeepingConnector, destination: Destination, timeout: aiohttp.ClientTimeout
    ) -> "Exchange":
        """A connection to it, kept or new. `timeout` says how long opening one may take."""
        while True:  # ends: what is not fit is closed, and a new one always is
            try:
                connection = await connector.connect(destination.dial, [], timeout)
            except TimeoutError as error:
                raise aiohttp.ConnectionTimeoutError(f"no connection to {destination.host}") from error
            protocol = connection.protocol
            assert isinstance(protocol, AnswerProtocol)  # the connector makes no other
            if protocol.still_silent():
                return cls(connection, protocol, destination)
            connection.close()

    async def begin(self, method: str, headers: Mapping[str, str], body: bytes) -> RawResponseMessage:
        """Send the request and wait for the answer's head."""
        protocol = self._protocol
        if protocol.spoke_first:
            raise self._unreadable(HttpProcessingError(message="it spoke before it was asked"))
        if protocol.transport is None:
            raise aiohttp.ClientConnectionError("the connection was closed")
        protocol.expect(head_only=method == "HEAD")
        protocol.transport.write(self._request(method, headers, body))
        try:
            while True:
                message, self._payload = await protocol.read()
                if is_final(message.code):
                    return message
        except HttpProcessingError as error:
            raise self._unreadable(error) from error

    async def body(self, bytes_max: int) -> tuple[bytes, bool]:
        """At most `bytes_max` bytes of it, and whether there was more. The stream itself holds back the sender."""
        chunks: list[bytes] = []
        size = 0
        try:
            while chunk := await self._payload.readany():
                chunks.append(chunk)
                size += len(chunk)
                if size > bytes_max:
                    return b"".join(chunks)[:bytes_max], True
        except HttpProcessingError as error:
            raise self._unreadable(error) from error
        return (chunks[0] if len(chunks) == 1 else b"".join(chunks)), False

    def end(self, *, whole: bool) -> None:
        """Give the connection back; `whole`: the answer was read to its end."""
        transport = self._protocol.transport
        if whole and transport is not None and not transport.get_write_buffer_size():
            self._connection.release()  # the pool closes it where the answer said so
        else:
            self._connection.close()

    def abandon(self) -> None:
        """Close the connection: nobody knows what would come over it next."""
        self._connection.close()

    def _request(self, method: str, headers: Mapping[str, str], body: bytes) -> bytes:
        head = [f"{method} {self._destination.path_qs} HTTP/1.1\r\nHost: {self._destination.host}\r\n"]
        head += [f"{name}: {value}\r\n" for name, value in headers.items()]
        if body or method not in _WITHOUT_BODY:
            head.append(f"Content-Length: {len(body)}\r\n\r\n")
        else:
            head.append("\r\n")
        return "".join(head).encode() + body

    def _unreadable(self, error: HttpProcessingError) -> aiohttp.ClientResponseError:
        request = self._destination.dial.request_info
        return aiohttp.ClientResponseError(request, (), status=error.code, message=error.message)
