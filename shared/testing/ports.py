"""Ports for servers that are started later, or again: no other test process of this machine is given the same.

They lie below the range of which the system picks those of outgoing connections: a stopped server finds its own free again.
"""

import itertools
import os
import socket
import sys

_HOST = "127.0.0.1"
_PORTS = range(10_000, 32_000)
_tried = itertools.count(os.getpid() * 41)
_reservations: list[socket.socket] = []


def free_port(wished: int | None = None) -> int:
    """On 127.0.0.1, where nothing listens; the one that is wished for, if it can be. It stays this process's until its end."""
    if wished is not None and _reserve(wished) and _is_free(wished):
        return wished
    for number in itertools.islice(_tried, len(_PORTS)):
        port = _PORTS[number % len(_PORTS)]
        if _reserve(port) and _is_free(port):
            return port
    raise RuntimeError(f"no free port from {_PORTS.start} to {_PORTS.stop}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((_HOST, port))
        except OSError:
            return False
    return True


def _reserve(port: int) -> bool:
    """By a name that only one process can hold, and that the system lets go of with it. Linux alone has such names."""
    if sys.platform != "linux":
        return True
    holder = socket.socket(socket.AF_UNIX)
    try:
        holder.bind(f"\0upshot-test-port-{port}")
    except OSError:
        holder.close()
        return False
    _reservations.append(holder)
    return True
