"""Settings are read in one way: what cannot be used is one line that names the variable, never a traceback that shows values."""

import re
from pathlib import Path

import pytest
from pydantic_settings import BaseSettings

import services
import shared
from shared.domain.errors import InvalidInput
from shared.runtime.egress import EgressSettings
from shared.runtime.settings import RunsSettings, UpshotSettings, read_settings_of
from shared.runtime.settings_page import find_settings

ROOT = Path(__file__).resolve().parents[3]


def test_no_settings_are_read_past_the_one_reader() -> None:
    names = "|".join(each.__name__ for each in find_settings([services, shared]))
    bare = re.compile(rf"\b(?:{names})\(\)")
    files = [path for part in ("services", "shared") for path in sorted((ROOT / part).rglob("*.py"))]
    assert [str(path.relative_to(ROOT)) for path in files if bare.search(path.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize(
    ("kind", "variable", "value"),
    [
        (UpshotSettings, "UPSHOT_HTTP_PORT", "hunter2"),
        (UpshotSettings, "UPSHOT_PLANS", '{"free": "hunter2"'),
        (RunsSettings, "UPSHOT_RUNS_RETRY_SECONDS", "hunter2"),
        (EgressSettings, "UPSHOT_EGRESS_DNS_THREADS", "hunter2"),
    ],
)
def test_what_cannot_be_used_is_told_by_its_variable(
    monkeypatch: pytest.MonkeyPatch, kind: type[BaseSettings], variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(InvalidInput, match=f"^a setting cannot be used; {variable}: ") as raised:
        read_settings_of(kind)
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize("quota", ["workflows", "runs_per_month"])
def test_a_plan_promises_no_number_that_no_read_model_could_hold(monkeypatch: pytest.MonkeyPatch, quota: str) -> None:
    monkeypatch.setenv("UPSHOT_PLANS", f'{{"all": {{"{quota}": 1000000000}}}}')
    assert getattr(read_settings_of(UpshotSettings).own_plans["all"], quota) == 1_000_000_000
    monkeypatch.setenv("UPSHOT_PLANS", f'{{"all": {{"{quota}": 9999999999}}}}')
    with pytest.raises(InvalidInput, match=r"UPSHOT_PLANS.*less than or equal to 1000000000"):
        read_settings_of(UpshotSettings)


def test_what_is_chosen_comes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPSHOT_RUNS_RETRY_SECONDS", "3")
    monkeypatch.setenv("UPSHOT_RUNS_BUSY_RECORDS", "5")
    told = read_settings_of(RunsSettings, retry_seconds=7)
    assert (told.retry_seconds, told.busy_records) == (7, 5)
