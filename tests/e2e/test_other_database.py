"""The platform on a PostgreSQL that is not its own, as containers have it: the newest, and the oldest that is supported."""

from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from shared.runtime.embedded_postgres import ServerHandle
from shared.testing.documents import emit, workflow
from shared.testing.platform import running_platform
from shared.testing.postgres import debian_installation, debian_postgres, embedded_postgres
from shared.testing.tenant_client import tenant_client
from shared.testing.workspace import Workspace


def server_of(version: str, folder: Path) -> AbstractAsyncContextManager[ServerHandle]:
    if version == "oldest":
        if debian_installation() is None:
            pytest.skip("PostgreSQL 15 is not installed (Debian 12: apt install postgresql-15)")
        return debian_postgres(folder, syncs=True)
    return embedded_postgres(folder, syncs=True)


@pytest.mark.postgres
@pytest.mark.parametrize("version", ["newest", "oldest"])
async def test_a_database_url_is_all_it_takes(space: Workspace, tmp_path: Path, version: str) -> None:
    async with server_of(version, tmp_path) as server:
        environment = {"UPSHOT_DATABASE_URL": server.connection.dsn()}
        async with (
            running_platform(space, f"other-{version}", environment=environment) as platform,
            tenant_client(platform, "acme") as acme,
        ):
            workflow_id = await acme.make_workflow(workflow("Note", "order.noted", emit("order.seen")))
            await acme.emit("order.noted")
            await acme.run_of(workflow_id, {"succeeded"})

            await platform.kill9()
            await platform.restart()
            run = await acme.run_of(workflow_id, {"succeeded"})
            examined = await platform.cli("doctor")

            assert [step["status"] for step in run["steps"]] == ["succeeded"]
            assert not (platform.data_dir / "postgres").exists()
            assert "the database is the one at UPSHOT_DATABASE_URL" in examined
            assert {line.split()[0] for line in examined.splitlines()} == {"ok"}, examined
