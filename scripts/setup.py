"""Makes .venv from a lock file, and lets it find this checkout: no build backend, no network beyond the locked packages.
Where there is a C compiler, it compiles the matching kernel, too.

Run by setup.sh with whichever Python was found, which chooses the fastest on the machine for .venv (interpreter.py); needs the
standard library only. Doing it again costs nothing while the lock, the checkout's place and the Python stay the same. The lock
for tests holds all of the runtime's: it serves both.
"""

import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import interpreter

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
LOCKS = {"runtime": ROOT / "requirements.lock", "test": ROOT / "requirements-dev.lock"}

# The shell line starts Python whatever the path's length or blanks; to Python it is a string.
LAUNCHER = """#!/bin/sh
'''exec' "{python}" "$0" "$@"
' '''
import sys

from services.cli import main

sys.exit(main())
"""


def main() -> int:
    kind = sys.argv[1] if len(sys.argv) > 1 else "runtime"
    kafka = None
    if kind == "test":
        provide_system_packages()
        kafka = begin_with_kafka()
    with (ROOT / ".venv.lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)  # two makes at once would spoil each other's
        if not (is_current(kind) or (kind == "runtime" and is_current("test"))):
            install(kind)
        compile_kernel()
    if kafka is not None:
        finish_kafka(kafka)
    return 0


def stamp(kind: str) -> Path:
    return VENV / f".installed-{kind}"


def state_of(kind: str) -> str:
    """What an installation depends on."""
    lock = hashlib.sha256(LOCKS[kind].read_bytes()).hexdigest()
    return f"{lock}\n{ROOT}\n"


def is_current(kind: str) -> bool:
    try:
        if stamp(kind).read_text() != state_of(kind):
            return False
    except OSError:
        return False
    return works()


def works() -> bool:
    """Whether .venv has a Python that starts: the one it was made with may have been removed, or the folder moved."""
    return PYTHON.exists() and subprocess.run([PYTHON, "-c", ""], check=False, capture_output=True).returncode == 0


def install(kind: str) -> None:
    began = time.monotonic()
    make_venv()
    for each in LOCKS:
        stamp(each).unlink(missing_ok=True)
    install_lock(LOCKS[kind])
    link_checkout()
    stamp(kind).write_text(state_of(kind))
    say(f"ready after {time.monotonic() - began:.0f} s")


def make_venv() -> None:
    if works():
        return
    python, why = interpreter.choose()
    say(f"making .venv with {python}: {why}")
    shutil.rmtree(VENV, ignore_errors=True)
    # Debian's python3 comes without ensurepip unless python3-venv is installed; an outer pip can serve instead.
    with_pip = python != sys.executable or importlib.util.find_spec("ensurepip") is not None
    if not with_pip and importlib.util.find_spec("pip") is None:
        fail(f"{sys.executable} has neither ensurepip nor pip. Debian, Ubuntu: apt install python3-venv")
    arguments = [python, "-m", "venv", *([] if with_pip else ["--without-pip"]), str(VENV)]
    made = subprocess.run(arguments, check=False, capture_output=True, text=True)
    if made.returncode:
        fail(f"cannot make .venv:\n{made.stdout}{made.stderr}")


def pip() -> list[str]:
    """The venv's own pip, else the outer one working on the venv."""
    if subprocess.run([PYTHON, "-m", "pip", "--version"], check=False, capture_output=True).returncode == 0:
        return [str(PYTHON), "-m", "pip"]
    return [sys.executable, "-m", "pip", "--python", str(PYTHON)]


def install_lock(lock: Path) -> None:
    """Exactly what the lock names, each file checked by its hash; the lock is whole, so pip need not resolve.

    Python compiles what it imports; compiling all 52 packages beforehand took half of the time.
    """
    count = sum(1 for line in lock.read_text().splitlines() if line[:1].isalnum())
    say(f"installing {count} locked packages from {lock.name}")
    command = [
        *pip(),
        "install",
        "--require-hashes",
        "--no-deps",
        "--no-compile",
        "--disable-pip-version-check",
        "--no-input",
    ]
    process = subprocess.Popen(
        [*command, "--progress-bar", "off", "-r", str(lock)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    assert process.stdout is not None  # asked for
    lines, seen = [], 0
    for line in process.stdout:
        lines.append(line)
        if line.startswith(("Collecting ", "Requirement already satisfied: ")):
            seen += 1
            name = line.removeprefix("Collecting ").removeprefix("Requirement already satisfied: ").split("==")[0]
            show_progress(f"[{min(seen, count)}/{count}] {name.strip()}", last=False)
        elif line.startswith("Installing collected packages"):
            show_progress("unpacking", last=False)
    status = process.wait()
    show_progress("", last=True)
    if status:
        fail("".join(lines[-30:]) + f"\npip could not install {lock.name}")


def link_checkout() -> None:
    """`import services` and `.venv/bin/upshot` work from anywhere, and follow every change of the checkout."""
    asked = "import sysconfig; print(sysconfig.get_path('purelib'))"
    found = subprocess.run([PYTHON, "-c", asked], check=True, capture_output=True, text=True)
    (Path(found.stdout.strip()) / "upshot-checkout.pth").write_text(f"{ROOT}\n")
    launcher = VENV / "bin" / "upshot"
    launcher.write_text(LAUNCHER.format(python=PYTHON))
    launcher.chmod(0o755)


def compile_kernel() -> None:
    """Optional, and seconds once: what it is, and why it may not be there, is said by the script."""
    script = ROOT / "scripts" / "kernel.py"
    done = subprocess.run([PYTHON, str(script)], check=False, capture_output=True, text=True)
    if done.returncode:
        say(done.stdout.strip() or done.stderr.strip()[-300:])


def provide_system_packages() -> None:
    """In CI, where nothing that could run may be skipped: the oldest PostgreSQL that Upshot supports, and what Kafka needs."""
    if os.environ.get("CI") != "true" or os.geteuid() != 0 or shutil.which("apt-get") is None:
        return
    wanted = {
        "postgresql-15": Path("/usr/lib/postgresql/15/bin/pg_ctl").exists(),
        "default-jre-headless": shutil.which("java") is not None,
        "maven": shutil.which("mvn") is not None,
        "kcat": shutil.which("kcat") is not None,
    }
    packages = [name for name, is_there in wanted.items() if not is_there]
    if not packages:
        return
    say(f"installing from the system for the tests that use it: {', '.join(packages)}")
    # Of PostgreSQL only the binaries are wanted: no cluster, no service.
    no_cluster = Path("/etc/postgresql-common/createcluster.d/upshot-tests.conf")
    no_cluster.parent.mkdir(parents=True, exist_ok=True)
    no_cluster.write_text("create_main_cluster = false\n")
    if not apt_get("update", "-q"):
        return
    if not apt_get("install", "-q", "-y", "--no-install-recommends", *packages):
        for name in (
            packages if len(packages) > 1 else ()
        ):  # one that this system does not know must not cost the others
            apt_get("install", "-q", "-y", "--no-install-recommends", name)


def apt_get(*arguments: str) -> bool:
    """Whether it succeeded; if not, it says so: the tests that miss something name it themselves as they are skipped."""
    try:
        done = subprocess.run(
            ["apt-get", *arguments],
            check=False,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=240,
        )
    except subprocess.TimeoutExpired:
        say(f"apt-get {' '.join(arguments)} took too long; tests that need it will be skipped")
        return False
    if done.returncode:
        say(f"apt-get {' '.join(arguments)} failed; tests that need it will be skipped:\n{done.stderr[-600:]}")
    return done.returncode == 0


def begin_with_kafka() -> "subprocess.Popen[bytes]":
    """Maven brings the broker's jars while pip installs; a machine that cannot run Kafka says why, and goes on."""
    return subprocess.Popen(
        [sys.executable, str(ROOT / "shared" / "testing" / "kafka_jars.py")], stdin=subprocess.DEVNULL
    )


def finish_kafka(bringing: "subprocess.Popen[bytes]") -> None:
    if bringing.wait() == 0:
        subprocess.run([PYTHON, str(ROOT / "scripts" / "kafka.py"), "--prepare"], check=False, stdin=subprocess.DEVNULL)


def show_progress(text: str, *, last: bool) -> None:
    """One line that is written over on a terminal; a line each elsewhere, but not for every package."""
    if sys.stdout.isatty():
        print("\r\033[K" + ("" if last else f"setup: {text}"), end="", flush=True)
    elif text and (not text.startswith("[") or text.split("/", maxsplit=1)[0].endswith(("0", "5"))):
        print(f"setup: {text}", flush=True)


def say(text: str) -> None:
    print(f"setup: {text}", flush=True)


def fail(text: str) -> None:
    print(f"setup: {text}", file=sys.stderr, flush=True)
    sys.exit(1)


if __name__ == "__main__":
    sys.exit(main())
