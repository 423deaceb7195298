"""HTTP/1.1 as bytes, and commands as JSON lines: what the bench's own processes share.

Raw asyncio protocols instead of an HTTP library: the generator and the receiver run on the cores that are measured, and a
library's per-request work would be most of what they cost.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any, cast

_LENGTH = b"content-length:"


class Messages(asyncio.Protocol):
    """Cuts a connection's bytes into whole messages; every body has a Content-Length."""

    def __init__(self) -> None:
        self._buffer = b""
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is one without inheriting from it

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data if self._buffer else data
        while True:
            end = buffer.find(b"\r\n\r\n")
            if end < 0:
                break
            head = buffer[:end].lower()
            at = head.find(_LENGTH)
            length = 0
            if at >= 0:
                stop = head.find(b"\r\n", at)
                length = int(head[at + len(_LENGTH) : stop if stop >= 0 else len(head)])
            whole = end + 4 + length
            if len(buffer) < whole:
                break
            self.message(head, buffer[end + 4 : whole])
            buffer = buffer[whole:]
        self._buffer = buffer

    def message(self, head: bytes, body: bytes) -> None:
        """One whole message; `head` in lower case."""
        raise NotImplementedError


async def obey(answer: Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]) -> None:
    """Answer JSON lines from standard input until it ends."""
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader(limit=64 * 1024 * 1024)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        print(json.dumps(await answer(json.loads(line))), flush=True)


class Helper:
    """The bench's side of such a process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, script: str, *arguments: str) -> "Helper":
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, script, *arguments),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=64 * 1024 * 1024,
        )
        return cls(process)

    @property
    def pid(self) -> int:
        return self._process.pid

    async def ask(self, timeout_seconds: float = 60.0, **command: object) -> Any:  # JSON, as the command answers
        assert self._process.stdin is not None  # started with pipes
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")
        async with asyncio.timeout(timeout_seconds):
            line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the helper process {self.pid} has died")
        return json.loads(line)

    async def close(self) -> None:
        """Its input ends, and so does it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            async with asyncio.timeout(5.0):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
