"""What the doctor calls well, warns of, and calls a failure; each with a mend where it is not well."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.cli.findings import (
    Finding,
    clock_finding,
    disk_finding,
    durability_findings,
    lag_finding,
    migration_finding,
    mode_finding,
    model_findings,
    packages_finding,
    postgres_finding,
    python_finding,
    roles_finding,
    topic_finding,
    write_level_findings,
)
from services.projector.service.rebuild import RebuildProgress

FOLDER, FILE = 0o040000, 0o100000
ROLES = ("owner", "service")


@pytest.mark.parametrize(
    ("finding", "level"),
    [
        (python_finding((3, 11, 7)), "ok"),
        (python_finding((3, 14, 0)), "fail"),
        (packages_finding(["/a/services"], ["/a/shared"]), "ok"),
        (packages_finding(["/a/services"], ["/b/shared"]), "fail"),
        (packages_finding(["/a/services", "/b/services"], ["/a/shared"]), "fail"),
        (mode_finding("/d", FOLDER | 0o700, 1000, 1000), "ok"),
        (mode_finding("/d", FOLDER | 0o711, 1000, 1000), "ok"),
        (mode_finding("/d", FOLDER | 0o755, 1000, 1000), "warn"),
        (mode_finding("/d/key", FILE | 0o600, 1000, 1000), "ok"),
        (mode_finding("/d/key", FILE | 0o640, 1000, 1000), "fail"),
        (mode_finding("/d/key", FILE | 0o600, 1, 1000), "warn"),
        (disk_finding("/d", 5_000_000_000), "ok"),
        (disk_finding("/d", 5_000_000), "warn"),
        (postgres_finding(150_018, "15.18"), "ok"),
        (postgres_finding(140_001, "14.1"), "fail"),
        (roles_finding(ROLES, {"owner": (False, False), "service": (False, False)}), "ok"),
        (roles_finding(ROLES, {"owner": (False, False)}), "fail"),
        (roles_finding(ROLES, {"owner": (True, False), "service": (False, False)}), "fail"),
        (roles_finding(ROLES, {"owner": (False, False), "service": (False, True)}), "fail"),
        (migration_finding("0001", "0001"), "ok"),
        (migration_finding(None, "0001"), "fail"),
        (topic_finding("t", partitions=32, wanted=32, records=5, segments=2), "ok"),
        (topic_finding("t", partitions=16, wanted=32, records=5, segments=2), "fail"),
        (topic_finding("t", partitions=32, wanted=32, records=5, segments=0), "fail"),
        (lag_finding("group g", "t", 0, members=0), "ok"),
        (lag_finding("group g", "t", 5, members=0), "warn"),
        (lag_finding("group g", "t", None, members=0), "ok"),
        (lag_finding("the read model", "t", 1_000_000), "warn"),
        (clock_finding(0.5), "ok"),
        (clock_finding(-30.0), "warn"),
    ],
)
def test_findings_are_judged(finding: Finding, level: str) -> None:
    assert finding.level == level
    assert bool(finding.mend) == (level != "ok")


def test_durability_names_each_setting_that_could_lose_data() -> None:
    assert [each.level for each in durability_findings({"fsync": "off", "full_page_writes": "on"})] == ["fail", "warn"]
    on = {"fsync": "on", "full_page_writes": "on", "data_checksums": "on"}
    assert [each.level for each in durability_findings(on)] == ["ok"]


def test_another_versions_read_model_and_left_generations_are_told() -> None:
    assert [each.level for each in model_findings(3, 1001, 1001, [])] == ["ok"]
    assert [each.level for each in model_findings(3, 1001, 2001, [4])] == ["fail", "warn"]


@given(folded=st.integers(0, 10**9), more=st.integers(0, 10**9), seconds=st.floats(0, 10**6))
def test_progress_is_told_for_any_numbers(folded: int, more: int, seconds: float) -> None:
    behind = {("upshot.runs", 3): (folded, folded + more)} if more else {}
    line = RebuildProgress(folded=folded, total=folded + more, behind=behind).told(seconds)
    assert f"{folded} of {folded + more} records, {more} remain" in line
    assert ("upshot.runs/3" in line) == bool(more)


def test_the_write_level_is_told_beside_what_readers_know() -> None:
    def told(write_level: int, newest: int, **members: int | None) -> list[str]:
        found = write_level_findings(write_level, newest, members)
        return [f"{each.level} {each.what} {each.mend}".strip() for each in found]

    levels = "records are written up to level 1; this version reads up to level 2"
    assert told(1, 2, a=2) == [
        f"ok {levels} every live group member reads it: set UPSHOT_WRITE_LEVEL=2",
        "ok member a reads up to level 2",
    ]
    assert told(1, 2) == [f"ok {levels} once every process runs this version: set UPSHOT_WRITE_LEVEL=2"]
    assert told(2, 2, a=1, b=None, c=2)[1:] == [
        "fail member a reads up to level 1 update it: it stands still at the first record above level 1",
        "fail member b does not say what it reads update it: it stands still at the first record above level 1",
        "ok member c reads up to level 2",
    ]
    assert told(3, 2)[0].startswith("fail records are written up to level 3")
