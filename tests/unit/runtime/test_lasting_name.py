"""A process's name in groups: the same after a kill, never that of another that lives."""

import contextlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from shared.runtime.clock import SystemRandomness
from shared.runtime.lasting_name import lasting_name

DRAWN = SystemRandomness()


def test_it_outlives_whoever_had_it(tmp_path: Path) -> None:
    with lasting_name(tmp_path / "members", "host", DRAWN) as former:
        assert former.startswith("host-")
    with lasting_name(tmp_path / "members", "host", DRAWN) as latter:
        assert latter == former


def test_of_those_who_live_each_has_its_own_and_the_first_that_is_free_is_taken(tmp_path: Path) -> None:
    with contextlib.ExitStack() as rest:
        with lasting_name(tmp_path, "host", DRAWN) as first:
            second, third = (rest.enter_context(lasting_name(tmp_path, "host", DRAWN)) for _ in range(2))
            assert len({first, second, third}) == 3
        with lasting_name(tmp_path, "host", DRAWN) as again:
            assert again == first


def test_a_killed_process_lets_go_of_it(tmp_path: Path) -> None:
    holding = (
        "import sys, pathlib\n"
        "from shared.runtime.clock import SystemRandomness\n"
        "from shared.runtime.lasting_name import lasting_name\n"
        "with lasting_name(pathlib.Path(sys.argv[1]), 'host', SystemRandomness()) as name:\n"
        "    print(name, flush=True)\n"
        "    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holding, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        name = process.stdout.readline().strip()
        with lasting_name(tmp_path, "host", DRAWN) as other:
            assert other != name
        process.kill()
        process.wait()
        with lasting_name(tmp_path, "host", DRAWN) as successor:
            assert successor == name


def test_a_copy_and_another_host_have_names_of_their_own(tmp_path: Path) -> None:
    with lasting_name(tmp_path / "here", "host", DRAWN) as name:
        shutil.copytree(tmp_path / "here", tmp_path / "copied")
        with lasting_name(tmp_path / "copied", "host", DRAWN) as copied:
            assert copied != name
    with lasting_name(tmp_path / "here", "other", DRAWN) as elsewhere:
        assert elsewhere not in (name, copied)


@pytest.mark.parametrize("content", ["", "0123456789abcde", "0123456789ABCDEF", "0123456789abcdef0", "\0" * 16])
def test_a_damaged_file_is_written_anew(tmp_path: Path, content: str) -> None:
    (tmp_path / "1").write_text(content)
    with lasting_name(tmp_path, "host", DRAWN) as name:
        pass
    with lasting_name(tmp_path, "host", DRAWN) as again:
        assert again == name
    assert len((tmp_path / "1").read_text()) == 16


def test_where_nothing_can_be_written_it_lasts_as_long_as_the_process(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    names = set()
    for _ in range(2):
        with lasting_name(tmp_path / "file" / "members", "host", DRAWN) as name:
            names.add(name)
    assert len(names) == 2
    assert [each.name for each in tmp_path.iterdir()] == ["file"]
