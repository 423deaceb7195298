"""Runs the demo: the platform and a receiver in this process, the stage, the batch, the trace; then it serves on.

Guarantee: exit status 0 only where every expectation held; a signal ends it cleanly at any point; killed, the next start
goes on from the log. Next: `story.py`.
"""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import aiohttp

from services.demo import recovered
from services.demo.client import DemoTrouble, Person, until
from services.demo.deliveries import BATCH, TENANT
from services.demo.memory import Memory, begin, recall, remember
from services.demo.places import Place, Running, free_port, is_free, place
from services.demo.stage import ensure_tenant, set_stage, summary
from services.demo.story import Expectation, Story
from services.demo.telling import Teller
from services.tracing import find_chain, render
from shared.domain.errors import PermanentError
from shared.readmodel.connect import API
from shared.readmodel.tenant_queries import TenantQueries
from shared.runtime.clock import SystemClock, SystemRandomness
from shared.runtime.egress import EgressSettings
from shared.runtime.http import issue_token
from shared.runtime.secret_file import jwt_secret
from shared.runtime.settings import UpshotSettings, read_settings_of
from shared.telemetry.logging import set_up_logging
from shared.testing.receivers import Receiver, receiver

RECEIVER_PORT_FIRST = 8090
TOKEN_SECONDS = 7 * 24 * 3600
INTERRUPTED = 130
AUTHOR = ("automation:write", "automation:execute")
APPROVER = ("automation:approve",)
EVERYTHING = ("automation:admin", "events:write")


