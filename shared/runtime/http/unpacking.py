"""Bodies that come compressed (RFC 9110, section 8.4): gzip and deflate, unpacked no further than somebody will read.

Guarantee: whatever the bytes are, no more than `bytes_max` + 1 of them are made, so that a megabyte which would unfold to a
gigabyte costs what a megabyte does; a stream that ends early, or has anything behind it, is refused.
"""

import zlib

GZIP = "gzip"
DEFLATE = "deflate"
TAKEN = f"{GZIP}, {DEFLATE}"

MEMBERS_MAX = 64
"""A gzip stream may be several, one behind the other. Each costs a copy of what is left, so their number is bounded."""

# Some senders name the charset here; it changes no byte.
_NOTHING_DONE = frozenset({"", "identity", "utf-8"})
_GZIP_WINDOW = 16 + zlib.MAX_WBITS
_DEFLATE_METHOD = 8


class CodingNotTaken(Exception):
    """The body is in a coding, or in several, that nobody here can undo."""


class NotUnpackable(Exception):
    """The bytes are not what their coding says, or not all of it."""


class UnpacksTooLarge(Exception):
    """There is more than `bytes_max`."""


def coding_of(content_encoding: str) -> str | None:
    """`GZIP`, `DEFLATE`, or None where the body is as it comes. Raises CodingNotTaken."""
    name = content_encoding.strip().lower().removeprefix("x-")
    if name in (GZIP, DEFLATE):
        return name
    if name in _NOTHING_DONE:
        return None
    raise CodingNotTaken(name)


def unpack(packed: bytes, coding: str, *, bytes_max: int) -> bytes:
    """What was packed. Raises UnpacksTooLarge and NotUnpackable."""
    body = bytearray()
    members = MEMBERS_MAX if coding == GZIP else 1
    while packed and members:
        members -= 1
        stream = zlib.decompressobj(_window(packed, coding))
        try:
            body += stream.decompress(packed, bytes_max + 1 - len(body))
        except zlib.error:
            raise NotUnpackable from None  # its text may show the sender's bytes
        if len(body) > bytes_max:
            raise UnpacksTooLarge
        if not stream.eof:
            raise NotUnpackable
        packed = stream.unused_data
    if packed:
        raise NotUnpackable
    return bytes(body)


def _window(packed: bytes, coding: str) -> int:
    """What zlib is told to expect. Many send deflate without the zlib header that RFC 9110 asks for: both are taken."""
    if coding == GZIP:
        return _GZIP_WINDOW
    return zlib.MAX_WBITS if packed[0] & 0x0F == _DEFLATE_METHOD else -zlib.MAX_WBITS
