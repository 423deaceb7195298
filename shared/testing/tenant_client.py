"""One tenant's hands on a running platform: what people and vendors do over HTTP, typed, with deadlines.

Written against the published interface alone. A command that is answered 202 is followed to its verdict; what takes time is
asked for until it is there (`waiting.py`). Next: `platform.py`.
"""

import json
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from shared.runtime.clock import SystemClock, draw_token
from shared.runtime.http import issue_token
from shared.testing.documents import cloud_event
from shared.testing.platform import RunningPlatform
from shared.testing.vendor_signing import sign_delivery
from shared.testing.waiting import PATIENCE_SECONDS, eventually

ALL_ROLES = (
    "automation:read",
    "automation:write",
    "automation:execute",
    "automation:approve",
    "automation:admin",
    "events:write",
)
ENDED = frozenset({"succeeded", "failed", "cancelled", "denied", "expired", "skipped"})
REQUEST_SECONDS = 30.0
_CLOCK = SystemClock()

Json = Any  # whatever JSON the platform answers: tests say what they expect of it


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One response, its body parsed where it is JSON."""

    status: int
    headers: Mapping[str, str]
    body: Json

    def expect(self, *statuses: int) -> "Answer":
        """Itself, or an AssertionError that shows what came instead."""
        assert self.status in statuses, f"expected {statuses}, got {self.status}: {self.body}"
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A source that was made, and what its vendor signs with."""

    id: str
    hook_path: str
    vendor: str
    secret: str


