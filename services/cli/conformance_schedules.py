"""`upshot conformance schedules FILE`: our reading of cron expressions against what four libraries made of them.

FILE holds rows {expr, tz, start, expected_next, agree}: `expected_next` is a list of local instants
(null: never again) or `invalid`, a `tz` of null is UTC without offsets. Rows on which four libraries agree count; others
are reported, never failed: with fewer in `agree`, with none, or with `results` by library instead of one expectation.
Next: `shared/schedules/cron.py`, what is being judged.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from services.cli.conformance_report import ConformanceReport, Verdict, report_on
from services.cli.conformance_rows import BadRow, Row, read_rows
from shared.domain.errors import InvalidInput
from shared.schedules import zone_named
from shared.schedules.cron import parse_cron
from shared.schedules.recurrence import ByTheClock

_LIBRARIES = 4
_INVALID = "invalid"
_UNREADABLE = (
    "an unreadable row: expr is a text, start an instant, tz an IANA zone or null, expected_next a list or invalid, "
    "agree a list"
)

_Outcome = str | list[str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    expression: str
    start: datetime
    zone: ZoneInfo | None  # None: local times without offset
    acceptable: Sequence[_Outcome]  # one, or each that some library gives
    counts: bool


def run_schedule_cases(path: Path) -> ConformanceReport:
    """Every row of the file, in order. Raises InvalidInput where there is no such file; a row that is no case has failed."""
    return report_on(read_rows(path), _judge)


def _judge(row: Row) -> Verdict | BadRow:
    case = _read(row)
    if case is None:
        return BadRow(_UNREADABLE)
    try:
        got = _outcome(case)
    except OverflowError:
        return BadRow("an unreadable row: its instants lie outside the years 1 to 9999")
    return Verdict(
        expected=" or ".join(map(_shown, case.acceptable)),
        got=_shown(got),
        agrees=any(_meets(got, each) for each in case.acceptable),
        reported_only=not case.counts,
    )


def _read(row: Row) -> _Case | None:
    agree = row.get("agree") or ()
    if not isinstance(row.get("expr"), str) or not isinstance(agree, list | tuple):
        return None
    results, zone = row.get("results"), row.get("tz")
    said = list(results.values()) if isinstance(results, dict) else [row.get("expected_next", row.get("expected"))]
    # A library that refuses an expression says so in its own words.
    acceptable = [each if isinstance(each, list) else _INVALID for each in said if isinstance(each, list | str)]
    local = zone_named(zone) if isinstance(zone, str) else None
    try:
        start = datetime.fromisoformat(row.get("start", "1970-01-01"))
    except (TypeError, ValueError):
        return None
    if not acceptable or (zone is not None and local is None):
        return None
    return _Case(
        expression=row["expr"],
        start=start.replace(tzinfo=UTC) if start.tzinfo is None else start,
        zone=local,
        acceptable=acceptable,
        counts=len(agree) >= _LIBRARIES,
    )


def _outcome(case: _Case) -> _Outcome:
    """What ours makes of it, as many instants as the longest expectation has."""
    try:
        pattern, reading = parse_cron(case.expression, seconds=True)
    except InvalidInput:
        return _INVALID
    recurrence = ByTheClock(pattern=pattern, zone=case.zone or ZoneInfo("UTC"), reading=reading)
    found: list[str | None] = []
    after = case.start
    for _ in range(max((len(each) for each in case.acceptable if isinstance(each, list)), default=1)):
        following = recurrence.next(after)
        if following is None:
            return [*found, None]
        found.append((following.astimezone(case.zone) if case.zone else following.replace(tzinfo=None)).isoformat())
        after = following
    return found


def _meets(got: _Outcome, expected: _Outcome) -> bool:
    """Libraries were asked for different numbers of instants."""
    if isinstance(got, list) and isinstance(expected, list):
        return got[: len(expected)] == expected
    return got == expected


def _shown(outcome: _Outcome) -> str:
    return outcome if isinstance(outcome, str) else json.dumps(outcome)
