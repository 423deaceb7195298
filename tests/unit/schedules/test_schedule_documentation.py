"""The how-to says what is so: each schedule in it can be saved, each spelling that it names is taken or refused as told."""

import re
from pathlib import Path

import pytest

from shared.domain.errors import InvalidInput
from shared.runtime.http.yaml_text import read_yaml
from shared.schedules import CATCH_UP_MAX, INTERVAL_SECONDS_MIN, parse_schedule
from shared.testing.markdown import Snippet, snippets

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "how-to" / "schedule-a-workflow.md"
TEXT = PAGE.read_text(encoding="utf-8")
SNIPPETS = [each for each in snippets(ROOT) if PAGE.name in each.place and each.kind == "yaml"]


def schedule_in(snippet: Snippet) -> dict[str, object]:
    value = read_yaml(snippet.text.encode())
    assert isinstance(value, dict)
    return value["schedule"]


def test_all_ways_are_shown() -> None:
    said = {key for each in SNIPPETS for key in schedule_in(each)}

    assert said == {
        *("cron", "interval", "daily", "weekly", "monthly"),
        *("timezone", "overlap", "catch_up_max", "starting_at", "until"),
    }


@pytest.mark.parametrize("snippet", SNIPPETS, ids=lambda snippet: snippet.place)
def test_schedules_in_the_page_can_be_saved(snippet: Snippet) -> None:
    parse_schedule(schedule_in(snippet), zone="Europe/Paris")


@pytest.mark.parametrize(
    ("spelling", "cron"),
    [
        ("`5`", "5 * * * *"),
        ("`FRI-7`", "0 0 * * FRI-7"),
        ("`8-18/2`", "0 8-18/2 * * *"),
        ("`1-5,30`", "1-5,30 * * * *"),
        ("`L`", "0 0 L * *"),
        ("`MON#1`", "0 0 * * MON#1"),
        ("`@daily`", None),
        ("`?`", None),
        ("`5/15`", None),
        ("`5L`", None),
        ("`LW`", None),
        ("`FRI-MON`", None),
    ],
)
def test_spellings_are_taken_or_refused_as_told(spelling: str, cron: str | None) -> None:
    assert spelling.strip("`") in TEXT
    if cron is not None:
        parse_schedule({"cron": cron}, zone="UTC")
        return
    text = spelling.strip("`")
    for expression in (text, f"{text} 0 * * *", f"0 0 {text} * *", f"0 0 * * {text}"):
        with pytest.raises(InvalidInput):
            parse_schedule({"cron": expression}, zone="UTC")


def test_bounds_are_told_as_they_are() -> None:
    assert re.search(rf"\b{INTERVAL_SECONDS_MIN} seconds\b", TEXT)
    assert f"0 to {CATCH_UP_MAX}" in TEXT
