"""What the tenant API is shown: filters, pages in one unbroken order, and everything that is known of one thing."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from shared.bus.topics import DEFINITIONS, RUNS
from shared.domain.errors import InvalidInput
from shared.domain.runs.approvals import approval_id
from shared.readmodel.connect import ConnectParameters, connect
from shared.readmodel.store import ReadModel
from shared.readmodel.tenant_queries import TenantQueries
from shared.testing.folds import START

Fill = Callable[[str, int], Awaitable[None]]


@pytest.fixture(autouse=True)
async def two_tenants(fill: Fill) -> None:
    await fill("acme", 0)
    await fill("globex", 1)


async def test_events_newest_first_by_type_source_and_time(queries: TenantQueries) -> None:
    every = (await queries.list_events("acme")).items
    assert [event.event_id for event in every] == [f"event-{number}" for number in (5, 4, 3, 2, 1, 0)]
    assert (every[0].partition, every[0].offset, every[0].bytes, every[0].subject) == (0, 5, 15, "order 5")

    async def ids(**filters: object) -> list[str]:
        return [each.event_id for each in (await queries.list_events("acme", **filters)).items]  # type: ignore[arg-type]

    assert await ids(type="order.refunded") == ["event-4", "event-2", "event-0"]
    assert await ids(source="till") == ["event-3", "event-2"]
    assert await ids(type="order.refunded", source="till") == ["event-2"]
    assert await ids(since=START + timedelta(seconds=3)) == ["event-5", "event-4", "event-3"]
    assert await ids(until=START + timedelta(seconds=1)) == ["event-0"]
    assert await ids(type="never") == []


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 6, 7])
async def test_pages_hold_each_event_once(queries: TenantQueries, limit: int) -> None:
    seen, cursor, pages = [], None, 0
    while True:
        page = await queries.list_events("acme", cursor=cursor, limit=limit)
        seen += [event.event_id for event in page.items]
        pages += 1
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == [f"event-{number}" for number in (5, 4, 3, 2, 1, 0)]
    assert pages == -(-6 // limit)


async def test_a_cursor_of_another_list_is_refused(queries: TenantQueries) -> None:
    cursor = (await queries.list_events("acme", limit=1)).next_cursor
    with pytest.raises(InvalidInput, match="begin without one"):
        await queries.list_runs("acme", cursor=cursor)


async def test_an_event_shows_the_runs_it_led_to_replays_too(queries: TenantQueries) -> None:
    found = await queries.get_event("acme", "event-0")
    assert found is not None
    assert found.event.type == "order.refunded"
    assert [(run.workflow_id, run.replay_id, run.status) for run in found.runs] == [
        *sorted(
            [("w1", None, "succeeded"), ("w2", None, "pending_approval")], key=lambda each: _run_order(found.runs, each)
        ),
        ("w2", "replay-1", "running"),
    ]
    assert await queries.get_event("acme", "never") is None
    assert await queries.known_events("acme", ["event-0", "never"]) == {"event-0"}


async def test_runs_by_workflow_and_status(queries: TenantQueries) -> None:
    every = (await queries.list_runs("acme")).items
    assert len(every) == 5
    assert [run.requested_at for run in every] == sorted((run.requested_at for run in every), reverse=True)

    async def statuses(**filters: str) -> list[tuple[str, str]]:
        return [(run.workflow_id, run.status) for run in (await queries.list_runs("acme", **filters)).items]  # type: ignore[arg-type]

    assert await statuses(status="succeeded") == [("w1", "succeeded")]
    assert await statuses(status="skipped") == [("w1", "skipped")]
    assert await statuses(workflow_id="w2", status="running") == [("w2", "running"), ("w2", "running")]
    assert await statuses(workflow_id="w2", status="failed") == []
    skipped = (await queries.list_runs("acme", status="skipped")).items[0]
    assert skipped.reason_kind == "cooldown"
    assert skipped.reason is not None
    manual = every[0]
    assert (manual.requested_by, manual.event_id) == ("ann", None)


async def test_a_run_whole(queries: TenantQueries) -> None:
    done = (await queries.list_runs("acme", status="succeeded")).items[0]
    found = await queries.get_run("acme", done.run_id)
    assert found is not None
    assert found.run == done
    assert found.positions == (0, 1, 2)
    assert found.partition == 0
    (step,) = found.steps
    assert (step["id"], step["uses"], step["status"], step["number"]) == ("a", "notify.webhook", "succeeded", 1)
    assert [attempt["outcome"] for attempt in step["attempts"]] == ["succeeded"]  # type: ignore[attr-defined]
    manual = (await queries.list_runs("acme")).items[0]
    asked = await queries.get_run("acme", manual.run_id)
    assert asked is not None
    assert asked.inputs == {"n": 1}


async def test_approvals_and_the_runs_behind_them(queries: TenantQueries) -> None:
    (waiting,) = (await queries.list_approvals("acme", status="pending")).items
    assert waiting.roles == ["automation:approve"]
    assert (waiting.quorum, waiting.workflow_name, waiting.decisions) == (1, "Refund", [])
    assert waiting.approval_id == approval_id(waiting.run_id)
    assert (await queries.list_approvals("acme", status="granted")).items == ()
    assert await queries.get_approval("acme", waiting.approval_id) == waiting
    assert await queries.approval_of_run("acme", waiting.run_id) == waiting
    run = await queries.run_of_approval("acme", waiting.approval_id)
    assert run is not None
    assert (run.run.run_id, run.run.status) == (waiting.run_id, "pending_approval")
    assert await queries.run_of_approval("acme", "never") is None


async def test_definitions(queries: TenantQueries) -> None:
    tenant = await queries.get_tenant("acme")
    assert tenant is not None
    assert (tenant.name, tenant.plan, tenant.version) == ("Acme", "free", 9)
    (source,) = (await queries.list_sources("acme")).items
    assert (source.vendor, source.settings, source.secrets) == ("shopify", {"region": "eu"}, ["sealed:a"])
    assert await queries.get_source("acme", "source") == source
    (endpoint,) = (await queries.list_endpoints("acme")).items
    assert (endpoint.url, endpoint.secrets, endpoint.revision) == ("https://example.com", ["sealed:b"], 1)
    assert await queries.get_endpoint("acme", "endpoint") == endpoint

    alert, refund = (await queries.list_workflows("acme")).items
    assert (alert.name, alert.enabled, alert.newest.revision) == ("Alert", True, 2)
    assert alert.newest.document == {"name": "Alert", "note": "of acme, on 1"}
    assert (refund.name, refund.enabled) == ("Refund", False)
    assert [each.name for each in (await queries.list_workflows("acme", enabled=True)).items] == ["Alert"]
    first = await queries.list_workflows("acme", limit=1)
    assert first.items == (alert,)
    assert (await queries.list_workflows("acme", limit=1, cursor=first.next_cursor)).items == (refund,)
    assert await queries.get_workflow("acme", "w1") == alert
    assert await queries.get_workflow_named("acme", "Alert") == alert
    newest, first_of_all = (await queries.list_revisions("acme", "w1")).items
    assert (newest.revision, newest.author, newest.changes) == (2, "ann", "changed note")
    assert (first_of_all.revision, first_of_all.changes) == (1, "new")
    page = await queries.list_revisions("acme", "w1", limit=1)
    assert page.items == (newest,)
    assert (await queries.list_revisions("acme", "w1", limit=1, cursor=page.next_cursor)).items == (first_of_all,)
    with pytest.raises(InvalidInput):
        await queries.list_revisions("acme", "w1", cursor=first.next_cursor)
    oldest = await queries.get_revision("acme", "w1", 1)
    assert oldest is not None
    assert oldest.document["note"] == "of acme, on None"
    assert oldest.steps[0]["id"] == "a"
    assert await queries.get_revision("acme", "w1", 3) is None


async def test_an_archived_workflow_is_listed_apart_and_found_by_id_only(queries: TenantQueries) -> None:
    (old,) = (await queries.list_workflows("acme", archived=True)).items
    assert (old.workflow_id, old.name, old.archived, old.enabled) == ("w0", "Old", True, False)
    assert await queries.get_workflow_named("acme", "Old") is None
    assert await queries.get_workflow("acme", "w0") == old


async def test_commands_tell_which_fold_decided_them(queries: TenantQueries) -> None:
    asked = await queries.get_command("acme", "ask")
    assert asked is not None
    assert (asked.topic, asked.verdict.status, asked.verdict.command_id) == (RUNS, 202, "ask")
    stale = await queries.get_command("acme", "stale", topic=DEFINITIONS)
    assert stale is not None
    assert (stale.verdict.status, stale.verdict.body["kind"]) == (412, "stale-revision")
    assert await queries.get_command("acme", "stale", topic=RUNS) is None


async def test_operators_list_all_tenants(readmodel: ReadModel) -> None:
    assert [tenant.tenant_id for tenant in await readmodel.tenants()] == ["acme", "globex"]


def _run_order(runs: object, each: tuple[str, str | None, str]) -> str:
    """Of runs asked for at one instant the ids decide."""
    return next(run.run_id for run in runs if (run.workflow_id, run.replay_id) == each[:2])  # type: ignore[attr-defined]


async def test_connections_that_died_while_idle_cost_nobody_an_answer(queries: TenantQueries, database: object) -> None:
    """Killed while this loop stands still, so that no connection can have noticed when it is used next."""

    async def ask_at_once() -> list[object]:
        return await asyncio.gather(*(queries.get_tenant("acme") for _ in range(4)))

    before = await ask_at_once()
    killer = threading.Thread(target=lambda: asyncio.run(_kill_the_apis(database.admin)))  # type: ignore[attr-defined]
    killer.start()
    killer.join()
    assert await ask_at_once() == before
    assert all(before)


async def _kill_the_apis(admin: ConnectParameters) -> None:
    connection = await connect(admin)
    try:
        killed = await connection.fetch(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE usename = 'upshot_api' AND datname = current_database()"
        )
        assert len(killed) > 1
    finally:
        await connection.close()
