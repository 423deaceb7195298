"""The tenants of a kill campaign: what they run, what is sent to them until it is taken, and what was promised for it.

Every request is repeated, with the same delivery id or key, until it is answered 2xx: so `accepted` is exactly what the platform
has promised not to lose. Next: `killer.py`, then `verdict.py`.
"""

import asyncio
import itertools
import json
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random

import aiohttp

from shared.testing.documents import Document, call, cloud_event, emit, tell, wait, workflow
from shared.testing.receivers import Late, Receiver
from shared.testing.tenant_client import Answer, Source, TenantClient
from shared.testing.vendor_signing import GENERIC_SIGNATURE

PATIENT = {"max_attempts": 20, "backoff": "fixed", "initial_seconds": 0.5}
KINDS = ("sold", "sold", "sold", "charged", "charged", "started", "paused", "held")
"""What an event is drawn from; approvals are a few."""
HELD_MAX = 6
ANSWER_SECONDS = 0.15
"""Receivers take their time, so that something is always under way when a process dies."""
REQUEST_SECONDS = 8.0
REPEAT_SECONDS = 0.1


@dataclass(slots=True, kw_only=True)
class Tally:
    """How requests went: those that had to be repeated, and how often each status was answered."""

    repeated: int = 0
    statuses: dict[int, int] = field(default_factory=lambda: defaultdict(int))


@dataclass(slots=True, kw_only=True)
class Shop:
    """One tenant. `accepted`: (event id, kind) of everything that was answered 2xx; `runs`: manual runs, likewise."""

    tenant: TenantClient
    source: Source
    workflows: dict[str, str]
    path: str
    accepted: dict[str, str] = field(default_factory=dict)
    runs: set[str] = field(default_factory=set)
    tally: Tally = field(default_factory=Tally)
    held: int = 0
    granted: set[str] = field(default_factory=set)

    @property
    def charge_path(self) -> str:
        return f"{self.path}/charge"


async def open_shop(tenant: TenantClient, inbox: Receiver) -> Shop:
    """A source, an endpoint, and a workflow for each way in which work can be under way when a process dies."""
    path = f"/{tenant.tenant_id}"
    inbox.behave(path, Late(seconds=ANSWER_SECONDS))
    inbox.behave(f"{path}/charge", Late(seconds=ANSWER_SECONDS))
    settings = {"signature": GENERIC_SIGNATURE, "type_path": "kind", "id_path": "id"}
    source = await tenant.make_source("shop", "generic", settings=settings)
    await tenant.make_endpoint("sink", inbox.url(path))
    charge = call(inbox.url(f"{path}/charge"), retry={"max_attempts": 1, "backoff": "fixed", "initial_seconds": 0})
    told = {"event": "{{ event.id }}"}
    documents: dict[str, Document] = {
        "sold": workflow("Tell", "shop.sold", tell("sink", body=told, retry=PATIENT)),
        "charged": workflow("Charge", "shop.charged", charge, approval={"when": "never"}),
        "started": workflow("Pass on", "shop.started", emit("chain.passed", data={"from": "{{ event.id }}"})),
        "passed": workflow("Tell of it", "chain.passed", tell("sink", body=told, retry=PATIENT)),
        "paused": workflow("Later", "shop.paused", wait(1.5), tell("sink", body=told, retry=PATIENT)),
        "held": workflow("Ask", "shop.held", tell("sink", body=told, retry=PATIENT), approval={"when": "always"}),
        "manual": {"name": "By hand", "trigger": {"manual": {}}, "steps": [wait(0.2)]},
    }
    workflows = {kind: await tenant.make_workflow(document) for kind, document in documents.items()}
    return Shop(tenant=tenant, source=source, workflows=workflows, path=path)


