"""One question in Kafka's protocol, by hand: who is in the cluster? It tells readiness without a client library.

Metadata v4 is the oldest version whose layout every Kafka from 0.11 to 4 shares. Next: `kafka.py`.
"""

import asyncio
import struct
from dataclasses import dataclass

_METADATA = 3
_VERSION = 4
_CORRELATION = 7
_CLIENT = b"readiness"
_ANSWER_SECONDS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterMetadata:
    """`brokers` maps the ids of those that are alive to their address on the listener that was asked."""

    brokers: dict[int, str]
    controller: int


async def ask_metadata(host: str, port: int) -> ClusterMetadata | None:
    """None: nobody listens, or nobody answers within two seconds. The listener must be one in plain text."""
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(_request())
                size = struct.unpack(">i", await reader.readexactly(4))[0]
                return _parse(await reader.readexactly(size))
            finally:
                writer.close()
    except (OSError, TimeoutError, asyncio.IncompleteReadError):
        return None


def _request() -> bytes:
    header = struct.pack(">hhih", _METADATA, _VERSION, _CORRELATION, len(_CLIENT)) + _CLIENT
    no_topics, create_none = struct.pack(">i", 0), b"\x00"
    body = header + no_topics + create_none
    return struct.pack(">i", len(body)) + body


def _parse(answer: bytes) -> ClusterMetadata:
    correlation, _throttled, count = struct.unpack_from(">iii", answer)
    assert correlation == _CORRELATION
    at, brokers = 12, {}
    for _ in range(count):
        (number,) = struct.unpack_from(">i", answer, at)
        host, at = _text(answer, at + 4)
        (port,) = struct.unpack_from(">i", answer, at)
        _rack, at = _text(answer, at + 4)
        brokers[number] = f"{host}:{port}"
    _cluster, at = _text(answer, at)
    (controller,) = struct.unpack_from(">i", answer, at)
    return ClusterMetadata(brokers=brokers, controller=controller)


def _text(answer: bytes, at: int) -> tuple[str | None, int]:
    """A string behind its length; -1 stands for none."""
    (length,) = struct.unpack_from(">h", answer, at)
    at += 2
    return (None, at) if length < 0 else (answer[at : at + length].decode(), at + length)
