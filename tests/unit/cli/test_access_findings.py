"""Who may write what they should not, as the doctor tells it."""

import pytest

from services.cli.access_findings import SHOWN_MAX, access_findings
from shared.bus.adapters.kafka.access import Access, AclBinding

OWN = ("User:upshot",)


def rule(principal: str, operation: str, name: str, **more: object) -> AclBinding:
    values: dict[str, object] = {"host": "*", "allows": True, "pattern": "Literal", **more}
    return AclBinding(principal=principal, operation=operation, name=name, **values)  # type: ignore[arg-type]


GOOD = (
    rule("User:upshot", "All", "x.upshot.", pattern="Prefixed"),
    rule("User:shop", "Write", "x.upshot.events"),
    rule("User:shop", "Describe", "x.upshot.events"),
    rule("User:audit", "Read", "*"),
)


def told(*rules: AclBinding, status: str = "listed") -> list[tuple[str, str]]:
    found = access_findings(Access(status=status, bindings=rules), OWN, "x.")  # type: ignore[arg-type]
    return [(each.level, each.what) for each in found]


def test_upstreams_that_only_append_events_are_well() -> None:
    assert told(*GOOD) == [
        ("ok", "only User:upshot may write x.upshot.definitions, x.upshot.runs, x.upshot.deadletters"),
        ("ok", "x.upshot.events may also be written by User:shop"),
    ]


@pytest.mark.parametrize(
    ("bad", "expected"),
    [
        (
            rule("User:shop", "Write", "x.upshot.runs"),
            "User:shop may Write x.upshot.runs, by the rule for literal x.upshot.runs",
        ),
        (rule("User:shop", "All", "x.upshot.def", pattern="Prefixed"), "User:shop may All x.upshot.definitions"),
        (rule("User:*", "Write", "*"), "everybody may Write x.upshot.deadletters, by the rule for literal *"),
        (rule("User:shop", "Delete", "x.upshot.events"), "User:shop may Delete x.upshot.events"),
        (rule("User:shop", "AlterConfigs", "x.upshot.events"), "User:shop may AlterConfigs x.upshot.events"),
    ],
)
def test_whoever_may_do_more_is_named_with_the_rule(bad: AclBinding, expected: str) -> None:
    failures = [what for level, what in told(*GOOD, bad) if level == "fail"]
    assert any(what.startswith(expected) for what in failures)


def test_a_denial_outweighs_what_allows() -> None:
    allowed = rule("User:shop", "Write", "x.upshot.runs")
    assert any(level == "fail" for level, _ in told(*GOOD, allowed))
    for denied in (
        rule("User:shop", "Write", "x.upshot.runs", allows=False),
        rule("User:*", "All", "x.", pattern="Prefixed", allows=False),
    ):
        assert not any(level == "fail" for level, _ in told(*GOOD, allowed, denied))
    elsewhere = rule("User:shop", "Write", "x.upshot.runs", allows=False, host="10.0.0.1")
    assert any(level == "fail" for level, _ in told(*GOOD, allowed, elsewhere))


def test_what_cannot_be_judged_is_a_warning() -> None:
    assert told(status="none")[0][0] == told(status="hidden")[0][0] == "warn"
    assert access_findings(Access(status="listed", bindings=GOOD), (), "x.")[0].level == "warn"
    assert ("warn", "no rule names x.upshot.runs") in told(rule("User:upshot", "All", "x.upshot.events"))


def test_a_list_that_is_wrong_as_a_whole_is_cut() -> None:
    many = [rule(f"User:{number}", "Write", "*") for number in range(50)]
    assert len(told(*GOOD, *many)) == SHOWN_MAX + 2
