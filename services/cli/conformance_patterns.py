"""`upshot conformance patterns FILE`: our pattern kernel against cases recorded from the reference implementation.

Takes rows of JSON (`conformance_rows.py`): cases, rules with the lines of an events file that they match; or the plain
`name | pattern | event => outcome` lines. The texts of a case, where it has them, stand above its parsed values. Each
answer is the evaluator's; where the index gives another, the case says so.
Next: `shared/matching/`, what is being judged.
"""

import json
from collections.abc import Callable
from pathlib import Path

import orjson

from services.cli.conformance_report import ConformanceReport, Verdict, report_on
from services.cli.conformance_rows import BadRow, Row, read_rows, text_of
from shared.domain.errors import InvalidInput
from shared.matching import EventFields, Pattern, PatternIndex, TooMuchWork, matches, parse_pattern, read_event

_EVENT_ERROR = "event_error"
_PAYLOAD_KEYS = ("payload", "event")
_OUTCOMES = "true, false, invalid or event_error"

_EventsNamed = Callable[[str], list[EventFields] | BadRow]


def run_pattern_cases(path: Path) -> ConformanceReport:
    """Every row of the file, in order. Raises InvalidInput where there is no such file; a row that is no case has failed."""
    found: dict[str, list[EventFields] | BadRow] = {}

    def events_named(name: str) -> list[EventFields] | BadRow:
        if name not in found:
            found[name] = _find_events(name, path.absolute())
        return found[name]

    return report_on(read_rows(path, _named_vector), lambda row: _judge(row, events_named))


def _named_vector(line: str) -> Row | BadRow | None:
    """`name | pattern | event => true`, or `=> ERR why` for a pattern that must be refused; None: it is no such line."""
    name, *rest = line.split(" | ", 2)
    if len(rest) != 2:
        return None
    event, arrow, outcome = rest[1].rpartition(" => ")
    expected = {"true": True, "false": False, "ERR": "invalid"}.get(outcome.strip().partition(" ")[0])
    if not arrow or expected is None:
        return BadRow("a line that does not end in => true, => false or => ERR and why")
    return {"id": name.strip(), "pattern_text": rest[0], "event_text": event, "expected": expected}


def _judge(row: Row, events_named: _EventsNamed) -> Verdict | BadRow:
    if not _has(row, "pattern"):
        return BadRow("an unreadable row: it has no pattern")
    return _judge_matrix_row(row, events_named) if "matching_lines" in row else _judge_case(row)


def _judge_case(row: Row) -> Verdict | BadRow:
    expected = _outcome(row.get("expected", row.get("recorded")))
    if expected is None:
        return BadRow(f"an unreadable row: expected (or recorded) is {_OUTCOMES}")
    if not _has(row, "event"):
        return BadRow("an unreadable row: it has no event")
    got = _answer(_text_of(row, "pattern"), _text_of(row, "event"))
    # What was recorded without being expected is what the references disagree on.
    reported_only = _is_reported_only(row) or "expected" not in row
    return Verdict(expected=expected, got=got, agrees=expected == got, reported_only=reported_only)


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
    return json.dumps(answer) if isinstance(answer, bool) else answer


def _asked_every_way(pattern: Pattern, events: list[EventFields]) -> list[bool | str]:
    """Whether each event matches: by the evaluator; by the index in Python, with its walk not yet written out and then so;
    and by the index with the compiled kernel, where that is there."""
    index: PatternIndex[int] = PatternIndex(walks_before_code=len(events), use_kernel=False)
    with_kernel: PatternIndex[int] = PatternIndex()
    index.add(1, pattern)
    with_kernel.add(1, pattern)
    answers: list[bool | str] = []
    ways = [[_indexed(asked, event) for event in events] for asked in (index, index, with_kernel)]
    for event, *indexed in zip(events, *ways, strict=True):
        answer = matches(pattern, event)
        answers.append(answer if indexed == [answer] * len(ways) else f"{answer}, but indexed {indexed}")
    return answers


def _indexed(index: PatternIndex[int], event: EventFields) -> bool | None:
    """As whoever asks an index does: where the arrays are too much for it, its rule is asked by itself."""
    try:
        return bool(index.candidates(event))
    except TooMuchWork:
        ((_, answer),) = index.in_order(event, [1])
        return answer


def _judge_matrix_row(row: Row, events_named: _EventsNamed) -> Verdict | BadRow:
    name = row.get("events_file")
    if not isinstance(name, str) or not isinstance(row["matching_lines"], list):
        return BadRow("an unreadable row: events_file is a path, matching_lines are the numbers of its lines")
    events = events_named(name)
    if isinstance(events, BadRow):
        return events
    try:
        pattern = _lenient(_text_of(row, "pattern"))
        got = str([line for line, answer in enumerate(_asked_every_way(pattern, events)) if answer])
    except InvalidInput:
        got = "invalid"
    expected = str(row["matching_lines"])
    return Verdict(expected=expected, got=got, agrees=expected == got, reported_only=_is_reported_only(row))


def _find_events(name: str, cases: Path) -> list[EventFields] | BadRow:
    """The events of the first file of this name beside the cases, in a folder above them, or where the command runs."""
    try:
        for folder in (*cases.parents, *cases.resolve().parents, Path.cwd()):
            if (folder / name).is_file():
                return _read_events(folder / name)
    except (OSError, ValueError):
        return BadRow(f"no events: {name[:100]} cannot be the name of a file")
    return BadRow(f"no events: {name} lies neither beside the cases nor in a folder above them, nor here")


def _read_events(path: Path) -> list[EventFields] | BadRow:
    try:
        return [_read_payload(line) for line in text_of(path).split("\n") if line.strip()]
    except (InvalidInput, ValueError, RecursionError) as error:
        return BadRow(f"no events: {path}: {error}")


def _read_payload(line: str) -> EventFields:
    row = json.loads(line, parse_float=_as_written, parse_int=_as_written)
    for key in _PAYLOAD_KEYS:
        if isinstance(row, dict) and key in row:
            return read_event(orjson.dumps(row[key]))
    raise ValueError(f"no object with {' or '.join(_PAYLOAD_KEYS)}")


def _as_written(token: str) -> orjson.Fragment:
    """A number that is written out again digit by digit."""
    return orjson.Fragment(token)


def _lenient(text: str) -> Pattern:
    """As the reference reads patterns; refusing duplicate keys is the save edge's job."""
    return parse_pattern(text, duplicate_keys="last_wins", legacy_or=True)


def _has(row: Row, name: str) -> bool:
    return name in row or isinstance(row.get(f"{name}_text"), str)


def _text_of(row: Row, name: str) -> str:
    text = row.get(f"{name}_text")
    return text if isinstance(text, str) else json.dumps(row.get(name))


def _outcome(expected: object) -> str | None:
    """As `_answer` says it; None: it is no outcome."""
    if isinstance(expected, bool):
        return json.dumps(expected)
    if isinstance(expected, str) and expected.startswith(_EVENT_ERROR):
        return _EVENT_ERROR
    return "invalid" if expected == "invalid" else None


def _is_reported_only(row: Row) -> bool:
    return bool(row.get("ambiguous") or row.get("policy"))
