"""Where things lie: pure choices over paths and permission bits.

Next: `folders.py`, which reads and makes the folders; `keeping.py`, which remembers what was chosen.
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SYSTEM_DATA_DIR = Path("/var/lib/upshot")

# sun_path holds 108 bytes with its NUL on Linux and 104 on macOS: what fits the smaller moves between both.
SOCKET_PATH_BYTES_MAX = 103


@dataclass(frozen=True, slots=True, kw_only=True)
class Permissions:
    """Who owns one file or folder, and its mode bits."""

    uid: int
    gid: int
    mode: int


def default_data_dir(environ: Mapping[str, str], uid: int) -> Path:
    """Upshot's data folder for whom it runs as: the system's for root, else the XDG data folder's `upshot`.

    A relative XDG_DATA_HOME is ignored, as its specification asks. Without HOME, as in bare containers, it is a
    folder of the user's own in /var/tmp, which unlike /tmp outlives a reboot.
    """
    if uid == 0:
        return SYSTEM_DATA_DIR
    for base in (Path(environ.get("XDG_DATA_HOME", "")), Path(environ.get("HOME", "")) / ".local" / "share"):
        if base.is_absolute():
            return base / "upshot"
    return Path(f"/var/tmp/upshot-{uid}")  # noqa: S108  its owner is checked before use


def may(permissions: Permissions, uid: int, gid: int, bits: int) -> bool:
    """Whether the user has all of `bits` (rwx as 4, 2, 1): only the first class that fits counts, as in POSIX."""
    if uid == permissions.uid:
        return (permissions.mode >> 6) & bits == bits
    if gid == permissions.gid:
        return (permissions.mode >> 3) & bits == bits
    return permissions.mode & bits == bits


def first_barrier(way: Sequence[tuple[Path, Permissions]], uid: int, gid: int, bits: int) -> Path | None:
    """The first path on the way down (folders, then the goal) that the user cannot use; None: reachable.

    Folders on the way need x; the goal, the last, needs `bits`. Access lists are not looked at.
    """
    last = len(way) - 1
    for index, (path, permissions) in enumerate(way):
        if not may(permissions, uid, gid, bits if index == last else 1):
            return path
    return None


def system_home(system_dir: Path, data_dir: Path) -> Path:
    """Where root's cluster lies when the server's user cannot reach the data folder; both paths are absolute."""
    return system_dir / "clusters" / hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]


def socket_fits(folder: Path, port: int) -> bool:
    """Whether a socket in that folder has a path that the operating system can hold."""
    return len(os.fsencode(folder / f".s.PGSQL.{port}")) <= SOCKET_PATH_BYTES_MAX


def restart_delay_seconds(failures: int, limit_seconds: float) -> float:
    """How long to wait before the restart after `failures` deaths in a row: 0, 0.5, 1, 2, 4, … up to the limit."""
    if failures <= 0:
        return 0.0
    return min(limit_seconds, 0.5 * 2.0 ** min(failures - 1, 32))
