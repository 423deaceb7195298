"""What brokers, processes and networks do to services apart on Kafka: killed, frozen, cut off, joined and left.

Two processes of every service; the second of each meets its brokers only through proxies. Every fault is mended before the
next; a process that ends by itself is started again, as a supervisor would, and counted. Next: `verdict.py`.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from random import Random

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
PAUSE_SECONDS_MAX = 1.5
OUTAGE_SECONDS_MAX = 4.0
_FROZEN_SECONDS = SESSION_TIMEOUT_SECONDS + 2.0


class Faults:
    """A `Breaker`."""

    def __init__(
        self, services: RunningServices, cluster: KafkaCluster, network: Network, random: Random, *, of_each: int
    ) -> None:
        self._services = services
        self._cluster = cluster
        self._network = network
        self._random = random
        self._ways: Mapping[str, Callable[[], Awaitable[None]]] = {
            **{f"{service} killed": self._killing(service) for service in SERVICES},
            "matcher frozen": self._freezing("matcher"),
            "executor frozen": self._freezing("executor"),
            "projector frozen": self._freezing("projector"),
            "a matcher joins and leaves": self._joining("matcher"),
            "an executor joins and leaves": self._joining("executor"),
            "a broker restarts": self._restart_broker,
            "brokers killed one after another": self._kill_brokers,
            "a broker frozen": self._freeze_broker,
            "PostgreSQL stopped": self._stop_postgres,
            "PostgreSQL killed": self._kill_postgres,
            "network hangs": self._hang,
            "network resets": self._reset,
            "network drops": self._drop,
        }
        self._meant: set[RunningPlatform] = set()
        self.kinds: Sequence[str] = tuple(self._ways)
        self.least = of_each
        self.done: Counter[str] = Counter()
        self.slowest_seconds = 0.0
        self.ended_by_themselves: Counter[str] = Counter()

    async def campaign(self) -> None:
        """Every kind so often, in random order."""
        moments = [kind for kind in self.kinds for _ in range(self.least)]
        self._random.shuffle(moments)
        supervising = asyncio.create_task(self._supervise(), name="supervisor")
        try:
            for kind in moments:
                await asyncio.sleep(self._random.uniform(0.05, PAUSE_SECONDS_MAX))  # the random moment is the test
                begin = asyncio.get_running_loop().time()
                await self._ways[kind]()
                await self._until_ready(kind)
                seconds = asyncio.get_running_loop().time() - begin
                self.slowest_seconds = max(self.slowest_seconds, seconds)
                self.done[kind] += 1
                print(f"  {kind}: ready again after {seconds:.1f} s", flush=True)
                if supervising.done():
                    supervising.result()
        finally:
            supervising.cancel()
            await asyncio.gather(supervising, return_exceptions=True)
        print(f"ended by themselves and started again: {dict(self.ended_by_themselves)}")

    def _one_of(self, service: str) -> RunningPlatform:
        return self._random.choice(self._services.of(service))

    def _killing(self, service: str) -> Callable[[], Awaitable[None]]:
        async def kill() -> None:
            process = self._one_of(service)
            self._meant.add(process)
            await process.kill9()
            await process.restart()
            self._meant.discard(process)

        return kill

    def _freezing(self, service: str) -> Callable[[], Awaitable[None]]:
        async def freeze() -> None:
            process = self._one_of(service)
            process.freeze()
            try:
                await asyncio.sleep(_FROZEN_SECONDS)  # past the session's timeout: others take over
            finally:
                process.thaw()

        return freeze

    def _joining(self, service: str) -> Callable[[], Awaitable[None]]:
        async def join_and_leave() -> None:
            third = await self._services.add(service)
            self._meant.add(third)
            try:
                await asyncio.sleep(self._random.uniform(0.5, OUTAGE_SECONDS_MAX))
                assert await third.stop() == 0
            finally:
                self._services.forget(third)

        return join_and_leave

    async def _restart_broker(self) -> None:
        await self._random.choice(self._cluster.nodes).restart()
        await self._cluster.ready()

    async def _kill_brokers(self) -> None:
        for node in self._random.sample(list(self._cluster.nodes), len(self._cluster.nodes)):
            await node.kill()
            await asyncio.sleep(self._random.uniform(0.2, 2.0))
            await node.restart()
            await self._cluster.ready()

    async def _freeze_broker(self) -> None:
        node = self._random.choice(self._cluster.nodes)
        node.freeze()
        try:
            await asyncio.sleep(_FROZEN_SECONDS)
        finally:
            node.wake()
        await self._cluster.ready()

    async def _stop_postgres(self) -> None:
        stopped = [psutil.Process(pid) for pid in server_processes(self._services.postgres_data())]
        assert stopped, "there was no PostgreSQL to stop"
        for process in stopped:
            process.suspend()
        try:
            await asyncio.sleep(self._random.uniform(1.0, OUTAGE_SECONDS_MAX))
        finally:
            for process in stopped:
                try:
                    process.resume()
                except psutil.NoSuchProcess:
                    continue

    async def _kill_postgres(self) -> None:
        async def killed() -> bool:
            return self._services.kill9_postmaster() is not None

        await eventually(killed, "there is a PostgreSQL to kill", timeout_seconds=READY_SECONDS)

    async def _hang(self) -> None:
        self._network.hang()
        await self._cut()

    async def _drop(self) -> None:
        await self._network.drop()
        await self._cut()

    async def _reset(self) -> None:
        for _ in range(3):
            self._network.reset()
            await asyncio.sleep(self._random.uniform(0.05, 0.5))

    async def _cut(self) -> None:
        try:
            await asyncio.sleep(self._random.uniform(1.0, _FROZEN_SECONDS))
        finally:
            await self._network.heal()

    async def _supervise(self) -> None:
        while True:
            for process in self._services.all:
                if process.starts and not process.alive and process not in self._meant:
                    name = process.log_path.stem.rpartition("-")[2]
                    self.ended_by_themselves[name] += 1
                    status = process.process.returncode
                    print(f"  {name} ended by itself with {status}:\n{process.log_tail()}", flush=True)
                    await process.restart()
            await asyncio.sleep(0.2)

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