async def run_demo(settings: UpshotSettings, *, exit_after: bool) -> int:
    """The exit status."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    demo = _Demo(settings, exit_after, stop)
    playing = asyncio.create_task(demo.run())
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait([playing, stopping], return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not playing.done() and not demo.serving:
        playing.cancel()
    try:
        return await playing
    except asyncio.CancelledError:
        return INTERRUPTED


class _Demo:
    def __init__(self, settings: UpshotSettings, exit_after: bool, stop: asyncio.Event) -> None:
        self._clock, self._randomness = SystemClock(), SystemRandomness()
        self._settings = settings
        self._exit_after = exit_after
        self._stop = stop
        self._tell = Teller(self._clock)
        self.serving = False  # from then on a signal is taken here, where everything is put down in order

    async def run(self) -> int:
        # What the platform logs at this level is trouble; the rest would bury what is told here.
        set_up_logging(self._settings.log_level if "log_level" in self._settings.model_fields_set else "WARNING")
        tell = self._tell
        tell.heading("Upshot: what happens, and what follows from it")
        async with place(self._settings, tell.say) as where:
            return await self._run(where)

    async def _run(self, where: Place) -> int:
        self._data_dir = where.data_dir
        remembered = recall(self._data_dir)
        again = remembered is not None
        memory = remembered or begin(self._randomness, free_port("127.0.0.1", RECEIVER_PORT_FIRST))
        remember(self._data_dir, memory)
        tell = self._tell
        tell.say(f"{'starting again' if again else 'first start'}; data in {self._data_dir}")
        async with self._receiver(memory) as it:
            settings = self._for_demo()
            given = read_settings_of(EgressSettings)
            allowed = ",".join(part for part in (given.allow, it.authority) if part)
            tell.say(f"a receiver listens on {it.url('')}; outgoing calls may reach it: UPSHOT_EGRESS_ALLOW={allowed}")
            egress = given.model_copy(update={"allow": allowed})
            async with where.open(settings, egress) as running, aiohttp.ClientSession() as session:
                return await self._play(where, running, session, it, memory, again=again)

    async def _play(
        self,
        where: Place,
        running: Running,
        session: aiohttp.ClientSession,
        it: Receiver,
        memory: Memory,
        *,
        again: bool,
    ) -> int:
        tell, ground = self._tell, running.ground
        author = Person(
            session=session,
            url=running.url,
            ingest_url=running.ingest_url,
            token=self._token(ground.data_dir, "author", AUTHOR),
            clock=self._clock,
        )
        approver = author.acting_as(self._token(ground.data_dir, "approver", APPROVER))

        async def ready() -> bool | None:
            return True if (await author.request("GET", "/readyz")).status == 200 else None

        await until(ready, "/readyz answers 200", self._clock)
        made = await ensure_tenant(ground)
        tell.say(f"tenant {TENANT!r} {'created' if made else 'is there'}")
        expectations: list[Expectation] = []
        if again:
            await recovered.wait_until_level(ground, author)
            found = await recovered.recover(author, memory)
            tell.recovered(found)
            expectations += found.expectations
        stage = await set_stage(author, memory, it.url(""))
        tell.say("the stage is set over HTTP:")
        tell.lines(summary(stage))
        tell.say(f"sending {len(BATCH)} deliveries with recorded payloads, signed as their vendors sign")
        story = Story(
            author=author,
            approver=approver,
            stage=stage,
            memory=memory,
            receiver=it,
            randomness=self._randomness,
            say=tell.say,
        )
        await story.play()
        remember(self._data_dir, memory.with_batch(story.batch()))
        tell.outcomes(list(story.outcomes.values()))
        await self._show_trace(running, story)
        expectations += story.expectations
        tell.verdict(expectations)
        status = 0 if all(each.held for each in expectations) else 1
        if not self._exit_after:
            run_id = str(story.outcomes["refund"].run["id"])
            token = self._token(ground.data_dir, "you", EVERYTHING)
            self.serving = True
            tell.invitation(
                running.url,
                running.ingest_url,
                token,
                trace_command=f"{where.variables} .venv/bin/upshot trace {run_id}",
                run_id=run_id,
                number=len(memory.batches) + 1,
                stays=where.comes_back,
            )
            await self._serve(running)
            tell.say("stopping; the data stays" if where.comes_back else "stopping")
        return status

    async def _show_trace(self, running: Running, story: Story) -> None:
        outcome = story.outcomes["refund"]
        queries = await TenantQueries.open(running.ground.role(API))
        try:
            chain = await find_chain(running.ground.bus, queries, [TENANT], str(outcome.run["id"]))
        finally:
            await queries.close()
        self._tell.trace(render(chain), outcome)
        types = {each.event.type for each in chain.records.values()}
        wanted = {"order.refunded", "event.matched", "approval.decided", "attempt.started", "attempt.finished"}
        story.expect("the chain holds event, match, approval and attempt", wanted <= types, sorted(types))
        story.expect("every record of the chain names a cause in the log", not chain.orphans(), len(chain.orphans()))

    async def _serve(self, running: Running) -> None:
        stopping = asyncio.create_task(self._stop.wait())
        try:
            done, _ = await asyncio.wait([stopping, *running.tasks], return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
        for task in done - {stopping}:
            task.result()
            raise DemoTrouble(f"{task.get_name()} ended by itself")

    # ------------------------------------------------------------ what it runs on

    @contextlib.asynccontextmanager
    async def _receiver(self, memory: Memory) -> AsyncIterator[Receiver]:
        """On the port that the endpoints of the first start name."""
        port = memory.receiver_port
        if not is_free("127.0.0.1", port):
            raise PermanentError(
                f"port {port}, where this demo's receiver listens, is taken. Does another demo run on {self._data_dir}? "
                f"End it, or take another folder: UPSHOT_DATA_DIR=/some/folder"
            )
        async with receiver(self._clock, port=port) as it:
            yield it

    def _for_demo(self) -> UpshotSettings:
        """The user's settings, on the demo's own folder and PostgreSQL: it touches no other database."""
        given = self._settings
        port = given.http_port
        if "http_port" not in given.model_fields_set:
            port = free_port(given.http_host, port)
        return given.model_copy(
            update={"data_dir": self._data_dir, "database_url": None, "public_url": None, "http_port": port}
        )

    def _token(self, data_dir: Path, subject: str, roles: Sequence[str]) -> str:
        given = self._settings.jwt_secret
        secret = jwt_secret(given.get_secret_value() if given is not None else None, data_dir, self._randomness)
        return issue_token(secret, TENANT, roles, subject, TOKEN_SECONDS, self._clock.now())
