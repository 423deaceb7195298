"""Whom the server runs as.

Run by an ordinary user, the server is that user's. PostgreSQL refuses to run as root; there it runs as the user named
`upshot` if the system has one, else as a bare number that nobody else uses. No user is added, no system file changed.

The server itself needs no entry in the user database, but initdb looks one up and stops without (measured on 18.4).
So where the number has none:
- as root, initdb runs as an account that every system has (daemon), in a folder of its own, and the finished cluster
  is handed over before anything is served from it;
- as an ordinary user (containers run under an arbitrary number), initdb runs in a user namespace in which that number
  goes by daemon's; where the kernel forbids those, the error says what to do.

Next: `cluster.py`.
"""

import os
import pwd
import shutil
from dataclasses import dataclass

from shared.runtime.embedded_postgres.errors import EmbeddedPostgresError

_FIRST_CHOICE = "upshot"
_BORROWED = ("daemon", "bin", "postgres", "nobody")


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A numeric user and group, and what a command line needs before it to be looked up in the user database."""

    uid: int
    gid: int
    prefix: tuple[str, ...] = ()


def choose_server_identity(server_uid: int) -> Identity:
    """For a new cluster: who will own it and run its server."""
    if os.geteuid() != 0:
        return Identity(uid=os.geteuid(), gid=os.getegid())
    try:
        entry = pwd.getpwnam(_FIRST_CHOICE)
    except KeyError:
        pass
    else:
        if entry.pw_uid != 0:
            return Identity(uid=entry.pw_uid, gid=entry.pw_gid)
    while has_entry(server_uid):
        server_uid += 1
    return Identity(uid=server_uid, gid=server_uid)


def initdb_identity(server: Identity) -> Identity:
    """Who runs initdb for that server."""
    if has_entry(server.uid):
        return server
    borrowed = _borrowed_account()
    if os.geteuid() == 0:
        return Identity(uid=borrowed.pw_uid, gid=borrowed.pw_gid)
    unshare = shutil.which("unshare")
    if unshare is None:
        raise EmbeddedPostgresError(
            f"user {server.uid} has no entry in /etc/passwd, which initdb needs, "
            "and there is no unshare to lend it one; add an entry, or set UPSHOT_DATABASE_URL"
        )
    names = (f"--map-user={borrowed.pw_uid}", f"--map-group={borrowed.pw_gid}")
    return Identity(uid=server.uid, gid=server.gid, prefix=(unshare, "--user", *names))


def has_entry(uid: int) -> bool:
    """Whether the user database knows the number."""
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _borrowed_account() -> pwd.struct_passwd:
    for name in _BORROWED:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return entry
    raise EmbeddedPostgresError(f"/etc/passwd has none of {', '.join(_BORROWED)}, as whom initdb could run")
