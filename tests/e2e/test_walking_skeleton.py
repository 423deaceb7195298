"""One vendor delivery through every layer, killed and restarted: still there, explained, and not sent twice."""

import pytest

from shared.runtime.clock import SystemClock
from shared.testing.documents import tell, workflow
from shared.testing.platform import running_platform
from shared.testing.receivers import Receiver, signature_flaws
from shared.testing.tenant_client import tenant_client
from shared.testing.waiting import holds_for
from shared.testing.workspace import Workspace
from tests.e2e.conftest import StartPlatform

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]

ISSUE = {
    "action": "opened",
    "issue": {"number": 7, "title": "It does not start"},
    "repository": {"full_name": "octocat/hello-world"},
}


async def test_a_vendors_delivery_becomes_a_signed_delivery_that_outlives_a_kill(
    start_platform: StartPlatform, inbox: Receiver
) -> None:
    async with start_platform() as platform, tenant_client(platform, "skeleton") as tenant:
        # given
        source = await tenant.make_source("hub", "github")
        _, secret = await tenant.make_endpoint("team", inbox.url("/skeleton"))
        workflow_id = await tenant.make_workflow(
            workflow(
                "Tell the team", "github.issues.opened", tell("team", body={"n": "{{ event.data.raw.issue.number }}"})
            )
        )

        # when
        event_id = await tenant.deliver_event(source, ISSUE, delivery_id="delivery-1", event="issues")

        # then
        (arrived,) = await inbox.wait_for(1, path="/skeleton")
        assert signature_flaws([secret], arrived, SystemClock().now().timestamp()) == []
        assert b'"n":7' in arrived.body
        run = await tenant.run_of(workflow_id)
        assert run["status"] == "succeeded"
        event = await tenant.get(f"/api/v1/events/{event_id}")
        assert [each["id"] for each in event["runs"]] == [run["id"]]
        before = {name: await platform.cli("trace", name) for name in (event_id, run["id"], arrived.webhook_id)}
        for text in before.values():
            assert event_id in text
            assert run["id"] in text
            assert arrived.webhook_id in text
            assert "delivery-1" in text

        # when
        await platform.kill9()
        await platform.restart()

        # then
        assert await tenant.run(run["id"]) == run
        for name, text in before.items():
            assert await platform.cli("trace", name) == text
        again = await tenant.deliver_event(source, ISSUE, delivery_id="delivery-1", event="issues")
        assert again == event_id

        async def only_once() -> bool:
            return len(inbox.received("/skeleton")) == 1 and len(await tenant.every("/api/v1/runs")) == 1

        await holds_for(only_once, "the same delivery again changes nothing", seconds=1.0)


async def test_sigterm_ends_the_platform_and_its_postgresql_cleanly(space: Workspace) -> None:
    async with running_platform(space, "cold", warm=False) as platform:
        assert platform.postmaster_pid() is not None
        assert await platform.stop() == 0
        assert platform.postmaster_pid() is None


async def test_the_printed_token_opens_what_its_roles_allow_and_nothing_else(start_platform: StartPlatform) -> None:
    async with start_platform(UPSHOT_JWT_SECRET="") as platform, tenant_client(platform, "tokens") as tenant:
        printed = await platform.cli("token", "--tenant", "tokens", "--role", "automation:read", "--ttl", "1h")
        reader = tenant.acting_as(printed.strip())
        assert (await reader.request("GET", "/api/v1/runs")).status == 200
        refused = await reader.request("POST", "/api/v1/endpoints", json={"name": "a", "url": "https://example.com/"})
        assert refused.status == 403
        assert "automation:write" in refused.body["detail"]
