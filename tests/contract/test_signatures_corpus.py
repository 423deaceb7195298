"""The recorded signature vectors of six schemes, through the command that operators run, and the secret formats."""

import json
import os
from pathlib import Path

import pytest

from services.cli.conformance_signatures import run_signature_cases

CORPUS = Path(os.environ.get("UPSHOT_CORPUS", Path(__file__).parents[2].parent / "shared" / "corpus")) / "signatures"


def corpus_file(name: str) -> Path:
    path = CORPUS / name
    if not path.is_file():
        pytest.skip("the corpus of signature vectors is not here; set UPSHOT_CORPUS")
    return path


def test_every_undisputed_vector_is_judged_as_the_vendor_judges_it() -> None:
    report = run_signature_cases(corpus_file("vectors.json"))
    assert report.failed == 0, report.lines
    assert report.passed >= 109
    assert report.reported == 5
    assert report.exit_code == 0
    assert all(line.startswith("standard-webhooks/") for line in report.lines)


def test_endpoint_secrets_are_taken_and_refused_as_recorded_and_never_quoted() -> None:
    path = corpus_file("endpoint_secret_format.json")
    report = run_signature_cases(path)
    assert (report.failed, report.reported, report.lines) == (0, 0, [])
    assert report.passed == 13


ROW = {
    "scheme": "github",
    "secret": "It's a Secret to Everybody",
    "headers": {"X-Hub-Signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"},
    "body": "Hello, World!",
    "valid": True,
}


def written(path: Path, *rows: object, lines: bool = False) -> Path:
    path.write_text("\n".join(map(json.dumps, rows)) + "\n\n" if lines else json.dumps(rows))
    return path


@pytest.mark.parametrize("lines", [False, True])
def test_a_row_that_differs_is_named_and_fails(tmp_path: Path, lines: bool) -> None:
    altered = {**ROW, "body": "Hello, World?"}
    named = {**altered, "id": "github/altered"}
    report = run_signature_cases(written(tmp_path / "cases", ROW, altered, named, lines=lines))
    assert (report.passed, report.failed, report.reported) == (1, 2, 0)
    assert [line.split(" (")[0] for line in report.lines] == [
        "row-2: expected valid, got invalid",
        "github/altered: expected valid, got invalid",
    ]
    assert report.exit_code == 1
    assert report.summary == "1 passed, 2 failed, 0 reported"


def test_disputed_rows_are_reported_whatever_comes_of_them(tmp_path: Path) -> None:
    disputed = {**ROW, "valid": False, "ambiguous": True}
    policy = {**ROW, "policy": "either"}
    report = run_signature_cases(written(tmp_path / "cases", disputed, policy))
    assert (report.passed, report.failed, report.reported) == (0, 0, 2)
    assert report.lines == ["row-1: expected invalid, got valid"]
    assert report.exit_code == 0


@pytest.mark.parametrize(
    "row",
    [
        7,
        {},
        {**ROW, "scheme": "telegraph"},
        {**ROW, "headers": []},
        {**ROW, "valid": None},
        {**ROW, "now": "noon"},
        {**ROW, "scheme": "generic"},
        {**ROW, "scheme": "generic", "settings": {"signature": 1}},
    ],
)
def test_a_row_that_cannot_be_checked_fails(tmp_path: Path, row: object) -> None:
    report = run_signature_cases(written(tmp_path / "cases", row))
    assert (report.passed, report.failed) == (0, 1)


def test_a_secret_that_differs_is_not_quoted(tmp_path: Path) -> None:
    key = "whsec_MTIzNDU2Nzg5"
    report = run_signature_cases(written(tmp_path / "cases", {"key": key, "valid": True}, {"key": 7, "valid": True}))
    assert report.summary == "0 passed, 2 failed, 0 reported"
    assert report.lines[0].startswith("row-1: expected valid, got invalid (")
    assert key not in report.lines[0]
    assert report.lines[1] == "row-2: expected a case, got an unreadable row: key is a string"


def test_now_decides_whether_a_timestamp_is_old(tmp_path: Path) -> None:
    row = {
        "scheme": "svix",
        "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "headers": {
            "svix-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
            "svix-timestamp": "1614265330",
            "svix-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        },
        "body": '{"test": 2432232314}',
        "valid": True,
    }
    report = run_signature_cases(
        written(tmp_path / "cases", row, {**row, "now": 1614265330}, {**row, "now": 1614265631, "valid": False})
    )
    assert (report.passed, report.failed) == (3, 0)
