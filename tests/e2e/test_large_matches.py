"""One tenant's event that leads to more than a record holds: that tenant is told what was left out, the others notice nothing."""

import pytest

from shared.testing.documents import tell, wait, workflow
from shared.testing.receivers import Receiver
from shared.testing.tenant_client import TenantClient

pytestmark = pytest.mark.asyncio(loop_scope="session")

STEP_IDS = [f"step_{number}_{'x' * 50}" for number in range(100)]
STEPS = [
    wait(3600, STEP_IDS[0]),
    *({**wait(0, step_id), "needs": STEP_IDS[:number][:60]} for number, step_id in enumerate(STEP_IDS[1:], 1)),
]
"""As JSON nearly 300 KB, which every match of the workflow carries along: what the executor needs to know of the steps."""


async def test_more_than_a_record_holds_is_left_out_by_priority_explained_and_delays_nobody(
    tenant: TenantClient, other_tenant: TenantClient, inbox: Receiver
) -> None:
    await other_tenant.make_endpoint("sink", inbox.url("/neighbour"))
    await other_tenant.make_workflow(workflow("Neighbour", "shop.sold", tell("sink")))
    ids = [
        await tenant.make_workflow(workflow(f"Large {number}", "shop.sold", *STEPS, priority=number))
        for number in range(18)
    ]
    event_id = await tenant.emit("shop.sold")
    await other_tenant.emit("shop.sold")
    await inbox.wait_for(1, path="/neighbour")
    await tenant.run_of(ids[0], {"running"})
    explained = await tenant.get(f"/api/v1/events/{event_id}/explain?workflow={ids[-1]}")
    outcome = explained["items"][0]["outcome"]
    assert (outcome["kind"], outcome["reason_kind"]) == ("unevaluated", "record_bytes_max")
    assert "no room" in outcome["reason"]
    await other_tenant.emit("shop.sold")
    await inbox.wait_for(2, path="/neighbour")
