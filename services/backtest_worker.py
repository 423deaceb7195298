"""A backtest's own process, wired by hand: `python -m services.backtest_worker`. The service `backtests` starts it.

It reads two lines: how to reach the log, and the job. It is given the plug-ins, nothing that sends, and one connection, on which
PostgreSQL refuses every write; on Kafka a reader. It ends when the job has, or when its standard input does: then nobody wants it
any more.
"""

import asyncio
import contextlib
import gc
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import uvloop
from pydantic import TypeAdapter

import services
from services.backtests.service.protocol import JOB, MESSAGE, Job, Message
from services.backtests.service.worker import run_backtest
from services.executor.actions import discover_actions
from services.matcher.triggers import discover_triggers
from services.previews import ActionPreviews
from shared.bus.adapters.postgres import BusSettings, PostgresRange
from shared.bus.ranges import BusRange, LogRange
from shared.bus.seal import Seal, SealedBus
from shared.bus.topics import EVENTS
from shared.readmodel.connect import Connection, ConnectParameters, connect
from shared.runtime.clock import SystemClock, cpu_seconds
from shared.runtime.settings import read_settings_of
from shared.telemetry.logging import set_up_logging
from shared.workflows.catalogue import Catalogue

COMMAND: Sequence[str] = (sys.executable, "-P", "-m", "services.backtest_worker")

GC_THRESHOLDS = (100_000, 50, 100)
"""As for the serving process: what an event allocates dies young."""

_LINE_BYTES_MAX = 64 * 1024 * 1024
_KAFKA_POLL_BYTES_MAX = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class LogAccess:
    """How the log is reached: PostgreSQL's by `connection`; Kafka's by its settings, and `seal_key` (in hex) tells whose events
    are whose."""

    connection: ConnectParameters | None = None
    seal_key: str = ""


_ACCESS: TypeAdapter[LogAccess] = TypeAdapter(LogAccess)
_LOG_SETTINGS = ("UPSHOT_BUS_", "UPSHOT_KAFKA_", "KAFKA_BOOTSTRAP_SERVERS")


def environment(own: Mapping[str, str]) -> dict[str, str]:
    """What such a process is started with: of the settings only the log's, so no secret but Kafka's; and these very
    packages."""
    kept = {name: value for name, value in own.items() if not name.startswith("UPSHOT_") or name == "UPSHOT_NATIVE"}
    kept |= {name: value for name, value in own.items() if name.startswith(_LOG_SETTINGS)}
    root = str(Path(services.__file__).parents[1])
    return {**kept, "PYTHONPATH": os.pathsep.join(filter(None, (root, own.get("PYTHONPATH"))))}


def preamble(access: LogAccess) -> bytes:
    """The first line."""
    return _ACCESS.dump_json(access)


async def main() -> None:
    """Read the two lines, then work until the job or the standard input ends."""
    loop = asyncio.get_running_loop()
    told = asyncio.StreamReader(limit=_LINE_BYTES_MAX)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(told), sys.stdin)
    access = _ACCESS.validate_json(await told.readline())
    job = JOB.validate_json(await told.readline())
    os.nice(job.nice)
    working = asyncio.create_task(_work(access, job))
    abandoned = asyncio.create_task(told.read())
    await asyncio.wait([working, abandoned], return_when=asyncio.FIRST_COMPLETED)
    if not working.done():
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        return
    abandoned.cancel()
    working.result()


async def _work(access: LogAccess, job: Job) -> None:
    actions, clock = discover_actions(), SystemClock()
    catalogue = Catalogue(actions=actions, triggers=discover_triggers(), event_schemas={})
    async with contextlib.AsyncExitStack() as stack:
        log = await _opened(stack, access, job, clock)
        stack.push_async_callback(log.close)
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        await run_backtest(job, log, catalogue, ActionPreviews(actions), clock, cpu_seconds, _tell)


async def _opened(stack: contextlib.AsyncExitStack, access: LogAccess, job: Job, clock: SystemClock) -> LogRange:
    if (connection := access.connection) is not None:

        async def connected() -> Connection:
            return await connect(connection, application="upshot-backtest")

        return PostgresRange(connected, read_settings_of(BusSettings), clock, topic=EVENTS, partition=job.partition)
    from shared.bus.adapters.kafka import KafkaBus, KafkaSettings

    # Not `open`, which would make topics that are missing; in small reads, since finding the range takes a record here and there.
    bus = KafkaBus(read_settings_of(KafkaSettings, poll_bytes_max=_KAFKA_POLL_BYTES_MAX), clock, [EVENTS])
    stack.push_async_callback(bus.close)
    return BusRange(SealedBus(bus, Seal(bytes.fromhex(access.seal_key))), EVENTS, job.partition)


def _tell(message: Message) -> None:
    sys.stdout.buffer.write(MESSAGE.dump_json(message) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    set_up_logging("WARNING")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
