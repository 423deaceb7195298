"""Who may write what they should not, as the doctor tells it."""

import pytest

from services.cli.access_findings import SHOWN_MAX, access_findings
from shared.bus.adapters.kafka.access import Access, AclBinding

OWN = ("User:upshot",)


def rule(principal: str, operation: str, name: str, **more: object) -> AclBinding:
    values: dict[str, object] = {"resource": "Topic", "host": "*", "allows": True, "pattern": "Literal", **more}
    return AclBinding(principal=principal, operation=operation, name=name, **values)  # type: ignore[arg-type]


GOOD = (
    rule("User:upshot", "All", "x.upshot.", pattern="Prefixed"),
    rule("User:shop", "Write", "x.upshot.events"),
    rule("User:shop", "Describe", "x.upshot.events"),
    rule("User:audit", "Read", "*"),
    rule("User:upshot", "All", "x.upshot.", pattern="Prefixed", resource="Group"),
    rule("User:upshot", "Describe", "kafka-cluster", resource="Cluster"),
    rule("User:audit", "Read", "audit", resource="Group"),
    rule("User:audit", "Describe", "*", resource="Group"),
    rule("User:shop", "IdempotentWrite", "kafka-cluster", resource="Cluster"),
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
        (
            rule("User:shop", "Read", "x.upshot.events.matcher", resource="Group"),
            "User:shop may Read the group x.upshot.events.matcher, by the rule for literal x.upshot.events.matcher",
        ),
        (rule("User:*", "Read", "*", resource="Group"), "everybody may Read the group x.upshot.runs.executor"),
        (
            rule("User:shop", "Delete", "x.", pattern="Prefixed", resource="Group"),
            "User:shop may Delete the group x.upshot.runs.projector, by the rule for prefixed x.",
        ),
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


def mended(bad: AclBinding) -> list[tuple[str, str]]:
    found = access_findings(Access(status="listed", bindings=(*GOOD, bad)), OWN, "x.")
    return [(each.level, each.mend) for each in found if each.level != "ok"]


def test_the_mend_is_a_command_that_a_shell_reads_as_it_is_meant() -> None:
    everybody = rule("User:*", "Write", "x.upshot.runs", host="10.0.0.1")
    assert mended(everybody) == [
        (
            "fail",
            "kafka-acls --remove --allow-principal 'User:*' --allow-host 10.0.0.1 --operation Write "
            "--topic x.upshot.runs --resource-pattern-type literal",
        )
    ]
    by_certificate = rule("User:CN=a b,O=c", "Read", "*", resource="Group")
    assert mended(by_certificate)[0] == (
        "fail",
        "kafka-acls --remove --allow-principal 'User:CN=a b,O=c' --operation Read --group '*' "
        "--resource-pattern-type literal",
    )


@pytest.mark.parametrize("operation", ["Alter", "AlterConfigs", "ClusterAction", "All"])
def test_whoever_rules_the_cluster_is_named_and_may_be_right_to(operation: str) -> None:
    ((level, mend),) = mended(rule("User:ops", operation, "kafka-cluster", resource="Cluster"))
    assert (level, mend) == (
        "warn",
        f"unless it is an administrator: kafka-acls --remove --allow-principal User:ops --operation {operation} --cluster",
    )
