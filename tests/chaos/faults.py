"""What brokers, processes and networks do to services apart on Kafka: killed, frozen, cut off, joined and left.

Two processes of every service; the second of each meets its brokers only through proxies. A process and what it stands on may
fail at the same time; of either, every fault is mended before the next. A process that ends by itself is started again, as
a supervisor would, and counted. Next: `verdict.py`.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from random import Random
from typing import TypeAlias

import aiohttp
import psutil

from services.matcher.service.matcher import GROUP
from shared.bus.topics import EVENTS
from shared.runtime.embedded_postgres.processes import server_processes
from shared.testing.kafka import KafkaCluster, kafka_cluster
from shared.testing.platform import RunningPlatform
from shared.testing.proxy import Network, tcp_proxies
from shared.testing.services import SERVICES, RunningServices, running_services
from shared.testing.waiting import eventually
from shared.testing.workspace import Workspace
from tests.chaos.verdict import ground_of

SESSION_TIMEOUT_SECONDS = 4.0
READY_SECONDS = 90.0
PAUSE_SECONDS_MAX = 0.8
OUTAGE_SECONDS_MAX = 4.0
_RESTART_PAUSE_SECONDS = 0.5
_TOLD_CHARACTERS = 500
_FROZEN_SECONDS = SESSION_TIMEOUT_SECONDS + 2.0


Fault: TypeAlias = Callable[[Random], Awaitable[None]]
"""Breaks something, its choices from the given source, and mends it."""


class Faults:
    """A `Breaker`."""

    def __init__(
        self, services: RunningServices, cluster: KafkaCluster, network: Network, random: Random, *, of_each: int
    ) -> None:
        self._services = services
        self._cluster = cluster
        self._network = network
        self._random = random
        of_processes: Mapping[str, Fault] = {
            **{f"{service} killed": self._killing(service) for service in SERVICES},
            "matcher frozen": self._freezing("matcher"),
            "executor frozen": self._freezing("executor"),
            "projector frozen": self._freezing("projector"),
            "a matcher joins and leaves": self._joining("matcher"),
            "an executor joins and leaves": self._joining("executor"),
        }
        of_what_they_stand_on: Mapping[str, Fault] = {
            "a broker restarts": self._restart_broker,
            "brokers killed one after another": self._kill_brokers,
            "a broker frozen": self._freeze_broker,
            "PostgreSQL stopped": self._stop_postgres,
            "PostgreSQL killed": self._kill_postgres,
            "network hangs": self._hang,
            "network resets": self._reset,
            "network drops": self._drop,
        }
        self._lanes = (of_processes, of_what_they_stand_on)
        self._held: defaultdict[RunningPlatform, asyncio.Lock] = defaultdict(asyncio.Lock)
        """By whoever ends it or starts it."""
        self.kinds: Sequence[str] = (*of_processes, *of_what_they_stand_on)
        self.least = of_each
        self.done: Counter[str] = Counter()
        self.slowest_seconds = 0.0
        self.ended_by_themselves: Counter[str] = Counter()

    async def campaign(self) -> None:
        """Every kind so often: processes fail in random order, and beside that, in an order of its own, what they stand on."""
        supervising = asyncio.create_task(self._supervise(), name="supervisor")
        try:
            async with asyncio.TaskGroup() as group:
                for lane in self._lanes:
                    group.create_task(self._fail(lane, Random(self._random.random())))
            if supervising.done():
                supervising.result()
        finally:
            supervising.cancel()
            await asyncio.gather(supervising, return_exceptions=True)
        print(f"ended by themselves and started again: {dict(self.ended_by_themselves)}")

    async def _fail(self, lane: Mapping[str, Fault], random: Random) -> None:
        """Each fault is mended, and all are ready again, before the lane's next."""
        moments = [kind for kind in lane for _ in range(self.least)]
        random.shuffle(moments)
        for kind in moments:
            await asyncio.sleep(random.uniform(0.05, PAUSE_SECONDS_MAX))  # the random moment is the test
            begin = asyncio.get_running_loop().time()
            await lane[kind](random)
            await self._until_ready(kind)
            seconds = asyncio.get_running_loop().time() - begin
            self.slowest_seconds = max(self.slowest_seconds, seconds)
            self.done[kind] += 1
            print(f"  {kind}: ready again after {seconds:.1f} s", flush=True)

    @asynccontextmanager
    async def _one_of(self, service: str, random: Random) -> AsyncIterator[RunningPlatform]:
        """A living process of the service, which nobody else ends or starts meanwhile."""
        process = random.choice(self._services.of(service))
        async with self._held[process]:
            if not process.alive:
                await self._start_again(process)
            yield process

    def _killing(self, service: str) -> Fault:
        async def kill(random: Random) -> None:
            async with self._one_of(service, random) as process:
                await process.kill9()
                await self._start_again(process)

        return kill

    async def _start_again(self, process: RunningPlatform) -> None:
        """As a supervisor would, until it is ready: what it stands on may be failing, too."""
        deadline = asyncio.get_running_loop().time() + READY_SECONDS
        while True:
            try:
                return await process.restart()
            except AssertionError as ended:
                if process.alive or asyncio.get_running_loop().time() > deadline:
                    raise
                self._tell_of(process, str(ended))
                await asyncio.sleep(_RESTART_PAUSE_SECONDS)  # as supervisors do

    async def _started(self, service: str) -> RunningPlatform:
        """One more of the service."""
        try:
            return await self._services.add(service)
        except AssertionError:
            made = self._services.of(service)[-1]
            await self._start_again(made)
            return made

    def _freezing(self, service: str) -> Fault:
        async def freeze(random: Random) -> None:
            async with self._one_of(service, random) as process:
                process.freeze()
                try:
                    await asyncio.sleep(_FROZEN_SECONDS)  # past the session's timeout: others take over
                finally:
                    process.thaw()

        return freeze

    def _joining(self, service: str) -> Fault:
        async def join_and_leave(random: Random) -> None:
            third = await self._started(service)
            async with self._held[third]:
                await asyncio.sleep(random.uniform(0.5, OUTAGE_SECONDS_MAX))
                if third.alive:
                    assert await third.stop() == 0
                else:
                    self._tell_of(third, third.log_tail())
                self._services.forget(third)

        return join_and_leave

    async def _restart_broker(self, random: Random) -> None:
        await random.choice(self._cluster.nodes).restart()
        await self._cluster.ready()

    async def _kill_brokers(self, random: Random) -> None:
        for node in random.sample(list(self._cluster.nodes), len(self._cluster.nodes)):
            await node.kill()
            await asyncio.sleep(random.uniform(0.2, 2.0))
            await node.restart()
            await self._cluster.ready()

    async def _freeze_broker(self, random: Random) -> None:
        node = random.choice(self._cluster.nodes)
        node.freeze()
        try:
            await asyncio.sleep(_FROZEN_SECONDS)
        finally:
            node.wake()
        await self._cluster.ready()

    async def _stop_postgres(self, random: Random) -> None:
        stopped = [psutil.Process(pid) for pid in server_processes(self._services.postgres_data())]
        assert stopped, "there was no PostgreSQL to stop"
        for process in stopped:
            process.suspend()
        try:
            await asyncio.sleep(random.uniform(1.0, OUTAGE_SECONDS_MAX))
        finally:
            for process in stopped:
                try:
                    process.resume()
                except psutil.NoSuchProcess:
                    continue

    async def _kill_postgres(self, _: Random) -> None:
        async def killed() -> bool:
            return self._services.kill9_postmaster() is not None

        await eventually(killed, "there is a PostgreSQL to kill", timeout_seconds=READY_SECONDS)

    async def _hang(self, random: Random) -> None:
        self._network.hang()
        await self._cut(random)

    async def _drop(self, random: Random) -> None:
        await self._network.drop()
        await self._cut(random)

    async def _reset(self, random: Random) -> None:
        for _ in range(3):
            self._network.reset()
            await asyncio.sleep(random.uniform(0.05, 0.5))

    async def _cut(self, random: Random) -> None:
        try:
            await asyncio.sleep(random.uniform(1.0, _FROZEN_SECONDS))
        finally:
            await self._network.heal()

    async def _supervise(self) -> None:
        while True:
            for process in self._services.all:
                if process.starts and not process.alive and not self._held[process].locked():
                    async with self._held[process]:
                        self._tell_of(process, process.log_tail())
                        await self._start_again(process)
            await asyncio.sleep(0.2)

    def _tell_of(self, process: RunningPlatform, why: str) -> None:
        name = process.log_path.stem.rpartition("-")[2]
        self.ended_by_themselves[name] += 1
        print(f"  {name} ended by itself with {process.process.returncode}:\n{why[-_TOLD_CHARACTERS:]}", flush=True)

    async def _until_ready(self, fault: str) -> None:
        """All processes say that they do their part."""
        waiting: list[tuple[str, RunningPlatform]] = []
        async with aiohttp.ClientSession() as session:

            async def all_are_ready() -> bool:
                processes = tuple(self._services.all)
                answers = await asyncio.gather(*(_readiness(session, each) for each in processes))
                waiting[:] = [(why, each) for why, each in zip(answers, processes, strict=True) if why]
                return not waiting

            await eventually(
                all_are_ready,
                f"all are ready again after: {fault}",
                timeout_seconds=READY_SECONDS,
                interval_seconds=0.2,
                explain=lambda: "\n".join(f"{why}\n{process.log_tail()}" for why, process in waiting),
            )


