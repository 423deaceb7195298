"""The compiled kernel is there wherever it can be, and does nothing that C forbids: its tests again, under sanitizers."""

import os
import platform
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from shared.matching import native
from shared.testing.scripts import script

ROOT = Path(__file__).resolve().parents[2]
SANITIZING = (
    "-UNDEBUG",
    "-g",
    "-O1",
    "-fno-omit-frame-pointer",
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
)
STRICT = ("-Wextra", "-Werror", "-Wno-missing-field-initializers")

# What pytest loads first: the sanitized library takes the place of the one beside the sources.
PLUGIN = """
import importlib.util, sys

spec = importlib.util.spec_from_file_location("shared.matching.native._kernel", {library!r})
sys.modules[spec.name] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules[spec.name])
"""


@pytest.fixture(scope="module")
def kernel() -> ModuleType:
    return script("kernel")


def test_it_compiles_without_a_warning_and_is_what_is_used(kernel: ModuleType, tmp_path: Path) -> None:
    missing = kernel.build(tmp_path, STRICT)
    if missing is not None and "failed" not in missing:
        pytest.skip(f"the matching kernel is not compiled: {missing}")
    assert missing is None
    if os.environ.get("UPSHOT_NATIVE") == "0":
        pytest.skip("the matching kernel is switched off: UPSHOT_NATIVE=0")
    assert native.IS_THERE or os.environ.get("CI") != "true"


def test_nothing_is_done_that_c_forbids(kernel: ModuleType, tmp_path: Path) -> None:
    compiler = kernel.found_compiler()
    if compiler is None or platform.system() != "Linux":
        pytest.skip("the matching kernel's sanitizers need a C compiler on Linux")
    asked = subprocess.run([*compiler, "-print-file-name=libasan.so"], check=False, capture_output=True, text=True)
    runtime = Path(asked.stdout.strip())
    missing = kernel.build(tmp_path, SANITIZING) if runtime.is_absolute() else "it has no address sanitizer"
    if missing is not None:
        pytest.skip(f"the matching kernel is not compiled with sanitizers: {missing}")
    (tmp_path / "sanitized_kernel.py").write_text(PLUGIN.format(library=str(kernel.library(tmp_path))))
    tests = [f"tests/unit/matching/test_native_{name}.py" for name in ("scan", "index", "lifetimes")]

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "sanitized_kernel", "-p", "no:cacheprovider", *tests],
        cwd=ROOT,
        env={
            **os.environ,
            "PYTHONPATH": str(tmp_path),
            "LD_PRELOAD": str(runtime.resolve()),
            "PYTHONMALLOC": "malloc",
            "ASAN_OPTIONS": "detect_leaks=0:malloc_context_size=1",
            "UPSHOT_TEST_EXAMPLES": "10",  # each costs four times as much; and what hypothesis has read of our sources is kept
        },
        check=False,
        capture_output=True,
        text=True,
        timeout=110,
    )

    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    assert "passed" in done.stdout
    assert "skipped" not in done.stdout
