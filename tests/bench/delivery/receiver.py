"""The endpoint that deliveries arrive at: answers 200 at once and remembers when each numbered body first came.

Commands: `port`; `reset`; `wait {count, timeout}` → how many came, when first and last, how often again, and each arrival.
Times are CLOCK_MONOTONIC, which all processes of one machine share.
"""

import asyncio
import sys
import time
from pathlib import Path
from typing import Any

import uvloop

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from tests.bench.delivery.wire import Messages, obey

MARK = b"bench-"
_DIGITS = 8
_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class Arrivals:
    def __init__(self) -> None:
        self.at: dict[int, float] = {}
        self.again = 0
        self.wanted = 0
        self.complete = asyncio.Event()

    def note(self, body: bytes) -> None:
        now = time.monotonic()
        place = body.find(MARK)
        if place < 0:
            return
        number = int(body[place + len(MARK) : place + len(MARK) + _DIGITS])
        if number in self.at:
            self.again += 1
            return
        self.at[number] = now
        if len(self.at) == self.wanted:
            self.complete.set()


class Connection(Messages):
    def __init__(self, arrivals: Arrivals) -> None:
        super().__init__()
        self._arrivals = arrivals

    def message(self, head: bytes, body: bytes) -> None:
        self._arrivals.note(body)
        assert self.transport is not None  # it brought the bytes
        self.transport.write(_OK)


async def main() -> None:
    arrivals = Arrivals()
    server = await asyncio.get_running_loop().create_server(lambda: Connection(arrivals), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    async def answer(command: dict[str, Any]) -> dict[str, Any]:
        match command["do"]:
            case "port":
                return {"port": port}
            case "reset":
                arrivals.at, arrivals.again = {}, 0
                return {}
            case "wait":
                arrivals.wanted = command["count"]
                arrivals.complete.clear()
                if len(arrivals.at) < arrivals.wanted:
                    try:
                        async with asyncio.timeout(command["timeout"]):
                            await arrivals.complete.wait()
                    except TimeoutError:
                        pass
                return {"count": len(arrivals.at), "again": arrivals.again}
            case "arrivals":
                return {"at": list(arrivals.at.items())}
        raise ValueError(command)

    await obey(answer)


if __name__ == "__main__":
    uvloop.run(main())
