"""What a plan allows is held to by the definitions' fold, with the numbers that the tenant was given."""

from datetime import UTC, datetime

import pytest

from shared.domain.definitions import Change, Definitions
from shared.domain.errors import InvalidInput
from shared.domain.plans import DEFAULT_PLAN, PLANS, UNBOUNDED, Quotas, plans_of, quotas_of
from shared.domain.records import (
    Command,
    DefinitionsFact,
    TenantCreated,
    TenantPlanChanged,
    WorkflowArchived,
    WorkflowDisabled,
    WorkflowEnabled,
    WorkflowSaved,
)

AT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


class Log:
    """One tenant's definitions."""

    def __init__(self, quotas: Quotas) -> None:
        self.definitions = Definitions()
        self.count = 0
        self.apply(TenantCreated(name="acme", plan="free", quotas=quotas, command=self.command()))

    def command(self) -> Command:
        self.count += 1
        return Command(id=f"c{self.count}", payload_hash="", actor="ann")

    def apply(self, fact: DefinitionsFact) -> Change:
        return self.definitions.apply("acme", fact, AT)

    def save(self, name: str, base: int | None = None, *, enabled: bool = True) -> int:
        fact = WorkflowSaved(
            workflow_id=name,
            base_revision=base,
            document={"name": name},
            steps=(),
            high_risk=False,
            command=self.command(),
            enabled=enabled,
        )
        return self.apply(fact).verdict.status

    def enable(self, name: str) -> int:
        return self.apply(WorkflowEnabled(workflow_id=name, command=self.command())).verdict.status

    def disable(self, name: str) -> int:
        return self.apply(WorkflowDisabled(workflow_id=name, command=self.command())).verdict.status

    def give(self, plan: str, quotas: Quotas) -> Change:
        return self.apply(TenantPlanChanged(plan=plan, quotas=quotas, command=self.command()))


def test_one_workflow_more_than_the_plan_allows_is_refused_with_the_numbers() -> None:
    log = Log(Quotas(workflows=2))
    assert [log.save(each) for each in ("a", "b", "c")] == [201, 201, 409]
    verdict = log.definitions.verdict("acme", f"c{log.count}")
    assert verdict is not None
    assert verdict.body == {
        "kind": "plan-workflows",
        "detail": "the plan 'free' allows 2 enabled workflows, and 2 are enabled; disable one, or ask for a larger plan",
        "plan": "free",
        "quota": 2,
        "enabled_workflows": 2,
    }
    assert log.save("a", 1) == 200


def test_disabled_and_archived_workflows_make_room() -> None:
    log = Log(Quotas(workflows=1))
    assert [log.save("a"), log.save("b", enabled=False), log.enable("b")] == [201, 201, 409]
    assert [log.enable("a"), log.disable("a"), log.enable("b"), log.enable("a")] == [200, 200, 200, 409]
    assert log.apply(WorkflowArchived(workflow_id="b", command=log.command())).verdict.status == 200
    assert log.enable("a") == 200


def test_a_smaller_plan_takes_nothing_away_and_lets_nothing_be_added() -> None:
    log = Log(UNBOUNDED)
    for each in "abc":
        log.save(each)
    change = log.give("tiny", Quotas(workflows=1, runs_per_month=10))
    tenant = log.definitions.tenant("acme")
    assert tenant is not None
    assert change.verdict.body == {"id": "acme", "plan": "tiny", "quotas": {"workflows": 1, "runs_per_month": 10}}
    assert (tenant.plan, tenant.quotas.runs_per_month, tenant.enabled_workflows) == ("tiny", 10, 3)
    assert [log.save("a", 1), log.save("d"), log.disable("a"), log.enable("a")] == [200, 409, 200, 409]
    log.give("team", Quotas(workflows=3))
    assert log.enable("a") == 200


def test_giving_the_same_plan_again_changes_nothing_but_its_numbers() -> None:
    log = Log(Quotas(workflows=1))
    assert log.give("free", Quotas(workflows=1)).entity is None
    assert log.give("free", Quotas(workflows=2)).entity is log.definitions.tenant("acme")


def test_nobody_gives_a_plan_to_a_tenant_that_is_not_there() -> None:
    change = Definitions().apply(
        "nobody",
        TenantPlanChanged(plan="free", quotas=UNBOUNDED, command=Command(id="c", payload_hash="", actor="o")),
        AT,
    )
    assert (change.verdict.status, change.verdict.body["kind"]) == (404, "unknown-tenant")


def test_a_tenant_without_a_plan_of_its_own_is_bounded_by_nothing() -> None:
    assert PLANS[DEFAULT_PLAN] == UNBOUNDED
    assert quotas_of("free", PLANS).workflows == 5


def test_a_deployments_own_numbers_stand_instead_and_its_own_plans_beside() -> None:
    plans = plans_of({"free": Quotas(workflows=1), "gold": Quotas(runs_per_month=7)})
    assert quotas_of("free", plans) == Quotas(workflows=1)
    assert quotas_of("gold", plans) == Quotas(runs_per_month=7)
    assert quotas_of("team", plans) == PLANS["team"]
    with pytest.raises(
        InvalidInput, match="no plan 'golden'; there are: free, team, business, unlimited, standard, gold"
    ):
        quotas_of("golden", plans)
