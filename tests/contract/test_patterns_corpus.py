"""The pattern kernel agrees with every case recorded from the reference implementation and from the hosted service."""

import os
from pathlib import Path

import pytest

from services.cli.conformance_patterns import run_pattern_cases

_ROOT = Path(__file__).resolve().parents[2]
_CASES = Path(os.environ.get("UPSHOT_CORPUS", _ROOT.parent / "shared" / "corpus")) / "event-patterns"


def _file(name: str) -> Path:
    path = _CASES / name
    if not path.exists():
        pytest.skip(f"the corpus has no event-patterns/{name} here; set UPSHOT_CORPUS to its folder")
    return path


@pytest.mark.parametrize(
    ("name", "cases_min"),
    [
        ("public.jsonl", 2000),
        ("edge_probes.jsonl", 200),
        ("edge-cases.txt", 50),
        ("perf_arrays.jsonl", 20),
        ("real_events_matrix.jsonl", 300),
    ],
)
def test_every_recorded_case_is_answered_alike(name: str, cases_min: int) -> None:
    report = run_pattern_cases(_file(name))

    assert report.lines == []
    assert report.failed == 0
    assert report.passed >= cases_min


def test_cases_on_which_the_references_disagree_are_shown_and_not_counted() -> None:
    report = run_pattern_cases(_file("divergent.jsonl"))

    assert report.failed == 0
    assert report.reported > 0
