"""What an examination finds: pure judgements over numbers and texts that `doctor.py` has read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

OLDEST_POSTGRES = 15
CLOCK_SECONDS_MAX = 2.0
LAG_RECORDS_MAX = 10_000
FREE_BYTES_MIN = 1_000_000_000
MEMBER_SILENT_SECONDS = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing looked at. `mend`: what to do about it, where it is not well."""

    level: Literal["ok", "warn", "fail"]
    what: str
    mend: str = ""


def python_finding(version: tuple[int, int, int]) -> Finding:
    text = ".".join(str(part) for part in version)
    if (3, 11) <= version[:2] < (3, 14):
        return Finding(level="ok", what=f"Python {text}")
    return Finding(level="fail", what=f"Python {text}", mend="use Python 3.11, 3.12 or 3.13")


def packages_finding(services: Sequence[str], shared: Sequence[str]) -> Finding:
    """`services` and `shared` are common names: a foreign package of either would shadow ours."""
    mend = "remove the foreign package, or put Upshot's folder first on sys.path"
    if len(services) != 1 or len(shared) != 1:
        return Finding(level="fail", what=f"packages lie in several places: {[*services, *shared]}", mend=mend)
    here, there = services[0].rpartition("/")[0], shared[0].rpartition("/")[0]
    if here != there:
        return Finding(level="fail", what=f"services is from {here}, shared from {there}", mend=mend)
    return Finding(level="ok", what=f"services and shared are ours, in {here}")


def mode_finding(path: str, mode: int, owner: int, user: int) -> Finding:
    """A folder or a secret, which nobody else may read. Passing through a folder is harmless: root's server user must."""
    bits = mode & 0o777
    is_folder = bool(mode & 0o040000)
    if bits & (0o066 if is_folder else 0o077):
        mend = f"chmod go-rw{'' if is_folder else 'x'} {path}"
        return Finding(level="warn" if is_folder else "fail", what=f"{path} has mode {bits:04o}", mend=mend)
    if owner != user:
        return Finding(level="warn", what=f"{path} belongs to user {owner}, not {user}", mend=f"chown {user} {path}")
    return Finding(level="ok", what=f"{path} is readable by its owner only ({bits:04o})")


def disk_finding(path: str, free: int) -> Finding:
    what = f"{free / 1e9:.1f} GB are free where {path} lies"
    if free < FREE_BYTES_MIN:
        return Finding(level="warn", what=what, mend="make room: the log only grows")
    return Finding(level="ok", what=what)


def postgres_finding(version_number: int, version: str) -> Finding:
    if version_number // 10_000 < OLDEST_POSTGRES:
        return Finding(level="fail", what=f"PostgreSQL {version}", mend=f"use PostgreSQL {OLDEST_POSTGRES} or later")
    return Finding(level="ok", what=f"PostgreSQL {version} answers")


def durability_findings(settings: Mapping[str, str]) -> list[Finding]:
    """What must be on for "nothing that was accepted is lost" to hold."""
    found = []
    for name in ("fsync", "full_page_writes"):
        if settings.get(name) != "on":
            mend = f"set {name} = on in the server's configuration"
            found.append(Finding(level="fail", what=f"{name} is {settings.get(name)}", mend=mend))
    if settings.get("data_checksums") != "on":
        mend = "enable them with pg_checksums while the server is stopped"
        found.append(Finding(level="warn", what="data checksums are off", mend=mend))
    return found or [Finding(level="ok", what="the server writes durably, with checksums")]


def roles_finding(wanted: Sequence[str], roles: Mapping[str, tuple[bool, bool]]) -> Finding:
    """`roles`: name -> (superuser, bypasses row-level security)."""
    missing = [name for name in wanted if name not in roles]
    if missing:
        mend = "run: upshot migrate"
        return Finding(level="fail", what=f"roles are missing: {', '.join(missing)}", mend=mend)
    risen = [name for name in wanted if any(roles[name])]
    if risen:
        mend = "; ".join(f"ALTER ROLE {name} NOSUPERUSER NOBYPASSRLS" for name in risen)
        return Finding(level="fail", what=f"roles that may do too much: {', '.join(risen)}", mend=mend)
    return Finding(level="ok", what=f"roles {', '.join(wanted)}: none is superuser or passes row-level security")


