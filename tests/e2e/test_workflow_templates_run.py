"""Each workflow template does what it says: fetched, saved, given its own example events, with real receivers behind it."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import Any
from urllib.parse import quote

import pytest
import pytest_asyncio

from shared.runtime.workflow_templates import workflow_templates
from shared.testing.at_once import at_once, chosen
from shared.testing.documents import wait, workflow
from shared.testing.platform import RunningPlatform
from shared.testing.receivers import Received, Receiver, Reply
from shared.testing.tenant_client import ENDED, TenantClient
from shared.testing.waiting import eventually
from shared.workflows.templates import Example, WorkflowTemplate
from tests.e2e.conftest import tenant_clients, tenant_name

pytestmark = pytest.mark.asyncio(loop_scope="session")

OPEN = Reply(headers={"Content-Type": "application/json"}, body=b'{"status": "open"}')
PLAYED_AT_ONCE = 4


class Stage:
    """One template of one tenant: its workflow, and how often each of its places was called."""

    def __init__(self, template: WorkflowTemplate, tenant: TenantClient, inbox: Receiver) -> None:
        self.template = template
        self.tenant = tenant
        self.workflow_id = ""
        self.runs = 0
        self.told: Counter[str] = Counter()
        self._inbox = inbox

    async def set(self) -> None:
        """Endpoints and URLs lead to the receiver; all else is as the template has it for a trial."""
        values: dict[str, Any] = dict(self.template.trial)
        for each in self.template.parameters:
            if each.type == "endpoint":
                await self.tenant.make_endpoint(str(each.default), self._inbox.url(self._path(each.name)))
            elif each.type == "url":
                values[each.name] = self._inbox.url(self._path(each.name))
                self._inbox.behave(self._path(each.name), OPEN)
                for event in (event for example in self.template.examples for event in example.events):
                    self._inbox.behave(f"{self._path(each.name)}/{event.get('subject')}", OPEN)
        path = f"/api/v1/templates/{self.template.key}?values={quote(json.dumps(values))}"
        self.workflow_id = await self.tenant.make_workflow((await self.tenant.get(path))["document"])

    async def play(self, example: Example) -> None:
        """The example's events happen, or somebody asks for its run, or it fires, and what it says follows."""
        if example.inputs is not None:
            path = f"/api/v1/workflows/{self.workflow_id}/runs"
            (await self.tenant.command("POST", path, {"inputs": example.inputs})).expect(201, 202)
        for event in example.events:
            attributes = {name: value for name, value in event.items() if name not in ("type", "data")}
            await self.tenant.emit(str(event["type"]), event["data"], **attributes)
        if example.expect.run is None:
            return
        if example.fires:
            await self._fire_and_stop()
        else:
            self.runs += 1
        wanted = {example.expect.run} if example.expect.run not in ENDED else ENDED
        runs = await self.tenant.runs_of(self.workflow_id, self.runs, ENDED | wanted)
        newest = await self.tenant.run(max(runs, key=lambda run: str(run["requested_at"]))["id"])
        assert newest["status"] == example.expect.run, (example.title, newest)
        if newest["status"] == "pending_approval":
            assert self._calls() == self.told, f"{example.title}: nothing is sent before somebody has agreed"
            path = f"/api/v1/approvals/{newest['approval']['id']}/grant"
            for number in range(newest["approval"]["quorum"]):
                boss = self.tenant.as_person(f"boss-{number}@example.com")
                (await boss.command("POST", path, {"reason": "as it should be"})).expect(200)
            assert (await self.tenant.run_with_status(newest["id"]))["status"] == "succeeded"
        times = self.runs if example.fires else 1
        self.told += Counter({place: count * times for place, count in Counter(example.expect.tells).items()})
        assert self._calls() == self.told, example.title
        for event_type in example.expect.emits:
            published = partial(self.tenant.every, f"/api/v1/events?type={event_type}")
            assert await eventually(published, f"{example.title}: {event_type} was published")

    async def nothing_else(self) -> None:
        """What came later has run, so what came earlier has led to all that it leads to."""
        later = await self.tenant.make_workflow(workflow("Later", "shop.closed", wait(0)))
        await self.tenant.emit("shop.closed")
        await self.tenant.run_of(later)
        assert len(await self.tenant.every(f"/api/v1/runs?workflow={self.workflow_id}")) == self.runs
        assert self._calls() == self.told

    async def _fire_and_stop(self) -> None:
        """At least once; then no more, so that what it led to can be counted."""
        await self.tenant.runs_of(self.workflow_id, 1)
        (await self.tenant.command("POST", f"/api/v1/workflows/{self.workflow_id}/disable")).expect(200)
        settled = await self.tenant.every(f"/api/v1/runs?workflow={self.workflow_id}")
        self.runs = len(await self.tenant.runs_of(self.workflow_id, len(settled)))

    def _path(self, parameter: str) -> str:
        return f"/{self.template.key}/{self.tenant.tenant_id}/{parameter}"

    def _calls(self) -> Counter[str]:
        start = self._path("")
        return Counter(_place(each, start) for each in self._inbox.requests if each.path_qs.startswith(start))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def plays(
    platform: RunningPlatform, inbox: Receiver, request: pytest.FixtureRequest
) -> AsyncIterator[Mapping[str, asyncio.Task[None]]]:
    """Each chosen template on a stage of its own, with a tenant of its own. Those that fire make their time pass together."""
    keys = chosen(request, test_a_template_does_what_it_says)
    async with tenant_clients(platform, [tenant_name(key) for key in keys]) as tenants:
        tenant_of = dict(zip(keys, tenants, strict=True))

        async def play(key: str) -> None:
            stage = Stage(workflow_templates()[key], tenant_of[key], inbox)
            await stage.set()
            for example in stage.template.examples:
                await stage.play(example)
            await stage.nothing_else()

        async with at_once(keys, play, at_most=PLAYED_AT_ONCE) as tasks:
            yield tasks


@pytest.mark.parametrize("template", list(workflow_templates()))
async def test_a_template_does_what_it_says(plays: Mapping[str, asyncio.Task[None]], template: str) -> None:
    await plays[template]


def _place(received: Received, start: str) -> str:
    return received.path_qs.removeprefix(start).split("/")[0]