async def _readiness(session: aiohttp.ClientSession, process: RunningPlatform) -> str:
    """Why it is not ready, or nothing."""
    name = process.log_path.stem
    try:
        async with session.get(f"{process.url}/readyz", timeout=aiohttp.ClientTimeout(total=3)) as answer:
            return "" if answer.status == 200 else f"{name}: {await answer.text()}"
    except (TimeoutError, aiohttp.ClientError, OSError) as error:
        return f"{name}: {error!r}"


@asynccontextmanager
async def services_on_three_brokers(
    space: Workspace, name: str, environment: Mapping[str, str]
) -> AsyncIterator[tuple[RunningServices, KafkaCluster, Network]]:
    """Two processes of each service on a Kafka of three nodes; the second of each behind proxies."""
    async with AsyncExitStack() as stack:
        cluster = await stack.enter_async_context(kafka_cluster(space.folder / f"{name}-kafka", nodes=3))
        network = await stack.enter_async_context(tcp_proxies(cluster.detours))
        given = {
            "UPSHOT_BUS": "kafka",
            "UPSHOT_KAFKA_BOOTSTRAP_SERVERS": cluster.bootstrap_servers,
            "UPSHOT_KAFKA_PARTITION_COUNT": "8",
            "UPSHOT_KAFKA_REPLICATION_FACTOR": "3",
            "UPSHOT_KAFKA_MIN_INSYNC_REPLICAS": "2",
            "UPSHOT_KAFKA_SESSION_TIMEOUT_SECONDS": str(SESSION_TIMEOUT_SECONDS),
            "UPSHOT_KAFKA_HEARTBEAT_INTERVAL_SECONDS": "0.5",
            **environment,
        }
        services = await stack.enter_async_context(running_services(space, name, environment=given))
        async with asyncio.TaskGroup() as group:
            for service in SERVICES:
                group.create_task(
                    services.add(service, UPSHOT_KAFKA_BOOTSTRAP_SERVERS=cluster.detour_servers), name=service
                )
        yield services, cluster, network


async def check_nothing_is_unread(services: RunningServices) -> None:
    """The matcher has committed every partition's end: its lag is 0, in empty ones, too."""
    lag: dict[int, int] = {}
    async with ground_of(services) as ground:

        async def is_level() -> bool:
            committed = await ground.bus.committed(GROUP, EVENTS)
            marks = await ground.bus.watermarks(EVENTS)
            lag.update({number: each.high - committed.get(number, each.low) for number, each in marks.items()})
            return not any(lag.values())

        await eventually(is_level, "the matcher's lag is 0", timeout_seconds=READY_SECONDS, explain=lambda: str(lag))
