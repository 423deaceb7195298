"""Cron expressions come out as four libraries agree, through the command that operators run."""

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.cli.commands import app
from services.cli.conformance_schedules import run_schedule_cases

CORPUS = Path(os.environ.get("UPSHOT_CORPUS", Path(__file__).parents[2].parent / "shared" / "corpus")) / "cron"
ROW = {
    "id": "cron/1",
    "expr": "30 2 * * *",
    "tz": "Europe/Riga",
    "start": "2026-03-27T00:00:00+02:00",
    "expected_next": ["2026-03-27T02:30:00+02:00", "2026-03-28T02:30:00+02:00"],
    "agree": ["one", "two", "three", "four"],
}


def corpus_file(name: str) -> Path:
    path = CORPUS / name
    if not path.is_file():
        pytest.skip(f"the corpus has no cron/{name} here; set UPSHOT_CORPUS to its folder")
    return path


def test_every_undisputed_row_comes_out_as_the_libraries_have_it() -> None:
    report = run_schedule_cases(corpus_file("cases.jsonl"))

    assert report.failed == 0, report.lines
    assert report.passed >= 595
    assert report.reported > 0


@pytest.mark.parametrize("name", ["divergent.jsonl", "invalid.jsonl"])
def test_what_is_disputed_is_reported_and_not_counted(name: str) -> None:
    report = run_schedule_cases(corpus_file(name))

    assert (report.passed, report.failed, report.exit_code) == (0, 0, 0)
    assert report.reported > 0


def test_what_a_library_refuses_is_refused_unless_it_is_a_day_that_no_month_has() -> None:
    lines = run_schedule_cases(corpus_file("invalid.jsonl")).lines

    assert all(line.endswith("expected invalid, got [null]") for line in lines), lines


def written(path: Path, *rows: object) -> Path:
    path.write_text(json.dumps(rows), encoding="utf-8")
    return path


def test_a_row_that_differs_is_named_and_fails(tmp_path: Path) -> None:
    wrong = {**ROW, "id": "cron/2", "expected_next": ["2026-03-27T02:31:00+02:00"]}
    disputed = {**wrong, "id": "cron/3", "agree": ["one", "two", "three"]}
    refused = {**ROW, "id": "cron/4", "expected_next": "invalid"}

    report = run_schedule_cases(written(tmp_path / "cases", ROW, wrong, disputed, refused))

    assert report.summary == "1 passed, 2 failed, 1 reported"
    assert [line.split(": ", 1)[0] for line in report.lines] == ["cron/2", "cron/3", "cron/4"]
    assert report.lines[0].endswith('expected ["2026-03-27T02:31:00+02:00"], got ["2026-03-27T02:30:00+02:00"]')
    assert report.exit_code == 1


@pytest.mark.parametrize(
    "row",
    [
        *(7, {}, {**ROW, "tz": "Mars/Base"}, {**ROW, "start": "noon"}, {**ROW, "expected_next": None}),
        *({**ROW, "agree": 4}, {**ROW, "tz": None, "start": "9999-12-31T23:59:59-12:00"}),
    ],
)
def test_a_row_that_cannot_be_checked_fails(tmp_path: Path, row: object) -> None:
    report = run_schedule_cases(written(tmp_path / "cases", row))

    assert (report.passed, report.failed) == (0, 1)


def test_the_command_prints_what_differs_and_ends_with_one_iff_something_failed(tmp_path: Path) -> None:
    wrong = {**ROW, "id": "cron/2", "expected_next": "invalid"}

    fine = CliRunner().invoke(app, ["conformance", "schedules", str(written(tmp_path / "fine", ROW))])
    off = CliRunner().invoke(app, ["conformance", "schedules", str(written(tmp_path / "off", ROW, wrong))])

    assert (fine.exit_code, fine.output) == (0, "1 passed, 0 failed, 0 reported\n")
    assert off.exit_code == 1
    first, last = off.output.splitlines()
    assert first.startswith("cron/2: expected invalid, got [")
    assert last == "1 passed, 1 failed, 0 reported"
