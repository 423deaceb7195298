"""However a file of recorded cases is written down, and whatever is wrong with it: each row is judged or named, and counted."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from services.cli import main
from services.cli.commands import app
from services.cli.conformance_patterns import run_pattern_cases
from services.cli.conformance_report import ConformanceReport
from services.cli.conformance_rows import BadRow, read_rows
from services.cli.conformance_schedules import run_schedule_cases
from services.cli.conformance_signatures import run_signature_cases
from shared.testing.examples import examples

_PATTERN = {"id": "ok", "pattern": {"a": [1]}, "event": {"a": 1.0}, "expected": True}
_SECRET = {"id": "ok", "key": "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", "valid": True}
_HOURLY = {
    "id": "ok",
    "expr": "0 * * * *",
    "tz": "UTC",
    "start": "2026-01-01T00:00:00+00:00",
    "expected_next": ["2026-01-01T01:00:00+00:00"],
    "agree": ["a", "b", "c", "d"],
}
KINDS = [
    pytest.param(run_pattern_cases, _PATTERN, id="patterns"),
    pytest.param(run_signature_cases, _SECRET, id="signatures"),
    pytest.param(run_schedule_cases, _HOURLY, id="schedules"),
]
each_kind = pytest.mark.parametrize(("run", "row"), KINDS)
Run = Callable[[Path], ConformanceReport]


def written(path: Path, content: bytes) -> Path:
    (path / "cases").write_bytes(content)
    return path / "cases"


@each_kind
@pytest.mark.parametrize(
    "form",
    [
        pytest.param(lambda row: f"{row}\n{row}\n", id="lines"),
        pytest.param(lambda row: f"\ufeff{row}\r\n\r\n{row}", id="a byte order mark, and lines that end as on Windows"),
        pytest.param(lambda row: f"# recorded today\n{row}\n  # and again\n{row}", id="comments"),
        pytest.param(lambda row: f"[{row},\n{row}]", id="an array"),
        pytest.param(lambda row: f"\ufeff{json.dumps([json.loads(row)] * 2, indent=1)}", id="an array over lines"),
        pytest.param(lambda row: f"{json.dumps(json.loads(row), indent=2)}\n{row}", id="an object over lines"),
        pytest.param(lambda row: f'{{"cases": [{row}, {row}], "version": 1}}', id="an object of cases"),
    ],
)
def test_every_form_of_a_file_is_understood(tmp_path: Path, run: Run, row: object, form: Callable[[str], str]) -> None:
    report = run(written(tmp_path, form(json.dumps(row)).encode()))

    assert (report.lines, report.summary) == ([], "2 passed, 0 failed, 0 reported")


@each_kind
@pytest.mark.parametrize(
    ("bad", "what"),
    [
        (b"{not json", "no JSON: Expecting property name"),
        (b'{"id": "cut', "no JSON: "),
        (b"7", "a number instead of an object"),
        (b"[1]", "a list instead of an object"),
        (b'"text"', "a text instead of an object"),
        (b"null", "null instead of an object"),
        (b'{"id": "\xff"}', "bytes that are no UTF-8"),
        (b"[" * 100_000, "no JSON that can be read: it is nested too deeply"),
        (b"{} {}", "no JSON: there is more behind the value: {}"),
        (b"{}", "an unreadable row"),
    ],
)
def test_a_bad_row_fails_and_hides_no_other(tmp_path: Path, run: Run, row: object, bad: bytes, what: str) -> None:
    good = json.dumps(row).encode()

    report = run(written(tmp_path, b"\n".join((good, bad, good))))

    assert report.summary == "2 passed, 1 failed, 0 reported"
    (line,) = report.lines
    assert line.startswith(f"row-2: expected a case, got {what}")
    assert report.exit_code == 1


def test_what_is_indented_below_a_flaw_is_no_row_of_its_own(tmp_path: Path) -> None:
    broken = json.dumps([_PATTERN, _PATTERN], indent=2)[:-3] + "]"
    rows = list(read_rows(written(tmp_path, f"{broken}\n{json.dumps(_PATTERN)}\n".encode())))

    assert isinstance(rows[0], BadRow)
    assert rows[-1] == _PATTERN
    assert len(rows) <= 3


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\u0085", "\u000b", "\u000c", "\u001e"])
def test_only_a_line_feed_ends_a_row(tmp_path: Path, separator: str) -> None:
    row = json.dumps(_SECRET | {"note": "a\u2028b"}, ensure_ascii=False).replace("\u2028", separator)

    rows = list(read_rows(written(tmp_path, f"{row}\n{row}\n".encode())))

    assert len(rows) == 2
    if separator > " ":  # the others are control characters, which JSON does not let stand in a string
        assert all(row == _SECRET | {"note": f"a{separator}b"} for row in rows)


@each_kind
@settings(max_examples=examples(100))
@given(st.lists(st.sampled_from([b'"', b"{", b"}", b"[", b"]", b",", b":", b"\n", b"1e999", b"\xff", b" | ", b" => "])))
def test_any_bytes_make_a_report(
    tmp_path_factory: pytest.TempPathFactory, run: Run, row: object, parts: list[bytes]
) -> None:
    content = json.dumps(row).encode() + b"\n" + b"".join(parts)

    report = run(written(tmp_path_factory.getbasetemp(), content))

    assert report.passed + report.failed + report.reported >= 1


@pytest.mark.parametrize("kind", ["patterns", "signatures", "schedules"])
def test_the_summary_stands_last_whatever_a_row_holds(tmp_path: Path, kind: str) -> None:
    path = written(
        tmp_path,
        b'{"id": "\\ud800", "valid": true, "key": "", "pattern": {"a": [1]}, "event": {}, "expected": true}\n{',
    )

    told = CliRunner().invoke(app, ["conformance", kind, str(path)])

    assert told.exit_code == 1
    assert isinstance(told.exception, SystemExit)
    assert told.output.splitlines()[-1] == "0 passed, 2 failed, 0 reported"


@pytest.mark.parametrize("kind", ["patterns", "signatures", "schedules"])
@pytest.mark.parametrize("name", ["missing", "."])
def test_a_file_that_cannot_be_read_is_one_line(
    tmp_path: Path, kind: str, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["upshot", "conformance", kind, str(tmp_path / name)])

    with pytest.raises(SystemExit) as ended:
        main()

    assert ended.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("upshot: the file cannot be read")
