"""What a data folder remembers of its cluster: where it lies, its address, its password.

Guarantee: all of it is durable before the cluster exists, so a start that is killed anywhere is taken up by the next.
Next: `cluster.py`, which makes the cluster.
"""

import json
import logging
import os
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Self

from shared.runtime.clock import draw_token
from shared.runtime.embedded_postgres.errors import EmbeddedPostgresError
from shared.runtime.embedded_postgres.folders import (
    barrier,
    make_folders,
    make_private_folder,
    new_folder_mode,
    write_whole,
)
from shared.runtime.embedded_postgres.identity import Identity, choose_server_identity
from shared.runtime.embedded_postgres.places import socket_fits, system_home
from shared.runtime.embedded_postgres.processes import server_processes
from shared.runtime.embedded_postgres.settings import EmbeddedPostgresSettings

_LOG = logging.getLogger(__name__)

# Where a socket goes whose own folder has too long a path. /run first: nobody but root can write there.
_SHORT_BASES = (Path("/run"), Path("/tmp"))  # noqa: S108  made by mkdtemp, 0700


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One cluster's place and address; `data_dir` is the folder that it was made for."""

    data_dir: str
    home: str
    socket_dir: str
    port: int
    uid: int
    gid: int

    @property
    def data(self) -> Path:
        return Path(self.home) / "data"

    @property
    def identity(self) -> Identity:
        return Identity(uid=self.uid, gid=self.gid)


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """The folder `<data_dir>/postgres`, which is the app's own: record, password, locks and log."""

    data_dir: Path

    @classmethod
    def of(cls, data_dir: Path) -> Self:
        """By its one true name: links and `~` resolved, so that all who mean the folder meet."""
        return cls(data_dir=data_dir.expanduser().resolve())

    @property
    def folder(self) -> Path:
        return self.data_dir / "postgres"

    @property
    def log(self) -> Path:
        return self.folder / "postgresql.log"

    def lock_file(self, name: str) -> Path:
        return self.folder / f"{name}.lock"

    def read(self) -> Record | None:
        """The record, or None for a folder without one."""
        path = self.folder / "cluster.json"
        try:
            text = path.read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError):
            return None
        record = parse_record(text)
        if record is None:
            raise EmbeddedPostgresError(f"{path} is not what Upshot wrote; restore it, or move {self.folder} away")
        return record

    def write(self, record: Record) -> None:
        write_whole(self.folder / "cluster.json", render_record(record), mode=0o600)

    def password(self, *, cluster_exists: bool) -> str:
        """The superuser's password, drawn before the cluster is made."""
        path = self.folder / "password"
        if path.exists():
            return path.read_text(encoding="utf-8").strip()
        if cluster_exists:
            raise EmbeddedPostgresError(f"{path} is gone, and the cluster cannot be entered without it; restore it")
        write_whole(path, draw_token(24) + "\n", mode=0o600)
        return self.password(cluster_exists=True)


def parse_record(text: str) -> Record | None:
    """The inverse of `render_record`; None for anything else."""
    try:
        found = json.loads(text)
    except ValueError:
        return None
    kinds = {"data_dir": str, "home": str, "socket_dir": str, "port": int, "uid": int, "gid": int}
    if not isinstance(found, dict) or any(not isinstance(found.get(name), kind) for name, kind in kinds.items()):
        return None
    return Record(**{name: found[name] for name in kinds})


def render_record(record: Record) -> str:
    """JSON for people to read, too."""
    return json.dumps(asdict(record), indent=2) + "\n"


def settle(keeping: Keeping, settings: EmbeddedPostgresSettings) -> Record:
    """The folder's record: as written, or chosen and written now. The caller holds the guard."""
    found = record = keeping.read()
    if record is None:
        identity = choose_server_identity(settings.server_uid)
        home = keeping.folder
        if barrier(home, identity.uid, identity.gid) is not None:
            home = system_home(settings.system_dir, keeping.data_dir)
            make_folders(home.parent)
            _set_aside(home)
        record = Record(
            data_dir=str(keeping.data_dir),
            home=str(home),
            socket_dir=str(home / "socket"),
            port=settings.port,
            uid=identity.uid,
            gid=identity.gid,
        )
    elif record.data_dir != str(keeping.data_dir):
        record = _moved(record, keeping)
    if not socket_fits(Path(record.socket_dir), record.port):
        record = replace(record, socket_dir=str(_short_folder(record.identity)))
    if record != found:
        keeping.write(record)
    return record


def prepare_socket_folder(record: Record, keeping: Keeping) -> Record:
    """The socket's private folder, made again where a reboot took it; another where its name was taken meanwhile."""
    try:
        make_private_folder(Path(record.socket_dir), record.uid, record.gid)
    except EmbeddedPostgresError:
        if Path(record.socket_dir).parent == Path(record.home):
            raise
        record = replace(record, socket_dir=str(_short_folder(record.identity)))
        keeping.write(record)
    return record


def _moved(record: Record, keeping: Keeping) -> Record:
    """A data folder that was renamed takes its cluster along; a copy may not share the original's."""
    original = Keeping(data_dir=Path(record.data_dir))
    inside = Path(record.home) == original.folder
    if not inside and original.folder.exists() and original.read() == record:
        raise EmbeddedPostgresError(
            f"{keeping.data_dir} is a copy of {record.data_dir}, whose cluster lies apart in {record.home}; "
            "copy the cluster with pg_dump, or use the original"
        )
    home = keeping.folder if inside else Path(record.home)
    socket_dir = record.socket_dir
    if inside:
        socket_dir = str(home / "socket")  # a copy must not take the original's short folder either
    return replace(record, data_dir=str(keeping.data_dir), home=str(home), socket_dir=socket_dir)


def _set_aside(home: Path) -> None:
    """A home is made after its record: one without belongs to a data folder that was deleted. Its data are kept."""
    if not home.exists():
        return
    running = server_processes(home / "data")
    if running:
        raise EmbeddedPostgresError(
            f"a server (pid {min(running)}) still runs on {home}, "
            "made for a data folder of this name that is gone; stop it"
        )
    aside = home.with_name(f"{home.name}.abandoned-{draw_token(4)}")
    home.rename(aside)
    _LOG.warning("found a cluster of a deleted data folder of the same name; set it aside as %s", aside)


def _short_folder(identity: Identity) -> Path:
    for base in _SHORT_BASES:
        if os.access(base, os.W_OK | os.X_OK) and barrier(base, identity.uid, identity.gid) is None:
            folder = Path(tempfile.mkdtemp(prefix="upshot-", dir=base))
            make_private_folder(folder, identity.uid, identity.gid)
            return folder
    raise EmbeddedPostgresError(
        f"no short folder for the socket: neither of {', '.join(map(str, _SHORT_BASES))} is writable"
    )


def make_home(record: Record, keeping: Keeping) -> None:
    """The cluster's own folder, where it is not the keeping folder itself."""
    home = Path(record.home)
    if home != keeping.folder and not home.exists():
        home.mkdir(mode=0o700)
        home.chmod(new_folder_mode())


def has_cluster(data_dir: Path) -> bool:
    """Whether a server was ever started on this data folder."""
    return Keeping.of(data_dir).read() is not None
