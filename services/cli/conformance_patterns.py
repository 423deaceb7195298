"""`upshot conformance patterns FILE`: our pattern kernel against cases recorded from the reference implementation.

Takes JSON Lines or a JSON array of cases, rules with the lines of an events file that they match, or the plain
`name | pattern | event => outcome` lines. The texts of a case, where it has them, stand above its parsed values. Each
answer is the evaluator's; where the index gives another, the case says so.
Next: `shared/matching/`, what is being judged.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from services.cli.conformance_report import ConformanceReport
from shared.domain.errors import InvalidInput
from shared.matching import EventFields, Pattern, PatternIndex, matches, parse_pattern, read_event

_EVENT_ERROR = "event_error"
_PAYLOAD_KEYS = ("payload", "event")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Verdict:
    case_id: str
    expected: str
    got: str
    reported_only: bool  # the references disagree on it, or ours is a policy


def run_pattern_cases(path: Path) -> ConformanceReport:
    """Judge every case of a file; raises `InvalidInput` or OSError where the file itself cannot be read as cases."""
    passed = failed = reported = 0
    lines: list[str] = []
    for verdict in _verdicts(path):
        differs = verdict.expected != verdict.got
        if differs:
            lines.append(f"{verdict.case_id}: expected {verdict.expected}, got {verdict.got}")
        if verdict.reported_only:
            reported += 1
        elif differs:
            failed += 1
        else:
            passed += 1
    return ConformanceReport(passed=passed, failed=failed, reported=reported, lines=lines)


def _verdicts(path: Path) -> Iterator[_Verdict]:
    events_of: dict[str, list[EventFields]] = {}
    for number, row in enumerate(_rows(path.read_text(encoding="utf-8")), 1):
        if "matching_lines" in row:
            name = row["events_file"]
            if name not in events_of:
                events_of[name] = _read_events(path.resolve().parent.parent / name)
            yield _judge_matrix_row(row, events_of[name], number)
        else:
            yield _judge_case(row, number)


def _rows(text: str) -> Iterator[dict[str, Any]]:  # Any: rows are JSON of several shapes
    stripped = text.lstrip()
    if stripped.startswith("["):
        yield from json.loads(text)
        return
    for line in text.split("\n"):
        if not line.strip() or line.startswith("#"):
            continue
        yield json.loads(line) if stripped.startswith("{") else _named_vector(line)


def _named_vector(line: str) -> dict[str, Any]:
    """`name | pattern | event => true`, or `=> ERR why` for a pattern that must be refused."""
    name, pattern, rest = line.split(" | ", 2)
    event, _, outcome = rest.rpartition(" => ")
    expected = {"true": True, "false": False}.get(outcome.strip(), "invalid")
    return {"id": name.strip(), "pattern_text": pattern, "event_text": event, "expected": expected}


def _judge_case(row: dict[str, Any], number: int) -> _Verdict:
    expected = row["expected"] if "expected" in row else row.get("recorded")
    return _Verdict(
        case_id=str(row.get("id", f"line {number}")),
        expected=_outcome(expected),
        got=_answer(_text_of(row, "pattern"), _text_of(row, "event")),
        reported_only=_is_reported_only(row) or "expected" not in row,
    )


def _answer(pattern_text: str, event_text: str) -> str:
    try:
        pattern = _lenient(pattern_text)
    except InvalidInput:
        return "invalid"
    try:
        event = read_event(event_text.encode("utf-8", "surrogatepass"))
    except InvalidInput:
        return _EVENT_ERROR
    (answer,) = _asked_every_way(pattern, [event])
    return _outcome(answer)


def _asked_every_way(pattern: Pattern, events: list[EventFields]) -> list[bool | str]:
    """Whether each event matches: by the evaluator; by the index in Python, with its walk not yet written out and then so;
    and by the index with the compiled kernel, where that is there."""
    index: PatternIndex[int] = PatternIndex(walks_before_code=len(events), use_kernel=False)
    with_kernel: PatternIndex[int] = PatternIndex()
    index.add(1, pattern)
    with_kernel.add(1, pattern)
    answers: list[bool | str] = []
    ways = [[bool(asked.candidates(event)) for event in events] for asked in (index, index, with_kernel)]
    for event, *indexed in zip(events, *ways, strict=True):
        answer = matches(pattern, event)
        answers.append(answer if indexed == [answer] * len(ways) else f"{answer}, but indexed {indexed}")
    return answers


def _judge_matrix_row(row: dict[str, Any], events: list[EventFields], number: int) -> _Verdict:
    try:
        pattern = _lenient(_text_of(row, "pattern"))
        got = str([line for line, answer in enumerate(_asked_every_way(pattern, events)) if answer])
    except InvalidInput:
        got = "invalid"
    return _Verdict(
        case_id=str(row.get("id", f"line {number}")),
        expected=str(row["matching_lines"]),
        got=got,
        reported_only=_is_reported_only(row),
    )


def _read_events(path: Path) -> list[EventFields]:
    events: list[EventFields] = []
    for line in path.read_text(encoding="utf-8").split("\n"):
        if line.strip():
            row = json.loads(line, parse_float=_as_written, parse_int=_as_written)
            payload = next(row[key] for key in _PAYLOAD_KEYS if key in row)
            events.append(read_event(orjson.dumps(payload)))
    return events


def _as_written(token: str) -> orjson.Fragment:
    """A number that is written out again digit by digit."""
    return orjson.Fragment(token)


def _lenient(text: str) -> Pattern:
    """As the reference reads patterns; refusing duplicate keys is the save edge's job."""
    return parse_pattern(text, duplicate_keys="last_wins", legacy_or=True)


def _text_of(row: dict[str, Any], name: str) -> str:
    text = row.get(f"{name}_text")
    return text if isinstance(text, str) else json.dumps(row.get(name))


def _outcome(expected: object) -> str:
    text = json.dumps(expected) if isinstance(expected, bool) else str(expected)
    return _EVENT_ERROR if text.startswith(_EVENT_ERROR) else text


def _is_reported_only(row: dict[str, Any]) -> bool:
    return bool(row.get("ambiguous") or row.get("policy"))
