"""A rolling update runs two versions of Upshot on one log: this one, and one that is this tree with one more record version.

The other version is real: a folder of links to this tree in which `tenant.plan_changed` has another shape from its version 2
on, with its casters in `record_versions.py`, as a release would ship it.
"""

from pathlib import Path

import pytest

from services.foundation import Foundation, foundation
from services.projector.service.rebuild import verify
from services.tenants import create_tenant
from shared.bus.partitioner import partition_of
from shared.bus.port import Record
from shared.bus.ranges import BusRange
from shared.bus.topics import DEFINITIONS
from shared.domain.envelope import routing_key
from shared.domain.plans import DEFAULT_PLAN
from shared.runtime.settings import UpshotSettings
from shared.testing.documents import wait, workflow
from shared.testing.platform import REPOSITORY, second_process
from shared.testing.tenant_client import ALL_ROLES, TenantClient, client_session, make_token
from shared.testing.waiting import eventually
from shared.testing.workspace import Workspace
from tests.e2e.conftest import StartPlatform

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow, pytest.mark.timeout(300)]

RECORD_VERSIONS = """
from dataclasses import replace
import orjson
from shared.bus.topics import DEFINITIONS
from shared.bus.upcasters import RecordVersion, RecordVersions

def named(old, new, version):
    def cast(event):
        fields = {new if name == old else name: value for name, value in orjson.loads(event.data).items()}
        return replace(event, version=version, data=orjson.dumps(fields))
    return cast

RECORD_VERSIONS = RecordVersions([RecordVersion(
    topic=DEFINITIONS, type="tenant.plan_changed", version=2, write_level=2,
    upcast=named("plan", "plan_name", 2), downcast=named("plan_name", "plan", 1))])
"""
EDITS = (
    (
        "shared/domain/records/definitions.py",
        "    plan: str\n    quotas: Quotas\n",
        "    plan_name: str\n    quotas: Quotas\n",
    ),
    ("shared/domain/definitions.py", "(fact.plan, fact.quotas) !=", "(fact.plan_name, fact.quotas) !="),
    ("shared/domain/definitions.py", "= fact.plan, fact.quotas", "= fact.plan_name, fact.quotas"),
    ("shared/domain/definitions.py", '"id": tenant.id, "plan": fact.plan,', '"id": tenant.id, "plan": fact.plan_name,'),
    ("services/tenants.py", "TenantPlanChanged(plan=plan,", "TenantPlanChanged(plan_name=plan,"),
)


async def test_a_new_record_version_is_rolled_out_beside_the_old_one(
    start_platform: StartPlatform, space: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UPSHOT_POSTGRES_SYSTEM_DIR", str(space.system_dir))
    newer = newer_version(space.data_dir("newer-version"))
    async with (
        start_platform() as old,
        client_session() as session,
        foundation(UpshotSettings(data_dir=old.data_dir)) as ground,
    ):
        moved, spared = [
            TenantClient(old, session, name, make_token(old, name, *ALL_ROLES, subject="owner"))
            for name in ("moved", "spared")
        ]
        for tenant in (moved, spared):
            await create_tenant(ground, tenant.tenant_id, DEFAULT_PLAN)

        # when: the new version runs beside the old one, and the level is left alone
        async with second_process(old, space, environment=newer) as other:
            await other.cli("tenant", "plan", "moved", "team")
            record = await last_record(ground, moved)
            assert dict(record.headers).get("ce_recordversion") is None
            assert (record.value or b"").startswith(b'{"plan":"team","quotas":{"workflows":50,')

            # then: both go on, and both fold the log to the same tables
            await works(moved)
            await works(moved.at(other))
            report = await verify(ground.bus, ground.readmodel, ground.clock)
            told = await other.cli("rebuild", "--verify")
            assert report.equal
            assert "equal to the live read model" in told
            for table, checksum in report.tables.items():
                if table != "checkpoints":  # they move on meanwhile
                    assert f"{table}: {checksum.rows} rows, checksum {checksum.hash}" in told
            examined = await other.cli("doctor")
            assert "records are written up to level 1; this version reads up to level 2" in examined
            assert "once every process runs this version: set UPSHOT_WRITE_LEVEL=2" in examined
            assert {"~1 reads up to level 1", "~2 reads up to level 2"} <= {
                line[line.find("~") :] for line in examined.splitlines() if "ok    member" in line
            }

            # when: it is raised too soon
            await other.stop()
            await other.start(UPSHOT_WRITE_LEVEL="2")
            await other.cli("tenant", "plan", "moved", "business")
            record = await last_record(ground, moved)
            assert dict(record.headers)["ce_recordversion"] == b"2"
            assert (record.value or b"").startswith(b'{"plan_name":"business","quotas":{"workflows":500,')

            # then: the old version halts that partition, says so, and goes on with the others
            place = f"{DEFINITIONS}/{record.partition} stands still at offset {record.offset}"
            await eventually(lambda: unready(moved, place, "version 2 is from a later Upshot"), "/readyz names it")
            await works(spared)

        # and: once updated it goes on
        await old.stop()
        await old.start(**newer, UPSHOT_WRITE_LEVEL="2")
        await eventually(lambda: ready(moved), "/readyz answers 200")
        await works(moved)
        assert (await moved.get("/api/v1/usage"))["plan"] == "business"


def newer_version(folder: Path) -> dict[str, str]:
    """The environment in which a process is the other version: this tree, as links, with its own files where they differ."""
    own = {"shared/bus/record_versions.py": RECORD_VERSIONS}
    for name, before, after in EDITS:
        text = own.get(name) or (REPOSITORY / name).read_text(encoding="utf-8")
        assert text.count(before) == 1, f"{name} does not say {before!r} any more: adapt the other version"
        own[name] = text.replace(before, after)
    link(REPOSITORY, folder, ["services", "shared"], {Path(name) for name in own})
    for name, text in own.items():
        (folder / name).write_text(text, encoding="utf-8")
    return {"PYTHONPATH": str(folder), "PYTHONSAFEPATH": "1"}


def link(source: Path, folder: Path, names: list[str], own: set[Path]) -> None:
    """Links to `names` below `source`; a folder that holds one of its `own` files is made anew around it."""
    folder.mkdir()
    for name in names:
        path = Path(name)
        inner = {each.relative_to(path) for each in own if path in each.parents}
        if inner:
            link(source / name, folder / name, sorted(each.name for each in (source / name).iterdir()), inner)
        elif path not in own and name != "__pycache__":
            (folder / name).symlink_to(source / name)


async def last_record(ground: Foundation, tenant: TenantClient) -> Record:
    """Of the tenant's partition of the definitions."""
    log = BusRange(ground.bus, DEFINITIONS, partition_of(routing_key(tenant.tenant_id), ground.bus.partition_count))
    try:
        high = (await log.watermarks()).high
        return (await log.read(high - 1, high, records_max=1)).records[0]
    finally:
        await log.close()


async def works(tenant: TenantClient) -> None:
    number = len(await tenant.every("/api/v1/workflows"))
    workflow_id = await tenant.make_workflow(workflow(f"Wait {number}", "shop.sold", wait(0)))
    await tenant.emit("shop.sold")
    await tenant.runs_of(workflow_id, 1, {"succeeded"})


async def ready(tenant: TenantClient) -> bool:
    return (await tenant.request("GET", "/readyz", authorised=False)).status == 200


async def unready(tenant: TenantClient, *words: str) -> bool:
    answer = await tenant.request("GET", "/readyz", authorised=False)
    return answer.status == 503 and all(each in answer.body["detail"] for each in words)
