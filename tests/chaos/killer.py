"""Kills at random moments: the app, the postmaster, both; one of each while a rebuild runs. Next: `verdict.py`."""

import asyncio
from collections import Counter
from random import Random
from typing import Literal

import aiohttp

from shared.testing.platform import RunningPlatform
from shared.testing.waiting import eventually

Way = Literal["app", "postmaster", "both"]
WAYS: tuple[Way, ...] = ("app", "postmaster", "both")

READY_SECONDS = 60.0
PAUSE_SECONDS_MAX = 1.5


class Killer:
    """`done` counts the kills that really hit a living process."""

    def __init__(self, platform: RunningPlatform, random: Random, *, of_each: int) -> None:
        self._platform = platform
        self._random = random
        self.kinds = WAYS
        self.least = of_each
        self.done: Counter[str] = Counter()
        self.slowest_seconds = 0.0

    async def campaign(self) -> None:
        """So many kills of each way, in random order; one of each way in the middle of a rebuild."""
        moments = [(way, number == 0) for way in WAYS for number in range(self.least)]
        self._random.shuffle(moments)
        for way, rebuilding in moments:
            await asyncio.sleep(self._random.uniform(0.05, PAUSE_SECONDS_MAX))  # the random moment is the test
            if rebuilding:
                await self._kill_during_rebuild(way)
            else:
                await self._kill(way)

    async def _kill_during_rebuild(self, way: Way) -> None:
        """Somewhere in a rebuild, but not while its process starts."""
        loop = asyncio.get_running_loop()
        begin = loop.time()
        await self._platform.cli("rebuild")
        whole_seconds = loop.time() - begin
        while not self.done[f"{way} while rebuilding"]:
            rebuild = await self._platform.spawn_cli("rebuild")
            try:
                await asyncio.sleep(whole_seconds * self._random.uniform(0.3, 0.95))  # as above
                if rebuild.returncode is None:
                    await self._kill(way)
                    self.done[f"{way} while rebuilding"] += 1
                async with asyncio.timeout(READY_SECONDS):
                    await rebuild.communicate()  # it may fail: nobody has switched to what it left
            finally:
                if rebuild.returncode is None:
                    rebuild.kill()
                    await rebuild.wait()

    async def _kill(self, way: Way) -> None:
        loop = asyncio.get_running_loop()
        begin = loop.time()
        killed = None
        if way in ("postmaster", "both"):
            killed = self._platform.kill9_postmaster()
            assert killed, "there was no PostgreSQL to kill"
        if way in ("app", "both"):
            await self._platform.kill9()
            await self._platform.restart()
        await self._until_ready(killed)
        self.done[way] += 1
        seconds = loop.time() - begin
        self.slowest_seconds = max(self.slowest_seconds, seconds)
        print(f"  {way}: ready again after {seconds:.1f} s", flush=True)

    async def _until_ready(self, killed: int | None) -> None:
        """Ready on another server than the one that was killed: an app that has not noticed yet is not ready again."""
        async with aiohttp.ClientSession() as session:

            async def is_ready() -> bool:
                assert self._platform.alive, f"the app has ended by itself\n{self._platform.log_tail()}"
                try:
                    async with session.get(
                        f"{self._platform.url}/readyz", timeout=aiohttp.ClientTimeout(total=2)
                    ) as answer:
                        ready = answer.status == 200
                except (TimeoutError, aiohttp.ClientError, OSError):
                    return False
                return ready and self._platform.postmaster_pid() not in (None, killed)

            await eventually(is_ready, "the platform is ready again", timeout_seconds=READY_SECONDS)