class TenantClient:
    """A tenant's requests. Open with `async with tenant_client(platform, name) as it`."""

    def __init__(self, platform: RunningPlatform, session: aiohttp.ClientSession, tenant_id: str, token: str) -> None:
        self.platform = platform
        self.tenant_id = tenant_id
        self.token = token
        self._session = session

    def acting_as(self, token: str) -> "TenantClient":
        """The same session with another token."""
        return TenantClient(self.platform, self._session, self.tenant_id, token)

    def as_person(self, subject: str, *roles: str) -> "TenantClient":
        """Another person of the same tenant, with these roles (default: all)."""
        return self.acting_as(make_token(self.platform, self.tenant_id, *(roles or ALL_ROLES), subject=subject))

    def at(self, platform: RunningPlatform) -> "TenantClient":
        """The same tenant through another process."""
        return TenantClient(platform, self._session, self.tenant_id, self.token)

    # ------------------------------------------------------------ plain requests

    async def request(
        self,
        method: str,
        path: str,
        *,
        json: Json = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        authorised: bool = True,
        timeout_seconds: float = REQUEST_SECONDS,
    ) -> Answer:
        """One request, answered whatever the status; no redirect is followed."""
        sent = {"Authorization": f"Bearer {self.token}"} if authorised else {}
        sent.update(headers or {})
        async with self._session.request(
            method,
            f"{self.platform.url_for(path)}{path}",
            json=json,
            data=body,
            headers=sent,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=timeout_seconds),
        ) as response:
            return Answer(
                status=response.status, headers=response.headers.copy(), body=_parsed(response, await response.read())
            )

    async def get(self, path: str) -> Json:
        """The body of a GET that must succeed."""
        return (await self.request("GET", path)).expect(200).body

    async def command(
        self, method: str, path: str, json: Json = None, *, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """A command, followed to the fold's verdict when that takes longer than the first answer waits."""
        answer = await self.request(method, path, json=json, headers=headers)
        location = answer.headers.get("Location", "")
        if answer.status != 202 or "/commands/" not in location:
            return answer

        async def verdict() -> Answer | None:
            asked = await self.request("GET", location)
            return asked if asked.status != 202 else None

        return await eventually(verdict, f"a verdict under {location}")

    async def every(self, path: str) -> list[Json]:
        """All items of a list, page by page."""
        items: list[Json] = []
        cursor: str | None = None
        separator = "&" if "?" in path else "?"
        while True:
            page = await self.get(f"{path}{separator}limit=200" + (f"&cursor={cursor}" if cursor else ""))
            items += page["items"]
            cursor = page.get("next_cursor")
            if not cursor:
                return items

    # ------------------------------------------------------------ definitions

    async def make_source(
        self, name: str, vendor: str = "github", *, secret: str | None = None, settings: Json = None
    ) -> Source:
        secret = secret if secret is not None else f"secret-of-{name}-0123456789abcdef"
        asked = {"name": name, "vendor": vendor, "secret": secret}
        if settings is not None:
            asked["settings"] = settings
        made = (await self.command("POST", "/api/v1/sources", asked)).expect(201).body
        path = "/" + str(made["hook_url"]).split("/", 3)[-1]
        return Source(id=str(made["id"]), hook_path=path, vendor=vendor, secret=secret)

    async def make_endpoint(self, name: str, url: str) -> tuple[str, str]:
        """(id, secret)"""
        made = (await self.command("POST", "/api/v1/endpoints", {"name": name, "url": url})).expect(201).body
        return str(made["id"]), str(made["secret"])

    async def make_workflow(self, document: Json) -> str:
        """The new workflow's id."""
        return str((await self.command("POST", "/api/v1/workflows", document)).expect(201).body["id"])

    # ------------------------------------------------------------ events in

    async def deliver(
        self,
        source: Source,
        payload: Json,
        *,
        delivery_id: str | None = None,
        event: str | None = None,
        headers: Mapping[str, str] | None = None,
        at_seconds: int | None = None,
    ) -> Answer:
        """What the source's vendor sends; `payload` is JSON, or the very bytes."""
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        now = int(_CLOCK.now().timestamp()) if at_seconds is None else at_seconds
        signed = sign_delivery(source.vendor, source.secret, body, now, delivery_id or draw_token(12), event)
        return await self.request(
            "POST", source.hook_path, body=body, headers={**signed, **(headers or {})}, authorised=False
        )

    async def deliver_event(self, source: Source, payload: Json, **more: Any) -> str:
        """The id of the one event that an accepted delivery became."""
        (event_id,) = (await self.deliver(source, payload, **more)).expect(202).body["event_ids"]
        return str(event_id)

    async def emit(self, event_type: str, data: Json = None, **attributes: Any) -> str:
        """The platform's id of one event that an upstream service publishes, once it is durable."""
        answer = await self.publish(cloud_event(event_type, data, **attributes))
        (result,) = answer.expect(202).body["results"]
        return str(result["event_id"])

    async def publish(self, *events: Json) -> Answer:
        """A batch of CloudEvents."""
        headers = {"Content-Type": "application/cloudevents-batch+json"}
        return await self.request("POST", "/events", body=json.dumps(events).encode(), headers=headers)

    # ------------------------------------------------------------ what became of them

    async def run(self, run_id: str) -> Json:
        return await self.get(f"/api/v1/runs/{run_id}")

    async def run_with_status(
        self, run_id: str, statuses: Collection[str] = ENDED, timeout_seconds: float = PATIENCE_SECONDS
    ) -> Json:
        """The run, once it has one of the statuses."""

        async def has_it() -> Json | None:
            answer = await self.request("GET", f"/api/v1/runs/{run_id}")
            return answer.body if answer.status == 200 and answer.body["status"] in statuses else None

        return await eventually(has_it, f"run {run_id} is one of {sorted(statuses)}", timeout_seconds=timeout_seconds)

    async def runs_of(
        self, workflow_id: str, count: int, statuses: Collection[str] = ENDED, timeout_seconds: float = PATIENCE_SECONDS
    ) -> list[Json]:
        """The runs of a workflow with one of the statuses, once there are `count` and their events can be looked up."""

        async def enough() -> list[Json] | None:
            found = [
                run for run in await self.every(f"/api/v1/runs?workflow={workflow_id}") if run["status"] in statuses
            ]
            return found if len(found) >= count and await self._are_shown(found) else None

        return await eventually(
            enough, f"{count} runs of {workflow_id} are one of {sorted(statuses)}", timeout_seconds=timeout_seconds
        )

    async def _are_shown(self, runs: Collection[Json]) -> bool:
        """A run's row and its event's are written one after the other, in either order."""
        event_ids = {run["event_id"] for run in runs} - {None}
        return all([(await self.request("GET", f"/api/v1/events/{each}")).status == 200 for each in event_ids])

    async def run_of(
        self, workflow_id: str, statuses: Collection[str] = ENDED, timeout_seconds: float = PATIENCE_SECONDS
    ) -> Json:
        """The only run of a workflow, once it has one of the statuses, with its timeline."""
        found = await self.runs_of(workflow_id, 1, statuses, timeout_seconds)
        assert len(found) == 1, f"{len(found)} runs of {workflow_id}"
        return await self.run(found[0]["id"])


async def make_tenant(platform: RunningPlatform, name: str) -> tuple[str, str]:
    """(id, token with every role) of a new tenant, made by the command that an operator uses."""
    await platform.cli("tenant", "create", name)
    return name, make_token(platform, name, *ALL_ROLES, subject=f"owner@{name}")


def make_token(platform: RunningPlatform, tenant_id: str, *roles: str, subject: str, ttl_seconds: int = 3600) -> str:
    """A bearer token, signed here with the installation's secret: what `upshot token` does, without a process for each."""
    return issue_token(platform.jwt_secret, tenant_id, roles, subject, ttl_seconds, _CLOCK.now())


@asynccontextmanager
async def tenant_client(platform: RunningPlatform, name: str) -> AsyncIterator[TenantClient]:
    """A new tenant and a session to act for it."""
    tenant_id, token = await make_tenant(platform, name)
    async with client_session() as session:
        yield TenantClient(platform, session, tenant_id, token)


@asynccontextmanager
async def client_session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=100)) as session:
        yield session


def _parsed(response: aiohttp.ClientResponse, body: bytes) -> Json:
    if "json" in response.headers.get("Content-Type", ""):
        return json.loads(body)
    return body.decode("utf-8", errors="replace")
