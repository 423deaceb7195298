"""Folders and small files, made once, never widened: nothing that exists has its permissions touched.

Next: `keeping.py`.
"""

import os
import shutil
import stat
from contextlib import suppress
from pathlib import Path

from shared.runtime.embedded_postgres.errors import EmbeddedPostgresError
from shared.runtime.embedded_postgres.places import Permissions, first_barrier


def new_folder_mode() -> int:
    """Root's new folders can be passed through, not listed: the server's user must get below. Others keep theirs."""
    return 0o711 if os.geteuid() == 0 else 0o700


def make_folders(path: Path) -> None:
    """Make `path` and its missing parents, each with the mode above; refuse a folder that another user owns.

    Root's are accepted: that is how container volumes come. Another's could be taken away from under us.
    """
    for folder in [*reversed(path.parents), path]:
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            continue
        except OSError as error:
            raise EmbeddedPostgresError(f"cannot make the folder {folder}: {error.strerror}") from error
        folder.chmod(new_folder_mode())  # past the umask; the folder is ours, just made
    found = path.stat()
    if not stat.S_ISDIR(found.st_mode):
        raise EmbeddedPostgresError(f"{path} is no folder")
    if os.geteuid() != 0 and found.st_uid not in (os.geteuid(), 0):
        raise EmbeddedPostgresError(f"{path} belongs to user {found.st_uid}, and Upshot runs as user {os.geteuid()}")


def make_private_folder(path: Path, uid: int, gid: int) -> None:
    """A 0700 folder of the given user's, as it is or new; anything else of that name is refused."""
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        found = path.lstat()
        if stat.S_ISDIR(found.st_mode) and found.st_uid == uid and not found.st_mode & 0o077:
            return
        if not (stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not any(path.iterdir())):
            raise EmbeddedPostgresError(f"{path} is not a private folder of user {uid}; move it away") from None
        # ours and empty: whoever made it was killed before giving it away
    path.chmod(0o700)
    if uid != os.geteuid():
        os.chown(path, uid, gid, follow_symlinks=False)


def barrier(goal: Path, uid: int, gid: int, bits: int = 1) -> Path | None:
    """What keeps the user from using the existing `goal` (rwx as 4, 2, 1; passing through by default), or None."""
    way = []
    for path in [*reversed(goal.parents), goal]:
        found = path.stat()
        way.append((path, Permissions(uid=found.st_uid, gid=found.st_gid, mode=found.st_mode)))
    return first_barrier(way, uid, gid, bits)


def write_whole(path: Path, content: str, *, mode: int) -> None:
    """Replace a file by one rename, durably: readers see the old or the new, also after a power cut.

    What stands there already is not written again: a server whose disk is full must still start.
    """
    with suppress(OSError, ValueError):
        if path.read_text(encoding="utf-8") == content and stat.S_IMODE(path.stat().st_mode) == mode:
            return
    draft = path.with_name(f"{path.name}.draft")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(content)
        file.flush()
        give_to_folders_owner(file.fileno(), path.parent)
        os.fchmod(file.fileno(), mode)
        os.fsync(file.fileno())
    draft.replace(path)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make renames and new names in this folder durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def give_to_folders_owner(descriptor: int, folder: Path) -> None:
    """Root working in somebody's data folder leaves no files there that this somebody could not use."""
    owner = folder.stat()
    if os.geteuid() == 0 and owner.st_uid != 0:
        os.fchown(descriptor, owner.st_uid, owner.st_gid)


def give_tree(root: Path, from_uid: int, uid: int, gid: int) -> None:
    """Hand a tree from one user to another, following no link; refuse what the first user cannot have made there."""
    for folder, _, names, descriptor in os.fwalk(root, follow_symlinks=False):
        for name in [".", *names]:
            found = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
            hard_linked = stat.S_ISREG(found.st_mode) and found.st_nlink != 1
            if found.st_uid != from_uid or hard_linked:
                raise EmbeddedPostgresError(
                    f"{Path(folder) / name} is not what initdb made; the new cluster is not used"
                )
            os.chown(name, uid, gid, dir_fd=descriptor, follow_symlinks=False)


def remove_named(folder: Path, prefix: str) -> None:
    """Remove what is left in the folder of those who were killed."""
    for path in folder.glob(f"{prefix}*"):
        remove_tree(path)


def remove_tree(path: Path) -> None:
    """Remove a half-made folder, if it is there."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)
