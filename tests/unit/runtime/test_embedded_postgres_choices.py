"""The pure choices of the embedded PostgreSQL: folders, permissions, pid files, configuration, records."""

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.runtime.embedded_postgres import ConnectionParameters, EmbeddedPostgresSettings, default_data_dir
from shared.runtime.embedded_postgres.configuration import (
    PG_HBA,
    quote,
    quote_folder,
    render_configuration,
    server_arguments,
)
from shared.runtime.embedded_postgres.keeping import Record, parse_record, render_record
from shared.runtime.embedded_postgres.pidfile import parse_pid_file
from shared.runtime.embedded_postgres.places import (
    Permissions,
    first_barrier,
    may,
    restart_delay_seconds,
    socket_fits,
    system_home,
)

WHOLE = "4711\n/data\n1700000000\n5432\n/run/x\n\n  123456  77\nready   \n"


@pytest.mark.parametrize(
    ("environ", "uid", "expected"),
    [
        ({}, 0, "/var/lib/upshot"),
        ({"HOME": "/root", "XDG_DATA_HOME": "/x"}, 0, "/var/lib/upshot"),
        ({"HOME": "/home/ada"}, 1000, "/home/ada/.local/share/upshot"),
        ({"HOME": "/home/ada", "XDG_DATA_HOME": "/data/ada"}, 1000, "/data/ada/upshot"),
        ({"HOME": "/home/ada", "XDG_DATA_HOME": "relative"}, 1000, "/home/ada/.local/share/upshot"),
        ({"HOME": "/home/ada", "XDG_DATA_HOME": ""}, 1000, "/home/ada/.local/share/upshot"),
        ({}, 1000, "/var/tmp/upshot-1000"),
    ],
)
def test_default_data_dir(environ: dict[str, str], uid: int, expected: str) -> None:
    assert default_data_dir(environ, uid) == Path(expected)


@pytest.mark.parametrize(
    ("mode", "uid", "gid", "bits", "expected"),
    [
        (0o700, 1, 1, 7, True),
        (0o077, 1, 1, 1, False),  # the owner's class counts, however open the others are
        (0o050, 2, 1, 5, True),
        (0o705, 2, 1, 5, False),  # so does the group's
        (0o701, 2, 2, 1, True),
        (0o704, 2, 2, 1, False),
    ],
)
def test_the_first_class_that_fits_decides(mode: int, uid: int, gid: int, bits: int, expected: bool) -> None:
    assert may(Permissions(uid=1, gid=1, mode=stat.S_IFDIR | mode), uid, gid, bits) is expected


def test_the_first_barrier_on_the_way_is_named() -> None:
    def folder(path: str, mode: int) -> tuple[Path, Permissions]:
        return Path(path), Permissions(uid=0, gid=0, mode=stat.S_IFDIR | mode)

    way = [folder("/", 0o755), folder("/private", 0o700), folder("/private/x", 0o700)]
    assert first_barrier(way, 60806, 60806, 1) == Path("/private")
    assert first_barrier([folder("/", 0o755), folder("/a", 0o711)], 60806, 60806, 1) is None
    assert first_barrier([folder("/", 0o755), folder("/a", 0o711)], 60806, 60806, 5) == Path("/a")


@given(st.text(alphabet="aä/", min_size=1, max_size=120), st.integers(1, 65535))
def test_a_socket_fits_as_long_as_its_bytes_do(name: str, port: int) -> None:
    folder = Path("/" + name)
    assert socket_fits(folder, port) is (len(f"{folder}/.s.PGSQL.{port}".encode()) <= 103)


def test_a_system_home_depends_on_the_whole_path() -> None:
    one, other = (system_home(Path("/s"), Path(path)) for path in ("/a/b", "/a/c"))
    assert one != other
    assert one.parent == Path("/s/clusters")


def test_restarts_slow_down_to_the_limit() -> None:
    assert [restart_delay_seconds(n, 5.0) for n in range(7)] == [0.0, 0.5, 1.0, 2.0, 4.0, 5.0, 5.0]
    assert restart_delay_seconds(10_000, 30.0) == 30.0


def test_a_whole_pid_file() -> None:
    found = parse_pid_file(WHOLE)
    assert found is not None
    assert (found.pid, found.port, found.socket_dir, found.ready) == (4711, 5432, "/run/x", True)


def test_a_pid_file_cut_anywhere_never_names_a_wrong_pid_nor_is_ready() -> None:
    for length in range(len(WHOLE)):
        found = parse_pid_file(WHOLE[:length])
        assert found is None or (found.pid == 4711 and not found.ready)


@given(st.text())
def test_any_pid_file_parses_or_not_but_never_raises(text: str) -> None:
    found = parse_pid_file(text)
    assert found is None or found.pid >= 2


@pytest.mark.parametrize("text", ["", "\n", "-12\n", "1\n", "0\n", "x\n", "12", "99999999999999999999\n", "\x00\x00\n"])
def test_what_is_no_pid_is_none(text: str) -> None:
    assert parse_pid_file(text) is None


def test_nobody_is_trusted_and_no_network_is_listened_on() -> None:
    rules = [line.split() for line in PG_HBA.splitlines() if line and not line.startswith("#")]
    assert rules
    assert all(rule[0] == "local" and rule[-1] == "scram-sha-256" for rule in rules)
    arguments = server_arguments(
        data=Path("/d"), configuration=Path("/c"), hba=Path("/h"), socket_dir=Path("/s, x"), port=1
    )
    assert "listen_addresses=" in arguments
    assert 'unix_socket_directories="/s, x"' in arguments


def test_the_configuration_promises_durability() -> None:
    text = render_configuration(EmbeddedPostgresSettings(min_wal_size_mb=64, max_wal_size_mb=512), Path("/it's/data"))
    for line in (
        "fsync = 'on'",
        "synchronous_commit = 'on'",
        "min_wal_size = '64MB'",
        "max_wal_size = '512MB'",
        "timezone = 'UTC'",
        "jit = 'off'",
    ):
        assert line in text.splitlines()
    assert "include '/it''s/data/postgresql.conf'" in text


@given(st.text())
def test_quoting_can_be_undone_and_stays_on_one_line(value: str) -> None:
    quoted = quote(value)
    assert "\n" not in quoted
    inner = quoted[1:-1].replace("\\\\", "\0\0") if "\0" not in value else ""
    if inner:
        assert inner.replace("\\n", "\n").replace("''", "'").replace("\0\0", "\\") == value
    assert quote_folder(Path("/a")) == '"/a"'


@given(
    st.builds(
        Record,
        data_dir=st.text(),
        home=st.text(),
        socket_dir=st.text(),
        port=st.integers(),
        uid=st.integers(),
        gid=st.integers(),
    )
)
def test_a_record_survives_its_file(record: Record) -> None:
    assert parse_record(render_record(record)) == record


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", '{"home": 1}'])
def test_a_broken_record_is_none(text: str) -> None:
    assert parse_record(text) is None


def test_the_password_is_in_the_dsn_and_not_in_the_repr() -> None:
    connection = ConnectionParameters(host="/a b/c", port=5432, user="upshot", password="s/e?c", database="upshot")
    assert connection.dsn() == "postgresql://upshot:s%2Fe%3Fc@/upshot?host=%2Fa%20b%2Fc&port=5432"
    assert "s/e?c" not in repr(connection)
