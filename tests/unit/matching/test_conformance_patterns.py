"""The judge of recorded cases, on small files of our own in every format it takes."""

import json
from pathlib import Path
from typing import Any

import pytest

from services.cli.conformance_patterns import run_pattern_cases

_Row = dict[str, Any]
_PASSING: _Row = {"id": "ok", "pattern": {"a": [1]}, "event": {"a": 1.0}, "expected": True}
_FAILING: _Row = {"id": "off", "pattern": {"a": [1]}, "event": {"a": 2}, "expected": True}
_INVALID: _Row = {"id": "bad", "pattern": {"a": 1}, "event": {}, "expected": "invalid"}
_BY_TEXT: _Row = {"id": "text", "pattern_text": '{"a":[1],"a":[2]}', "event": {"a": 2}, "expected": True}
_NO_EVENT: _Row = {"id": "list", "pattern": {"a": [1]}, "event": [1], "expected": "event_error:IllegalArgument"}


def _write(path: Path, rows: list[dict[str, Any]], *, as_array: bool) -> Path:
    text = json.dumps(rows) if as_array else "\n".join(json.dumps(row) for row in rows) + "\n"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("as_array", [True, False])
def test_counts_and_lines_name_what_differs(tmp_path: Path, as_array: bool) -> None:
    rows = [_PASSING, _FAILING, _INVALID, _BY_TEXT, _NO_EVENT]
    report = run_pattern_cases(_write(tmp_path / "cases", rows, as_array=as_array))

    assert report.lines == ["off: expected true, got false"]
    assert report.summary == "4 passed, 1 failed, 0 reported"
    assert report.exit_code == 1


@pytest.mark.parametrize("flag", ["ambiguous", "policy"])
def test_flagged_rows_are_reported_and_never_fail(tmp_path: Path, flag: str) -> None:
    report = run_pattern_cases(_write(tmp_path / "cases", [{**_FAILING, flag: "why"}, _PASSING], as_array=False))

    assert report.lines == ["off: expected true, got false"]
    assert report.summary == "1 passed, 0 failed, 1 reported"
    assert report.exit_code == 0


def test_rules_over_an_events_file_find_it_beside_the_folder(tmp_path: Path) -> None:
    (tmp_path / "events").mkdir()
    payloads: list[_Row] = [{"payload": {"n": 1}}, {"payload": {"n": 2}}, {"payload": {"n": 1.0}}]
    _write(tmp_path / "events" / "some.jsonl", payloads, as_array=False)
    (tmp_path / "cases").mkdir()
    rule = {"id": "r", "events_file": "events/some.jsonl", "pattern": {"n": [1]}, "matching_lines": [0, 2]}
    wrong = {**rule, "id": "w", "matching_lines": [0]}

    report = run_pattern_cases(_write(tmp_path / "cases" / "matrix.jsonl", [rule, wrong], as_array=False))

    assert report.lines == ["w: expected [0], got [0, 2]"]
    assert report.summary == "1 passed, 1 failed, 0 reported"


@pytest.mark.parametrize("place", ["cases", "cases/below", "elsewhere"])
def test_rules_find_their_events_beside_them_above_them_and_where_the_command_runs(
    tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("cases/events", "cases/below", "elsewhere"):
        (tmp_path / folder).mkdir(parents=True)
    _write(tmp_path / "cases" / "events" / "some.jsonl", [{"payload": {"n": 1}}], as_array=False)
    rule = {"id": "r", "events_file": "events/some.jsonl", "pattern": {"n": [1]}, "matching_lines": [0]}
    monkeypatch.chdir(tmp_path / "cases")

    report = run_pattern_cases(_write(tmp_path / place / "matrix.jsonl", [rule], as_array=False))

    assert (report.lines, report.passed) == ([], 1)


@pytest.mark.parametrize("name", ["events/none.jsonl", "x" * 5000, "\0", "\ud800", "no-payload", "no-json", 7])
def test_a_rule_whose_events_cannot_be_read_fails_and_others_go_on(tmp_path: Path, name: object) -> None:
    _write(tmp_path / "no-payload", [{"n": 1}], as_array=False)
    (tmp_path / "no-json").write_text("{")
    rule = {"id": "r", "events_file": name, "pattern": {"n": [1]}, "matching_lines": [0]}

    report = run_pattern_cases(_write(tmp_path / "matrix.jsonl", [rule, rule, _PASSING], as_array=False))

    assert report.summary == "1 passed, 2 failed, 0 reported"
    assert all(" expected a case, got " in line for line in report.lines)


@pytest.mark.parametrize("missing", ["pattern", "event", "expected"])
@pytest.mark.parametrize("row", [_PASSING, {**_INVALID, "ambiguous": "why"}])
def test_a_row_that_is_no_case_fails_and_is_not_reported(tmp_path: Path, row: _Row, missing: str) -> None:
    less = {name: value for name, value in row.items() if name != missing}

    report = run_pattern_cases(_write(tmp_path / "cases", [less], as_array=True))

    assert report.summary == "0 passed, 1 failed, 0 reported"
    assert report.lines[0].startswith("row-1: expected a case, got an unreadable row: ")


def test_named_vectors_a_line_each(tmp_path: Path) -> None:
    path = tmp_path / "vectors.txt"
    path.write_text(
        "# a comment\n"
        'same | {"t":["x"]} | {"t":"x"} => true\n'
        'none | {"t":["x"]} | {"t":"y"} => false\n'
        'refused | {"t":[]} | {"t":"y"} => ERR Empty arrays are not allowed\n'
        'differs | {"t":["x"]} | {"t":"y"} => true\n',
        encoding="utf-8",
    )

    report = run_pattern_cases(path)

    assert report.lines == ["differs: expected true, got false"]
    assert report.summary == "3 passed, 1 failed, 0 reported"


@pytest.mark.parametrize("line", ["half | {}", 'typo | {"t":["x"]} | {} => flase', 'none | {"t":["x"]} | {}'])
def test_a_vector_that_cannot_be_read_fails(tmp_path: Path, line: str) -> None:
    path = tmp_path / "vectors.txt"
    path.write_text(f'{line}\nnone | {{"t":["x"]}} | {{"t":"y"}} => false\n', encoding="utf-8")

    assert run_pattern_cases(path).summary == "1 passed, 1 failed, 0 reported"
