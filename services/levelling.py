"""What a start does before it serves: where the read model is an earlier version's, it builds this version's from the log;
and it reads the definitions.

Guarantees: of several processes that start at once one builds and the others wait; whoever is killed meanwhile leaves
nothing that the next start does not remove; until it is done /healthz answers 200, so that nobody takes the process for
dead, and everything else 503 with how much is left. Next: `services/projector/service/rebuild.py`.
"""

import asyncio
import logging

from services.foundation import Foundation
from services.projector.service.rebuild import RebuildProgress, RebuildReport, bring_level, is_level
from shared.domain.errors import TransientError
from shared.readmodel.errors import AWAY
from shared.readmodel.generations import RebuildRunning
from shared.runtime.definitions import DefinitionsFollower
from shared.runtime.http import HttpServer, connection_limits
from shared.runtime.http.starting import starting_app

log = logging.getLogger(__name__)

TOLD_EVERY_SECONDS = 5.0
"""A line of the log each: a build of an hour is to be followed, not to fill the disk."""
SHORT_SECONDS = 1.0
"""What is over sooner needs no telling."""
AGAIN_SECONDS = 1.0
"""How often a process that waits looks whether the other one is done, or dead."""


async def bring_read_model_level(ground: Foundation) -> None:
    """Return once the current generation is this version's. Raises RebuildNeeded where it is a later version's,
    LogEndsEarly, and PermanentError where the HTTP address is taken."""
    if await is_level(ground.readmodel):
        return
    build = _Build(ground)
    settings = ground.settings
    server = await HttpServer.start(
        starting_app(lambda: build.state),
        host=settings.http_host,
        port=settings.http_port,
        shutdown_timeout_seconds=1.0,
        limits=connection_limits(settings),
        metrics=ground.metrics,
    )
    try:
        await build.run()
    finally:
        await server.close()


async def read_definitions(ground: Foundation, definitions: DefinitionsFollower) -> None:
    """Return once all definitions that there are have been folded. Raises PermanentError as above."""
    reading = asyncio.create_task(definitions.start())
    try:
        await asyncio.wait([reading], timeout=SHORT_SECONDS)
        if not reading.done():
            await _tell_while(ground, definitions, reading)
        await reading
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


async def _tell_while(ground: Foundation, definitions: DefinitionsFollower, reading: asyncio.Task[None]) -> None:
    def state() -> str:
        return f"definitions are being read from the log: {definitions.remaining} records to go"

    settings = ground.settings
    server = await HttpServer.start(
        starting_app(state),
        host=settings.http_host,
        port=settings.http_port,
        shutdown_timeout_seconds=1.0,
        limits=connection_limits(settings),
        metrics=ground.metrics,
    )
    try:
        while not reading.done():
            log.info("%s", state())
            await asyncio.wait([reading], timeout=TOLD_EVERY_SECONDS)
    finally:
        await server.close()


class _Build:
    """`state`: a sentence for whoever asks why this process does not serve yet."""

    def __init__(self, ground: Foundation) -> None:
        self.state = ""
        self._ground = ground
        self._begun = self._told_at = ground.clock.monotonic()
        self._say("the read model is an earlier version's: building it anew from the log, before anything is served")

    async def run(self) -> None:
        while True:
            try:
                report = await self._attempt()
            except RebuildRunning:
                self._say("another process is building the read model anew from the log; waiting until it is done")
            except (*AWAY, TransientError) as error:
                self._say(f"building the read model anew was interrupted, beginning again: {error}")
            else:
                if report is not None:
                    log.info("the read model is level: %s records in %.1f s", report.records, report.seconds)
                return
            await asyncio.sleep(AGAIN_SECONDS)

    async def _attempt(self) -> RebuildReport | None:
        ground = self._ground
        self._begun = ground.clock.monotonic()
        return await bring_level(ground.bus, ground.readmodel, ground.clock, self._progressed)

    def _progressed(self, progress: RebuildProgress) -> None:
        now = self._ground.clock.monotonic()
        self.state = f"building the read model anew from the log: {progress.told(now - self._begun)}"
        if now - self._told_at >= TOLD_EVERY_SECONDS:
            self._told_at = now
            log.warning("%s", self.state)

    def _say(self, state: str) -> None:
        if state != self.state:
            self.state = state
            log.warning("%s", state)
