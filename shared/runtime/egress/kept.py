"""Connections that are kept between calls, and what a receiver may do to one: nothing, until it is asked again.

All tenants of a process share them, so an answer must never be taken for that of a later call. Guarantees: a connection
over which anything came while nothing was asked of it, its end included, is not used again; the status of a well-formed
head stands, whatever bytes follow the answer, in the same packet or in a later one. Next: `exchange.py`, the one caller.
"""

import asyncio
import re
import select
from functools import partial
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.helpers import set_exception
from aiohttp.http import RawResponseMessage
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.streams import StreamReader

HEADERS_MAX = 100  # of an answer; each at most
HEADER_BYTES_MAX = 8190
READ_BUFFER_BYTES = 65_536
ANSWER_HEADS_MAX = 32
"""Heads of one answer, the final one among them: who sends more says nothing, and holds up everybody with it."""

_HEAD_END = re.compile(rb"\n\r?\n")  # the parser, too, takes a line that ends without CR
_END_BYTES_MAX = 3
_NEVER_WITH_BODY = frozenset({204, 304})


class KeepingConnector(aiohttp.TCPConnector):
    """aiohttp's pool, of connections that watch what comes while they are kept."""

    def __init__(self, **options: Any) -> None:  # any: handed on as they are
        super().__init__(**options)
        # What the pool makes of each socket.
        self._factory = partial(AnswerProtocol, loop=self._loop)  # type: ignore[assignment]  # partial is invariant


class AnswerProtocol(ResponseHandler):
    """aiohttp's protocol, told when an answer is due: `expect` before each request.

    `spoke_first`: something came before the first request.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.spoke_first = False
        self._head_due = False
        self._heads = 0
        self._seam = b""
        """The last bytes of a head or of a chunked body, among which its end may have begun."""
        self._body: StreamReader | None = None
        self._body_bytes_left: int | None = None
        """Less than none: surplus. None: the answer did not say how many there are."""
        self._unread: select.poll | None = None

    def still_silent(self) -> bool:
        """Whether a kept connection may be used: neither bytes nor an end wait to be read, which the loop may not know yet.

        A new one always may: TLS speaks by itself after its handshake.
        """
        if self._unread is None:
            return True
        return self.transport is not None and not self._unread.poll(0)

    def expect(self, *, head_only: bool) -> None:
        """From now on what comes is the answer to one request, about to be written."""
        if self._unread is None and self.transport is not None:
            self._unread = select.poll()
            self._unread.register(self.transport.get_extra_info("socket").fileno(), select.POLLIN)
        self._head_due, self._heads, self._seam, self._body = True, 0, b"", None
        self.set_response_params(
            skip_payload=head_only,
            read_until_eof=True,
            auto_decompress=False,  # nobody asked for compression; a bomb stays folded
            read_bufsize=READ_BUFFER_BYTES,
            max_line_size=HEADER_BYTES_MAX,
            max_field_size=HEADER_BYTES_MAX,
            max_headers=HEADERS_MAX,
        )

    def data_received(self, data: bytes) -> None:
        """Not aiohttp's own, which loses a head where it cannot read what lies behind it in the same packet."""
        if data and self._head_due:
            data = self._take_heads(data)
        body = self._body
        if body is None:
            if not self._head_due:
                self.spoke_first = True
                self.abort()
        elif not body.is_eof():
            # also where there is no `data`: a reader goes on that had been held back
            if self._body_bytes_left is not None:
                self._body_bytes_left -= len(data)
            else:
                self._seam = (self._seam + data)[-_END_BYTES_MAX:]
            self._parse(data)
            if body.is_eof():
                if self._exception is not None or self._has_surplus():
                    self.abort()
            elif self._exception is not None:
                set_exception(body, self._exception)
        elif data:
            self.abort()

    def _take_heads(self, data: bytes) -> bytes:
        """Hand the parser each head by itself, or as much of it as came. What is left lies behind the final one."""
        text = self._seam + data if self._seam else data
        at, searched = len(self._seam), 0
        self._seam = b""
        while at < len(text) and self._head_due and self._exception is None:
            found = _HEAD_END.search(text, searched)
            end = found.end() if found is not None else len(text)
            if found is None:
                self._seam = text[max(searched, end - _END_BYTES_MAX) :]
            elif self._heads >= ANSWER_HEADS_MAX:
                self._fail(HttpProcessingError(message="interim answers without end"))
                break
            else:
                self._heads += 1
            self._parse(text[at:end])
            at = searched = end
        return text[at:]

    def _parse(self, data: bytes) -> None:
        assert self._parser is not None  # since `expect`
        try:
            messages, self._upgraded, _ = self._parser.feed_data(data)
        except HttpProcessingError as error:
            self._fail(error)
            return
        for message, body in messages:
            if not self._head_due:
                self.force_close()  # a second answer right behind the first: nobody asked for it
                return
            if is_final(message.code):
                self._begin_body(message, body)
            self.feed_data((message, body), 0)

    def _fail(self, error: HttpProcessingError) -> None:
        self.set_exception(error)
        if self.transport is not None:
            self.transport.close()

    def _begin_body(self, message: RawResponseMessage, body: StreamReader) -> None:
        self._head_due, self._body, self._payload = False, body, body
        length = None if message.chunked else message.headers.get("Content-Length")
        self._body_bytes_left = int(length) if length is not None else None  # digits, or the parser had refused it
        # What a 204 announces never comes, or comes as what nobody asked for.
        announced = message.code in _NEVER_WITH_BODY and (message.chunked or self._body_bytes_left)
        if announced or message.should_close:
            self.force_close()

    def _has_surplus(self) -> bool:
        """Whether bytes came behind a whole body; the parser is content with such as may begin another answer."""
        if self._body_bytes_left is not None:
            return self._body_bytes_left < 0
        return not self._seam.endswith((b"\n\r\n", b"\n\n"))  # the end of the last chunk, or of trailers


def is_final(status: int) -> bool:
    """Whether no other answer follows: the protocol changes after 101, and ends for us."""
    return not 100 <= status < 200 or status == 101
