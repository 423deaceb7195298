"""Which Python set-up makes .venv of."""

import os
import stat
import sys
from pathlib import Path

import pytest

from shared.testing.scripts import script

interpreter = script("interpreter")


def python(name: str, seconds: float, **more: object) -> object:
    told = {"version": (3, 11, 2), "makes_venv": True, "compiles": True, **more}
    return interpreter.Interpreter(path=name, seconds=seconds, **told)


FIRST = python("first", 1.0)


def test_the_first_found_is_taken_unless_another_is_faster_by_more_than_timing_varies() -> None:
    """Two builds alike must not take turns."""
    assert interpreter.fastest(FIRST, [FIRST, python("about-as-fast", 0.95)]) is None
    assert interpreter.fastest(FIRST, [FIRST, python("faster", 0.8), python("fastest", 0.7)]).path == "fastest"
    assert interpreter.fastest(FIRST, []) is None


@pytest.mark.parametrize(
    "lack", [{"makes_venv": False}, {"compiles": False}, {"version": (3, 14, 0)}, {"version": (3, 10, 9)}]
)
def test_one_that_can_do_less_is_not_taken_however_fast(lack: dict[str, object]) -> None:
    assert interpreter.fastest(FIRST, [python("fast", 0.1, **lack)]) is None


def test_without_headers_either_way_speed_alone_decides() -> None:
    first = python("first", 1.0, compiles=False)
    assert interpreter.fastest(first, [python("fast", 0.5, compiles=False)]).path == "fast"


def test_each_interpreter_is_found_once_and_what_does_not_start_is_passed_by(tmp_path: Path) -> None:
    """As on machines where a version manager's names stand for what is not installed."""
    (tmp_path / "python3").symlink_to(sys.executable)
    (tmp_path / "python3.11").symlink_to(sys.executable)
    broken = tmp_path / "python3.12"
    broken.write_text("#!/bin/sh\nexit 127\n")
    broken.chmod(broken.stat().st_mode | stat.S_IXUSR)
    (one,) = interpreter.found([str(tmp_path), str(tmp_path / "nowhere"), str(tmp_path)])
    assert one.path == os.path.realpath(sys.executable)
    assert one.version == sys.version_info[:3]
    assert one.seconds > 0


def test_a_python_that_was_named_is_not_argued_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHON", "python3.11")
    assert interpreter.choose("/usr/bin/named") == ("/usr/bin/named", "named by PYTHON")
