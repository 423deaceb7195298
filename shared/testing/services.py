"""The platform as one process a service, as `upshot ingest`, `upshot matcher` and so on run it: several of each, where asked for.

To tests it is a platform like any other: `url_for` knows which process answers what. Next: `platform.py`, one process's life.
"""

import asyncio
import itertools
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from shared.testing.clusters import give_cluster
from shared.testing.platform import RunningPlatform, ended
from shared.testing.ports import free_port
from shared.testing.workspace import Workspace

SERVICES = ("projector", "matcher", "executor", "approvals", "ingest", "api")
_OF_INGEST = ("/hooks", "/events")


class RunningServices(RunningPlatform):
    """All services of one log. As a `RunningPlatform` it is the API's process; `of` gives the others. Made by
    `running_services`."""

    def __init__(self, space: Workspace, name: str, environment: Mapping[str, str], ports: Mapping[str, int]) -> None:
        self._space = space
        self._ingest_port = ports.get("ingest") or free_port()
        self._given = {"UPSHOT_PUBLIC_URL": f"http://127.0.0.1:{self._ingest_port}", **environment}
        self._members: dict[str, list[RunningPlatform]] = {each: [] for each in SERVICES}
        self._turns = itertools.count()
        super().__init__(
            space.data_dir(name),
            space.system_dir,
            self._given,
            name="api",
            command=_command("api"),
            port=ports.get("api", 0),
        )

    def of(self, service: str) -> Sequence[RunningPlatform]:
        """The processes of a service, in the order in which they were made."""
        return [self, *self._members[service]] if service == "api" else self._members[service]

    @property
    def all(self) -> Sequence[RunningPlatform]:
        return [each for service in SERVICES for each in self.of(service)]

    def url_for(self, path: str) -> str:
        """Of the processes that live they answer in turns, as behind a load balancer."""
        members = self.of("ingest" if path.startswith(_OF_INGEST) else "api")
        living = [each for each in members if each.alive and each.url] or members
        return living[next(self._turns) % len(living)].url

    async def start_all(self) -> None:
        """One of each, at the same time: whoever comes first makes what all stand on."""
        await give_cluster(self._space, self.data_dir)
        async with asyncio.TaskGroup() as group:
            group.create_task(self.start())
            for service in SERVICES:
                if service != "api":
                    group.create_task(self.add(service, self._ingest_port if service == "ingest" else 0))

    async def add(self, service: str, port: int = 0, **environment: str) -> RunningPlatform:
        """One more process of a service, started."""
        members = self._members[service]
        made = RunningPlatform(
            self.data_dir,
            self._space.system_dir,
            {**self._given, **environment},
            name=f"{service}{len(members) + 1}",
            command=_command(service),
            port=port,
        )
        members.append(made)
        await made.start()
        return made

    def forget(self, process: RunningPlatform) -> None:
        """It has ended for good, and is none of these any more."""
        for members in self._members.values():
            if process in members:
                members.remove(process)

    async def stop_all(self) -> None:
        """SIGTERM to all of them; killed where that takes too long, which is an error."""

        async def stop(each: RunningPlatform) -> None:
            if each.alive:
                each.thaw()
                await each.stop()

        try:
            async with asyncio.TaskGroup() as group:
                for each in self.all:
                    group.create_task(stop(each))
        finally:
            for each in self.all:
                if each.alive:
                    await each.kill9()


@asynccontextmanager
async def running_services(
    space: Workspace,
    name: str,
    *,
    environment: Mapping[str, str] | None = None,
    ports: Mapping[str, int] | None = None,
) -> AsyncIterator[RunningServices]:
    """One process of each service on a new data folder, started, and ended on the way out together with their PostgreSQL."""
    services = RunningServices(space, name, environment or {}, ports or {})
    try:
        await services.start_all()
        yield services
    finally:
        try:
            await services.stop_all()
        finally:
            await ended(services)


def _command(service: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "services", service)
