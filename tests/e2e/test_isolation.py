"""Nothing of one tenant is reachable with another's token: every route of the API's own description, tried with foreign ids."""

import re
from typing import Any

import pytest

from shared.testing.documents import tell, wait, workflow
from shared.testing.platform import RunningPlatform
from shared.testing.receivers import Receiver
from shared.testing.tenant_client import TenantClient

pytestmark = pytest.mark.asyncio(loop_scope="session")

_BODIES: dict[str, Any] = {
    "runs": {"inputs": {}},
    "cancel": {"reason": "not mine"},
    "grant": {"reason": "not mine"},
    "deny": {"reason": "not mine"},
    "resolve": {"resolution": "succeeded", "reason": "not mine", "number": 1},
    "disable": {"reason": "not mine"},
    "clone": {"name": "Stolen"},
    "rollback": {"revision": 1},
}
_QUERIES = {"diff": "?from=1&to=1"}


async def _things_of(tenant: TenantClient, inbox: Receiver) -> dict[str, str]:
    """One of everything that has an id, by the folder that it lies in."""
    source = await tenant.make_source("hub", "github")
    endpoint_id, _ = await tenant.make_endpoint("sink", inbox.url("/isolation"))
    held = workflow("Held", "shop.sold", wait(600), tell("sink"), approval={"when": "always"})
    workflow_id = await tenant.make_workflow({**held, "trigger": [held["trigger"], {"webhook": {}}]})
    (hook,) = (await tenant.get(f"/api/v1/workflows/{workflow_id}"))["hooks"]
    key = {"Idempotency-Key": '"a-command-of-mine"'}
    await tenant.command("POST", "/api/v1/workflows", workflow("Second", "shop.other", wait(0)), headers=key)
    event_id = await tenant.emit("shop.sold", {"secret": "of the first tenant"})
    run = await tenant.run_of(workflow_id, {"pending_approval"})
    (approval,) = await tenant.every("/api/v1/approvals")
    past = {"workflow_id": workflow_id, "since": "2026-01-01T00:00:00Z", "until": "2026-01-02T00:00:00Z"}
    backtest = (await tenant.request("POST", "/api/v1/backtests", json=past)).expect(202).body
    return {
        "backtests": backtest["id"],
        "sources": source.id,
        "endpoints": endpoint_id,
        "workflows": workflow_id,
        "hook": hook["id"],
        "events": event_id,
        "runs": run["id"],
        "approvals": approval["id"],
        "commands": "a-command-of-mine",
    }


async def test_every_route_answers_404_to_foreign_ids_and_changes_nothing(
    platform: RunningPlatform, tenant: TenantClient, other_tenant: TenantClient, inbox: Receiver
) -> None:
    things = await _things_of(tenant, inbox)
    before = [await tenant.get(path) for path in _own_paths(things)]
    described = (await other_tenant.request("GET", "/openapi.json", authorised=False)).expect(200).body
    tried = 0
    for path, operations in described["paths"].items():
        if not path.startswith("/api/") or "{" not in path:
            continue
        kind = path.split("/")[3]
        if kind == "templates":
            continue  # the same for everybody
        assert kind in things, f"{path}: make one of these above"
        filled = re.sub(r"\{(id|source_id)\}", things[kind], path).replace("{step}", "pause").replace("{number}", "1")
        filled = filled.replace("{hook}", things["hook"])
        assert "{" not in filled, f"{path}: say here what its other parameters are"
        for method in sorted(operations.keys() & {"get", "post", "put", "patch", "delete"}):
            verb = path.rsplit("/", 1)[-1]
            body = workflow("Stolen", "shop.sold", wait(0)) if method == "put" else _BODIES.get(verb)
            headers = {"If-Match": '"1"'} if method == "put" or verb == "rollback" else {}
            answer = await other_tenant.request(
                method.upper(), filled + _QUERIES.get(verb, ""), json=body if method != "get" else None, headers=headers
            )
            if kind == "commands":
                # Whatever is said of it is said of what never was.
                never = await other_tenant.request("GET", "/api/v1/commands/never-asked-for")
                assert (answer.status, answer.body.get("type")) == (never.status, never.body.get("type"))
                continue
            assert answer.status == 404, f"{method.upper()} {path}: {answer.status} {answer.body}"
            assert "of the first tenant" not in str(answer.body)
            tried += 1
    assert tried >= 15, "the description names the routes that were tried"
    assert [await tenant.get(path) for path in _own_paths(things)] == before
    assert inbox.received("/isolation") == []


def _own_paths(things: dict[str, str]) -> list[str]:
    return [
        f"/api/v1/{kind}/{things[kind]}"
        for kind in ("sources", "endpoints", "workflows", "events", "runs", "approvals")
    ]


async def test_lists_hold_only_ones_own(tenant: TenantClient, other_tenant: TenantClient, inbox: Receiver) -> None:
    await _things_of(tenant, inbox)
    for kind in ("sources", "endpoints", "workflows", "events", "runs", "approvals"):
        assert len(await tenant.every(f"/api/v1/{kind}")) >= 1, kind
        assert await other_tenant.every(f"/api/v1/{kind}") == [], kind


async def test_one_tenants_event_starts_nothing_of_anothers(
    tenant: TenantClient, other_tenant: TenantClient, inbox: Receiver
) -> None:
    document = workflow("Any", "shop.*", wait(0))
    own, foreign = await tenant.make_workflow(document), await other_tenant.make_workflow(document)
    await tenant.emit("shop.sold")
    await tenant.runs_of(own, 1)
    assert await other_tenant.every(f"/api/v1/runs?workflow={foreign}") == []


async def test_a_foreign_endpoint_cannot_be_named(
    tenant: TenantClient, other_tenant: TenantClient, inbox: Receiver
) -> None:
    endpoint_id, _ = await tenant.make_endpoint("mine", inbox.url("/foreign"))
    step = tell(endpoint_id)
    answer = await other_tenant.command("POST", "/api/v1/workflows", workflow("Theft", "shop.sold", step))
    if answer.status == 201:  # it may be saved: endpoints can be made later; it must not be sent to
        await other_tenant.emit("shop.sold")
        assert (await other_tenant.run_of(answer.body["id"]))["status"] == "failed"
    else:
        assert answer.status == 422
    assert inbox.received("/foreign") == []
