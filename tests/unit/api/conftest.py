"""What the tests of the HTTP edge share: a clock that stands still, randomness that repeats, a server on loopback."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest
from yarl import URL

from shared.runtime.http import About, HttpDependencies, HttpServer, Route, TokenVerifier, build_app, issue_token

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SECRET = b"a secret for tests, long enough."


@dataclass
class StillClock:
    instant: datetime = NOW

    def now(self) -> datetime:
        return self.instant

    def monotonic(self) -> float:
        return self.instant.timestamp()

    def advance(self, seconds: float) -> None:
        self.instant += timedelta(seconds=seconds)


@dataclass
class CountingRandomness:
    drawn: int = field(default=0)

    def token_bytes(self, count: int) -> bytes:
        self.drawn += 1
        return self.drawn.to_bytes(count, "big")

    def unit(self) -> float:
        return 0.5


@dataclass
class Client:
    """Calls one server; `token` goes along unless a call says otherwise."""

    session: aiohttp.ClientSession
    url: str
    token: str | None = None

    async def __call__(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        json: object = None,
        headers: dict[str, str] | None = None,
        token: str | None = "",
    ) -> aiohttp.ClientResponse:
        given = dict(headers or {})
        used = self.token if token == "" else token
        if used is not None:
            given.setdefault("Authorization", f"Bearer {used}")
        async with self.session.request(
            method, URL(self.url + path, encoded=True), data=body, json=json, headers=given
        ) as answer:
            await answer.read()
            return answer


Serve = Callable[[Sequence[Route]], Awaitable[Client]]


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def randomness() -> CountingRandomness:
    return CountingRandomness()


@pytest.fixture
async def serve(clock: StillClock, randomness: CountingRandomness) -> AsyncIterator[Serve]:
    """Starts a server for some routes and gives a client for it, with a token of every automation role."""
    servers: list[HttpServer] = []
    sessions: list[aiohttp.ClientSession] = []

    async def start(routes: Sequence[Route]) -> Client:
        dependencies = HttpDependencies(
            verifier=TokenVerifier(SECRET, clock=clock),
            randomness=randomness,
            about=About(title="Upshot", version="0", description="For tests."),
            body_timeout_seconds=0.2,
        )
        server = await HttpServer.start(build_app(routes, dependencies), host="127.0.0.1", port=0)
        session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10))
        servers.append(server)
        sessions.append(session)
        token = issue_token(SECRET, "acme", ["admin", "events:write"], "ada@acme.example", 3600, clock.now())
        return Client(session, server.url, token)

    yield start
    for session in sessions:
        await session.close()
    for server in servers:
        await server.close()
