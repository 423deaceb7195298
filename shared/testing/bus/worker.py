"""A bus in a process of its own, driven line by line: `python -m shared.testing.bus.worker ADAPTER ADDRESS`.

Reads one JSON array `[command, argument, …]` a line, answers `{"ok": …}` or `{"error": class name}` a line, until its
input ends. The test's side is `Worker`.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any, Self

from shared.bus.port import Bus, Membership, NewRecord
from shared.domain.errors import UpshotError
from shared.testing.bus import harness


class Worker:
    """The test's side: starts the process, sends commands, signals it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    @classmethod
    async def start(cls, adapter: str, address: str) -> Self:
        """Returns once the worker's bus is open."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "shared.testing.bus.worker", adapter, address),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        worker = cls(process)
        await worker.call("ping")
        return worker

    async def call(self, *command: object) -> Any:  # whatever JSON the command answers with
        """The command's answer; RuntimeError(class name) where it raised."""
        self.send(*command)
        return await self.answer()

    def send(self, *command: object) -> None:
        """Only send it."""
        assert self.process.stdin is not None  # started with a pipe
        self.process.stdin.write(json.dumps(command).encode() + b"\n")

    async def answer(self) -> Any:  # as above
        """The next answer."""
        assert self.process.stdout is not None  # started with a pipe
        answer = json.loads(await self.process.stdout.readline())
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["ok"]

    async def stop(self) -> None:
        """End it, whatever state it is in."""
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()


class _Commands:
    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._member: Membership | None = None

    async def ping(self) -> str:
        return "here"

    async def append_often(self, topic: str, keys: list[str], times: int) -> int:
        """`times` appends, each with one record per key in the order given."""
        for number in range(times):
            records = [NewRecord(topic=topic, key=key.encode(), headers=(), value=str(number).encode()) for key in keys]
            await self._bus.append(records)
        return times

    async def join(self, group: str, topic: str, member_id: str) -> None:
        self._member = await self._bus.join(group, topic, member_id=member_id)

    async def next_assignment(self, timeout_seconds: float) -> list[Any] | None:  # [generation, partitions, revoked]
        assignment = await self.member.next_assignment(timeout_seconds=timeout_seconds)
        if assignment is None:
            return None
        return [assignment.generation, sorted(assignment.partitions), sorted(assignment.revoked)]

    async def commit(self, offsets: dict[str, int], generation: int) -> None:
        await self.member.commit({int(partition): at for partition, at in offsets.items()}, generation=generation)

    async def alive(self) -> bool:
        return self.member.alive()

    @property
    def member(self) -> Membership:
        assert self._member is not None, "join first"
        return self._member


async def _serve(adapter: str, address: str) -> None:
    commands = _Commands(await harness(adapter).open_at(address))
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        name, *arguments = json.loads(line)
        command: Callable[..., Awaitable[object]] = getattr(commands, name)
        try:
            answer: dict[str, object] = {"ok": await command(*arguments)}
        except UpshotError as error:
            answer = {"error": type(error).__name__}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], sys.argv[2]))
