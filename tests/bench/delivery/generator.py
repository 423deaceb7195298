"""Sends signed deliveries over keep-alive connections: as fast as they are answered, or at a fixed rate.

Every request's bytes are made before the clock starts, so that its own CPU while measuring is writing and reading sockets.
Commands: `load {host, ports, paths, secrets, first, count}`; `saturate {connections}`; `pace {connections, per_second}`.
"""

import asyncio
import gc
import hashlib
import hmac
import json
import sys
import time
from collections import Counter, deque
from pathlib import Path
from typing import Any

import uvloop

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from tests.bench.delivery.wire import Messages, obey

BODY_BYTES = 2028
_BLOCKED_SECONDS = 0.0015


def body_of(number: int) -> bytes:
    """A GitHub-like `issues` payload of exactly `BODY_BYTES`, told apart by its number."""
    payload = {
        "action": "opened",
        "issue": {
            "id": 73464126,
            "number": 1347,
            "title": f"bench-{number:08d}",
            "user": {"login": "octocat", "id": 1, "type": "User", "site_admin": False},
            "labels": [{"id": 208045946, "name": "bug", "color": "f29513", "default": True}],
            "state": "open",
            "comments": 0,
            "created_at": "2026-01-12T09:30:00Z",
            "author_association": "CONTRIBUTOR",
            "body": "",
        },
        "repository": {
            "id": 1296269,
            "full_name": "octocat/hello-world",
            "private": False,
            "owner": {"login": "octocat", "id": 1},
            "default_branch": "main",
            "topics": ["octocat", "atom", "electron", "api"],
            "stargazers_count": 80,
        },
        "sender": {"login": "octocat", "id": 1, "type": "User"},
    }
    room = BODY_BYTES - len(json.dumps(payload))
    words = "Steps to reproduce: open the page, press the button, and see what happens instead of what should. "
    payload["issue"]["body"] = (words * (room // len(words) + 1))[:room]  # type: ignore[index]  # a dict, see above
    return json.dumps(payload).encode()


def request_of(number: int, host: str, path: str, secret: str) -> bytes:
    body = body_of(number)
    assert len(body) == BODY_BYTES
    signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nX-GitHub-Event: issues\r\n"
        f"X-GitHub-Delivery: bench-{number}\r\nX-Hub-Signature-256: sha256={signature}\r\n"
        f"Content-Length: {BODY_BYTES}\r\n\r\n"
    )
    return head.encode() + body


class Connection(Messages):
    def __init__(self, load: "Load") -> None:
        super().__init__()
        self._load = load

    def message(self, head: bytes, body: bytes) -> None:
        self._load.statuses[int(head[9:12])] += 1
        self._load.answered(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._load.lost += not self._load.over.is_set()


class Load:
    """One measurement: the requests that are left, and the connections that are idle."""

    def __init__(self, requests: list[bytes]) -> None:
        self.waiting = deque(requests)
        self.total = len(requests)
        self.statuses: Counter[int] = Counter()
        self.idle: deque[Connection] = deque()
        self.lost = 0
        self.over = asyncio.Event()
        self._due = 0

    async def connect(self, host: str, ports: list[int], connections: int) -> None:
        """To all ports alike."""
        loop = asyncio.get_running_loop()
        for number in range(connections):
            _, connection = await loop.create_connection(lambda: Connection(self), host, ports[number % len(ports)])
            self.idle.append(connection)

    def release(self, count: int) -> None:
        """So many more may be sent now."""
        self._due += count
        while self._due and self.idle and self.waiting:
            connection = self.idle.popleft()
            assert connection.transport is not None  # it is connected
            connection.transport.write(self.waiting.popleft())
            self._due -= 1

    def answered(self, connection: Connection) -> None:
        self.idle.append(connection)
        if sum(self.statuses.values()) == self.total:
            self.over.set()
        else:
            self.release(0)

    def close(self) -> None:
        self.over.set()
        for connection in self.idle:
            if connection.transport is not None:
                connection.transport.close()


async def saturate(load: Load, timeout_seconds: float) -> dict[str, Any]:
    first_send = time.monotonic()
    load.release(load.total)
    await _over(load, timeout_seconds)
    return {"first_send": first_send, "last_answer": time.monotonic(), **_result(load)}


async def pace(load: Load, per_second: float, timeout_seconds: float) -> dict[str, Any]:
    begin = time.monotonic() + 0.05
    due = [begin + n / per_second for n in range(load.total)]
    for at in due:
        left = at - time.monotonic()
        if left > _BLOCKED_SECONDS:
            await asyncio.sleep(left - _BLOCKED_SECONDS)
        # The loop's timers are whole milliseconds. The rest is slept exactly, without spinning on a core that is measured.
        time.sleep(max(0.0, at - time.monotonic()))
        load.release(1)
    await _over(load, timeout_seconds)
    return {"due": due, **_result(load)}


async def _over(load: Load, timeout_seconds: float) -> None:
    try:
        async with asyncio.timeout(timeout_seconds):
            await load.over.wait()
    except TimeoutError:
        pass


def _result(load: Load) -> dict[str, Any]:
    return {"statuses": dict(load.statuses), "lost_connections": load.lost}


async def main() -> None:
    requests: list[bytes] = []
    place = ("127.0.0.1", [0])

    async def answer(command: dict[str, Any]) -> dict[str, Any]:
        nonlocal requests, place
        match command["do"]:
            case "load":
                place = (command["host"], command["ports"])
                targets = list(zip(command["paths"], command["secrets"], strict=True))
                requests = [
                    request_of(number, f"{place[0]}:{place[1][0]}", *targets[number % len(targets)])
                    for number in range(command["first"], command["first"] + command["count"])
                ]
                gc.freeze()
                return {}
            case "saturate" | "pace":
                load = Load(requests)
                await load.connect(*place, command["connections"])
                if command["do"] == "saturate":
                    result = await saturate(load, command["timeout"])
                else:
                    result = await pace(load, command["per_second"], command["timeout"])
                load.close()
                return result
        raise ValueError(command)

    await obey(answer)


if __name__ == "__main__":
    uvloop.run(main())