class Customers:
    """Everybody who sends: until `closing` is set, and then until the last request has its 2xx."""

    def __init__(self, shops: list[Shop], random: Random, *, per_second: float) -> None:
        self._shops = shops
        self._random = random
        self._pause_seconds = 1.0 / per_second
        self._numbers = itertools.count(1)
        self.closing = asyncio.Event()

    async def send(self, workers: int) -> None:
        """Returns when all that was begun has been taken."""
        async with asyncio.TaskGroup() as group:
            for _ in range(workers):
                group.create_task(self._work(self._pause_seconds * workers))
            for shop in self._shops:
                group.create_task(self._approve(shop))

    async def _work(self, pause_seconds: float) -> None:
        while not self.closing.is_set():
            shop = self._random.choice(self._shops)
            chance = self._random.random()
            if chance < 0.6:
                await self._deliver(shop)
            elif chance < 0.95:
                await self._publish(shop)
            else:
                await self._run_by_hand(shop)
            await rest(self.closing, pause_seconds)

    def _kind(self, shop: Shop) -> str:
        kind = self._random.choice(KINDS)
        if kind == "held":
            shop.held += 1
            return "held" if shop.held <= HELD_MAX else "sold"
        return kind

    async def _deliver(self, shop: Shop) -> None:
        kind, number = self._kind(shop), next(self._numbers)
        body = json.dumps({"kind": kind, "id": f"delivery-{number}", "filling": "x" * 300}).encode()
        answer = await until_taken(shop.tally, lambda: shop.tenant.deliver(shop.source, body), {202})
        for event_id in answer.body["event_ids"]:
            shop.accepted[event_id] = kind

    async def _publish(self, shop: Shop) -> None:
        kinds = [self._kind(shop) for _ in range(self._random.randint(1, 4))]
        events = [cloud_event(f"shop.{kind}", event_id=f"published-{next(self._numbers)}") for kind in kinds]
        answer = await until_taken(shop.tally, lambda: shop.tenant.publish(*events), {202})
        for kind, result in zip(kinds, answer.body["results"], strict=True):
            assert result["status"] in ("accepted", "duplicate"), result
            shop.accepted[result["event_id"]] = kind

    async def _run_by_hand(self, shop: Shop) -> None:
        headers = {"Idempotency-Key": f'"by-hand-{next(self._numbers)}"'}
        path = f"/api/v1/workflows/{shop.workflows['manual']}/runs"
        request = lambda: shop.tenant.request("POST", path, json={"inputs": {}}, headers=headers)  # noqa: E731
        answer = await until_taken(shop.tally, request, {202})
        if "run_id" in answer.body:
            shop.runs.add(answer.body["run_id"])

    async def _approve(self, shop: Shop) -> None:
        """A person who grants whatever waits, every now and then."""
        person = shop.tenant.as_person("boss@example.com")
        while not self.closing.is_set():
            await rest(self.closing, self._random.uniform(1.0, 4.0))
            try:
                await grant_all(shop, person)
            except (TimeoutError, aiohttp.ClientError, OSError, AssertionError):
                shop.tally.repeated += 1


async def until_taken(tally: Tally, request: Callable[[], Awaitable[Answer]], taken: set[int]) -> Answer:
    """The same request again while there is no answer, or one that says that it may be repeated."""
    while True:
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                answer = await request()
        except (TimeoutError, aiohttp.ClientError, OSError):
            tally.repeated += 1
        else:
            tally.statuses[answer.status] += 1
            if answer.status in taken:
                return answer
            assert answer.status >= 500 or answer.status == 429, f"{answer.status}: {answer.body}"
            tally.repeated += 1
        await asyncio.sleep(REPEAT_SECONDS)


async def rest(closing: asyncio.Event, seconds: float) -> None:
    """So long, or until it is closing time."""
    try:
        async with asyncio.timeout(seconds):
            await closing.wait()
    except TimeoutError:
        return


async def grant_all(shop: Shop, person: TenantClient) -> None:
    """Grant every approval that is pending."""
    for approval in await person.every("/api/v1/approvals?status=pending"):
        path = f"/api/v1/approvals/{approval['id']}/grant"
        headers = {"Idempotency-Key": f'"grant-{approval["id"]}"'}
        answer = await person.request("POST", path, json={"reason": "looks right"}, headers=headers)
        if answer.status in (200, 202):
            shop.granted.add(approval["run_id"])