def migration_finding(installed: str | None, head: str) -> Finding:
    if installed == head:
        return Finding(level="ok", what=f"schemas are at revision {head}")
    return Finding(
        level="fail", what=f"schemas are at {installed}, this version's are {head}", mend="run: upshot migrate"
    )


def model_findings(generation: int, version: int, expected: int, others: Sequence[int]) -> list[Finding]:
    """The read model's generation and what folded it."""
    if version == expected:
        found = [Finding(level="ok", what=f"read model: generation {generation}, folded by version {version}")]
    else:
        what = f"read model: generation {generation} was folded by version {version}, this code is {expected}"
        if version > expected:
            mend = "run the version that made it, or go back to this one: upshot rebuild"
        else:
            mend = "start the platform (upshot up), which builds it anew first, or run: upshot rebuild"
        found = [Finding(level="fail", what=what, mend=mend)]
    if others:
        what = f"generations that are not current: {', '.join(map(str, others))}"
        mend = "a rebuild is running, or one was killed; the next `upshot rebuild` removes them"
        found.append(Finding(level="warn", what=what, mend=mend))
    return found


def topic_finding(topic: str, *, partitions: int, wanted: int, records: int, segments: int) -> Finding:
    what = f"{topic}: {records} records in {partitions} partitions, {segments} segments"
    if partitions != wanted:
        return Finding(level="fail", what=f"{what}; this version wants {wanted}", mend="the number never changes")
    if not segments:
        return Finding(level="fail", what=what, mend="run: upshot migrate")
    return Finding(level="ok", what=what)


def lag_finding(who: str, topic: str, lag: int | None, *, members: int | None = None) -> Finding:
    """`lag` None: it commits no offsets, the read model's checkpoints say how far it is. `members`: live readers, if known."""
    alive = "" if members is None else f", {members} live"
    if lag is None:
        return Finding(level="ok", what=f"{who} on {topic}: goes by the read model's checkpoints{alive}")
    what = f"{who} on {topic}: {lag} records behind{alive}"
    if members == 0 and lag:
        return Finding(level="warn", what=what, mend="nobody reads: start the platform (upshot up)")
    if lag > LAG_RECORDS_MAX:
        mend = "it should shrink; if it does not, look for one partition that halts in the platform's log lines"
        return Finding(level="warn", what=what, mend=mend)
    return Finding(level="ok", what=what)


def clock_finding(seconds: float) -> Finding:
    """`seconds`: how far this machine's clock is ahead of the database's."""
    what = f"this machine's clock is {seconds:+.3f} s from the database's"
    if abs(seconds) > CLOCK_SECONDS_MAX:
        mend = "let both follow a time server: signatures and tokens are judged by one, deadlines by the other"
        return Finding(level="warn", what=what, mend=mend)
    return Finding(level="ok", what=what)


def write_level_findings(write_level: int, newest: int, members: Mapping[str, int | None]) -> list[Finding]:
    """What may be written, beside what is read: `members` are the live readers and up to which level each reads (None: its
    version does not say)."""
    what = f"records are written up to level {write_level}; this version reads up to level {newest}"
    if write_level > newest:
        return [Finding(level="fail", what=what, mend="update this process, or lower UPSHOT_WRITE_LEVEL")]
    mend = ""
    if write_level < newest:
        ready = bool(members) and all((level or 1) >= newest for level in members.values())
        when = "every live group member reads it" if ready else "once every process runs this version"
        mend = f"{when}: set UPSHOT_WRITE_LEVEL={newest}"
    found = [Finding(level="ok", what=what, mend=mend)]
    for name, level in sorted(members.items()):
        reads = f"reads up to level {level}" if level is not None else "does not say what it reads"
        if (level or 1) < write_level:
            mend = f"update it: it stands still at the first record above level {level or 1}"
            found.append(Finding(level="fail", what=f"member {name} {reads}", mend=mend))
        else:
            found.append(Finding(level="ok", what=f"member {name} {reads}"))
    return found
