"""A process that has drained ends, whatever Faust has left running: where a broker is away its thread may never stop."""

import asyncio
import subprocess
import sys

from shared.testing.warm import REPOSITORY

_DRAINED = """
import asyncio
import threading

from services.matcher.stream.app import stream_app
from services.matcher.stream.consumer import EventsThread, EventsTransport

begun = threading.Event()


class Stuck(EventsThread):
    async def on_start(self):
        begun.set()
        await asyncio.Event().wait()


async def match(stream):
    del stream


async def main():
    app = stream_app("group", "events", match)
    app.transport = EventsTransport(app, None, None, None, records_max=1, let_go=None)
    thread = Stuck(app.consumer, loop=app.loop, beacon=app.beacon)
    starting = asyncio.create_task(thread.start())
    await asyncio.to_thread(begun.wait)
    starting.cancel()
    print("drained", flush=True)


asyncio.run(main())
"""


async def test_a_thread_that_waits_for_a_broker_does_not_keep_its_process() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _DRAINED, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        async with asyncio.timeout(60):
            output, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert output == b"drained\n", errors.decode()
    assert process.returncode == 0, errors.decode()
