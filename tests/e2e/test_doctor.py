"""`upshot doctor` and `upshot rebuild` beside a running platform, and the doctor on an installation that is not well."""

import pytest

from shared.testing.documents import workflow
from shared.testing.platform import CommandFailed, RunningPlatform, running_platform
from shared.testing.tenant_client import tenant_client
from shared.testing.workspace import Workspace

UNREADABLE = {"UPSHOT_BUS": "kafka", "UPSHOT_KAFKA_SECURITY_PROTOCOL": "ssl"}


async def test_doctor_finds_a_running_platform_well_and_a_rebuild_beside_it_equal(space: Workspace) -> None:
    async with running_platform(space, "doctor") as platform, tenant_client(platform, "acme") as acme:
        pause = {"id": "pause", "uses": "wait", "with": {"seconds": 0}}
        workflow_id = await acme.make_workflow(workflow("Note orders", "order.noted", pause))
        await acme.emit("order.noted")
        await acme.run_of(workflow_id)

        examined = await platform.cli("doctor")
        rebuilt = await platform.cli("rebuild")
        again = await platform.cli("doctor")

    assert {line.split()[0] for line in examined.splitlines()} == {"ok"}, examined
    assert "group matcher on upshot.events: 0 records behind, 1 live" in examined
    assert "the read model on upshot.runs: 0 records behind" in examined
    assert "equal to the live read model; generation 2 is current now" in rebuilt
    assert "generation 2" in again


async def test_doctor_fails_where_secrets_are_open_or_settings_are_none_and_says_how_to_mend_it(
    space: Workspace,
) -> None:
    async with running_platform(space, "doctor-open") as platform:
        secret = platform.data_dir / "master-key"
        secret.chmod(0o644)
        with pytest.raises(CommandFailed) as failure:
            await platform.cli("doctor")
        secret.chmod(0o600)
        unreadable = RunningPlatform(platform.data_dir, space.system_dir, UNREADABLE)
        with pytest.raises(CommandFailed) as unread:
            await unreadable.cli("doctor")

    told = unread.value.output.splitlines()[-1]
    assert (unread.value.status, told.split("  -> ")[0]) == (1, "fail  UPSHOT_KAFKA_SECURITY_PROTOCOL cannot be used")
    assert failure.value.status == 1
    assert f"chmod go-rwx {secret}" in failure.value.output


async def test_doctor_says_which_folder_is_not_there(space: Workspace) -> None:
    nowhere = RunningPlatform(space.data_dir("nowhere"), space.system_dir, {})

    examined = await nowhere.cli("doctor")

    assert "there is no data folder" in examined
    assert not nowhere.data_dir.exists()
