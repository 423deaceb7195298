"""The demo's hands on the HTTP interface: one person of the tenant, or nobody for a vendor."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import aiohttp

from shared.domain.clock import Clock
from shared.domain.errors import UpshotError

Json = Any  # whatever the platform answers: the expectations say what of it counts
Found = TypeVar("Found")

REQUEST_SECONDS = 20.0
PATIENCE_SECONDS = 20.0
_ASK_AGAIN_SECONDS = 0.05


class DemoTrouble(UpshotError):
    """The platform answered something else than it should."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Requests with one bearer token. `ingest_url`: where vendors and upstream services deliver to."""

    session: aiohttp.ClientSession
    url: str
    ingest_url: str
    token: str
    clock: Clock

    def acting_as(self, token: str) -> "Person":
        return replace(self, token=token)

    async def request(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        json: Json = None,
        headers: Mapping[str, str] | None = None,
        authorised: bool = True,
    ) -> Answer:
        """Answered whatever the status."""
        sent = {"Authorization": f"Bearer {self.token}"} if authorised else {}
        timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS)
        url = self.ingest_url if path.startswith(("/hooks", "/events")) else self.url
        async with self.session.request(
            method, f"{url}{path}", data=body, json=json, headers={**sent, **(headers or {})}, timeout=timeout
        ) as response:
            is_json = "json" in response.headers.get("Content-Type", "")
            found = await response.json(content_type=None) if is_json else await response.text()
            return Answer(status=response.status, headers=response.headers.copy(), body=found)

    async def get(self, path: str) -> Json:
        """Raises DemoTrouble unless it is a 200."""
        return _expected(await self.request("GET", path), {200}, f"GET {path}").body

    async def items(self, path: str) -> list[Json]:
        """A whole list, page by page."""
        found: list[Json] = []
        cursor = ""
        while True:
            page = await self.get(f"{path}{'&' if '?' in path else '?'}limit=200{cursor}")
            found += page["items"]
            if not page["next_cursor"]:
                return found
            cursor = f"&cursor={page['next_cursor']}"

    async def command(
        self, path: str, statuses: Collection[int], *, json: Json = None, body: bytes | None = None, yaml: bool = False
    ) -> Answer:
        """A POST, followed to its verdict. Raises DemoTrouble unless that has one of the statuses."""
        headers = {"Content-Type": "application/yaml"} if yaml else {}
        answer = await self.request("POST", path, json=json, body=body, headers=headers)
        location = answer.headers.get("Location", "")
        if answer.status == 202 and "/commands/" in location:

            async def verdict() -> Answer | None:
                asked = await self.request("GET", location)
                return asked if asked.status != 202 else None

            answer = await until(verdict, f"a verdict under {location}", self.clock)
        return _expected(answer, statuses, f"POST {path}")


async def until(ask: Callable[[], Awaitable[Found | None]], what: str, clock: Clock) -> Found:
    """The first answer that is not None. Raises DemoTrouble that names `what` when the patience is over."""
    deadline = clock.monotonic() + PATIENCE_SECONDS
    while True:
        found = await ask()
        if found is not None:
            return found
        if clock.monotonic() >= deadline:
            raise DemoTrouble(f"not within {PATIENCE_SECONDS:g} s: {what}")
        await asyncio.sleep(_ASK_AGAIN_SECONDS)


def _expected(answer: Answer, statuses: Collection[int], what: str) -> Answer:
    if answer.status not in statuses:
        wanted = " or ".join(str(status) for status in statuses)
        raise DemoTrouble(f"{what} was answered {answer.status}, not {wanted}: {answer.body}")
    return answer
