"""A backtest's own process, wired by hand: `python -m services.backtest_worker`. The service `backtests` starts it.

It reads two lines: how to reach the log, and the job. It is given one connection, on which the server refuses every write, the
plug-ins, and nothing that sends. It ends when the job has, or when its standard input does: then nobody wants it any more.
"""

import asyncio
import gc
import os
import sys
from collections.abc import Mapping, Sequence
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
from shared.bus.topics import EVENTS
from shared.readmodel.connect import Connection, ConnectParameters, connect
from shared.runtime.clock import SystemClock, cpu_seconds
from shared.telemetry.logging import set_up_logging
from shared.workflows.catalogue import Catalogue

COMMAND: Sequence[str] = (sys.executable, "-P", "-m", "services.backtest_worker")

GC_THRESHOLDS = (100_000, 50, 100)
"""As for the serving process: what an event allocates dies young."""

_LINE_BYTES_MAX = 64 * 1024 * 1024
_CONNECTION: TypeAdapter[ConnectParameters] = TypeAdapter(ConnectParameters)


def environment(own: Mapping[str, str]) -> dict[str, str]:
    """What such a process is started with: of the settings only the log's, so no secret; and these very packages."""
    kept = {name: value for name, value in own.items() if not name.startswith("UPSHOT_")}
    kept |= {name: value for name, value in own.items() if name.startswith("UPSHOT_BUS_")}
    root = str(Path(services.__file__).parents[1])
    return {**kept, "PYTHONPATH": os.pathsep.join(filter(None, (root, own.get("PYTHONPATH"))))}


def preamble(connection: ConnectParameters) -> bytes:
    """The first line."""
    return _CONNECTION.dump_json(connection)


async def main() -> None:
    """Read the two lines, then work until the job or the standard input ends."""
    loop = asyncio.get_running_loop()
    told = asyncio.StreamReader(limit=_LINE_BYTES_MAX)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(told), sys.stdin)
    connection = _CONNECTION.validate_json(await told.readline())
    job = JOB.validate_json(await told.readline())
    os.nice(job.nice)
    working = asyncio.create_task(_work(connection, job))
    abandoned = asyncio.create_task(told.read())
    await asyncio.wait([working, abandoned], return_when=asyncio.FIRST_COMPLETED)
    if not working.done():
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        return
    abandoned.cancel()
    working.result()


async def _work(connection: ConnectParameters, job: Job) -> None:
    async def connected() -> Connection:
        return await connect(connection, application="upshot-backtest")

    actions, clock = discover_actions(), SystemClock()
    catalogue = Catalogue(actions=actions, triggers=discover_triggers(), event_schemas={})
    log = PostgresRange(connected, BusSettings(), clock, topic=EVENTS, partition=job.partition)
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    try:
        await run_backtest(job, log, catalogue, ActionPreviews(actions), clock, cpu_seconds, _tell)
    finally:
        await log.close()


def _tell(message: Message) -> None:
    sys.stdout.buffer.write(MESSAGE.dump_json(message) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    set_up_logging("WARNING")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
