"""What doing nothing costs: an aiohttp server that passes each body on with an aiohttp client, then answers 202.

It verifies nothing, stores nothing, and loses what it holds when it dies. Argument: the URL to pass on to.
"""

import asyncio
import sys
from pathlib import Path
from typing import Any

import uvloop
from aiohttp import ClientSession, TCPConnector, web

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from tests.bench.delivery.wire import obey


async def main(target: str) -> None:
    async with ClientSession(connector=TCPConnector(limit=64)) as session:

        async def forward(request: web.Request) -> web.Response:
            body = await request.read()
            async with session.post(target, data=body, headers={"Content-Type": "application/json"}) as response:
                await response.read()
                return web.Response(status=202 if response.status < 300 else 502)

        app = web.Application()
        app.router.add_post("/{path:.*}", forward)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()

        async def answer(command: dict[str, Any]) -> dict[str, Any]:
            return {"port": runner.addresses[0][1]}

        await obey(answer)
        await runner.cleanup()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loops:
        loops.run(main(sys.argv[1]))
