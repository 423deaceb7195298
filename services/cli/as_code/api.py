"""A tenant's requests to a platform, for commands that run on any machine.

Guarantee: a change is asked for under an Idempotency-Key, so repeating it after a broken connection is doing it once; it is
followed to its verdict; what the platform refuses is told in its own words.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
from yarl import URL

from shared.domain.clock import Clock
from shared.domain.errors import Flaw, InvalidInput, UpshotError
from shared.runtime.clock import SystemClock, draw_token

REQUEST_SECONDS = 30.0
PATIENCE_SECONDS = 30.0
"""How long a request is repeated while the platform is away or a verdict is pending."""
FIRST_PATIENCE_SECONDS = 3.0
_ASK_AGAIN_SECONDS = 0.2
_AWAY = (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, TimeoutError)

CHANGED_OR_REFUSED = frozenset({200, 201, 402, 404, 409, 412, 413, 422, 429})

Json = Any  # whatever the platform answers


class ApiTrouble(UpshotError):
    """The platform cannot be reached, or refuses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: Json

    @property
    def flaws(self) -> list[Flaw]:
        """Of a problem: each place that it names, else what it says."""
        if not isinstance(self.body, dict):
            return [Flaw(pointer="#", detail=f"the platform answered {self.status}")]
        named = [Flaw(pointer=each["pointer"], detail=each["detail"]) for each in self.body.get("errors") or []]
        return named or [Flaw(pointer="#", detail=str(self.body.get("detail", f"answered {self.status}")))]

    @property
    def is_conflict(self) -> bool:
        """Whether somebody else was faster."""
        kind = str(self.body.get("type")) if isinstance(self.body, dict) else ""
        return self.status == 412 or kind.endswith((":name-taken", ":workflow-archived"))

    @property
    def is_for_room(self) -> bool:
        """Whether as many workflows are enabled as the plan allows."""
        kind = str(self.body.get("type")) if isinstance(self.body, dict) else ""
        return kind.endswith(":plan-workflows")

    @property
    def detail(self) -> str:
        return str(self.body.get("detail")) if isinstance(self.body, dict) else f"answered {self.status}"


class TenantApi:
    """One tenant's way to a platform. Made by `tenant_api`."""

    def __init__(self, session: aiohttp.ClientSession, url: str, clock: Clock) -> None:
        self._session = session
        self._url = url.rstrip("/")
        self._clock = clock
        self._met = False

    async def items(self, path: str) -> list[Json]:
        """A whole list, page by page."""
        found: list[Json] = []
        cursor = ""
        while True:
            page = self._expect(await self._request("GET", f"{path}?limit=200{cursor}"), path, {200}).body
            found += page["items"]
            if page["next_cursor"] is None:
                return found
            cursor = f"&cursor={page['next_cursor']}"

    async def get(self, path: str) -> Json:
        """What is there. Raises ApiTrouble."""
        return self._expect(await self._request("GET", path), path, {200}).body

    async def check(self, path: str, document: Json) -> Answer:
        """A question about a document: 200, or the flaws that are told about it. Raises ApiTrouble for all else."""
        return self._expect(await self._request("POST", path, document), path, {200, 400, 413, 422})

    async def command(
        self,
        method: str,
        path: str,
        document: Json = None,
        *,
        if_match: int | None = None,
        expected: Collection[int] = CHANGED_OR_REFUSED,
    ) -> Answer:
        """A change, followed to its verdict. Raises ApiTrouble where that is not one of `expected`."""
        headers = {"Idempotency-Key": f'"{draw_token(18)}"'}
        if if_match is not None:
            headers["If-Match"] = f'"{if_match}"'
        answer = await self._request(method, path, document, headers=headers)
        location = answer.headers.get("Location", "")
        deadline = self._clock.monotonic() + PATIENCE_SECONDS
        while answer.status == 202 and "/commands/" in location and self._clock.monotonic() < deadline:
            await asyncio.sleep(_ASK_AGAIN_SECONDS)
            answer = await self._request("GET", location)
        return self._expect(answer, f"{method} {path}", expected)

    async def _request(
        self, method: str, path: str, document: Json = None, *, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Answered whatever the status; repeated while the platform is away."""
        # Who has never answered is more likely misspelt than away.
        patience = PATIENCE_SECONDS if self._met else FIRST_PATIENCE_SECONDS
        deadline = self._clock.monotonic() + patience
        while True:
            try:
                answer = await self._once(method, path, document, headers)
                if answer.status != 503:
                    return answer
                trouble = answer.detail
            except _AWAY as error:
                trouble = str(error) or type(error).__name__
            if self._clock.monotonic() >= deadline:
                raise ApiTrouble(f"{self._url} does not answer: {trouble}")
            await asyncio.sleep(_ASK_AGAIN_SECONDS)

    async def _once(self, method: str, path: str, document: Json, headers: Mapping[str, str] | None) -> Answer:
        url = URL(self._url + path, encoded=True)
        async with self._session.request(
            method, url, json=document, headers=headers, allow_redirects=False
        ) as response:
            is_json = "json" in response.content_type
            body = await response.json(content_type=None) if is_json else await response.text()
            self._met = True
            return Answer(status=response.status, headers=response.headers.copy(), body=body)

    def _expect(self, answer: Answer, what: str, expected: Collection[int]) -> Answer:
        if answer.status not in expected:
            raise ApiTrouble(f"{what} was answered {answer.status}: {answer.detail}")
        if not isinstance(answer.body, dict):
            raise ApiTrouble(f"{what} was not answered in JSON: is {self._url} an Upshot?")
        return answer


@asynccontextmanager
async def tenant_api(url: str, token: str) -> AsyncIterator[TenantApi]:
    """The way to the platform at `url`, with that bearer token. Raises InvalidInput where either cannot be one."""
    if not re.fullmatch(r"https?://[^\s/?#]+(?:/[^\s?#]*)?", url):
        raise InvalidInput("no usable URL", [Flaw(pointer="--url", detail=f"{url!r}: write http://127.0.0.1:8080")])
    if not re.fullmatch(r"[!-~]+", token):
        raise InvalidInput("no usable token", [Flaw(pointer="--token", detail="it is what `upshot token` prints")])
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(total=REQUEST_SECONDS)) as session:
        yield TenantApi(session, url, SystemClock())
