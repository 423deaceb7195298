"""A tenant's past states, remembered as names and numbers: at every version what the fold had then."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from shared.domain.definitions import Definitions
from shared.domain.definitions_history import TenantHistory, WorkflowThen
from shared.domain.records import (
    Command,
    DefinitionsFact,
    EndpointCreated,
    TenantCreated,
    WorkflowArchived,
    WorkflowDisabled,
    WorkflowEnabled,
    WorkflowSaved,
    WorkflowUnarchived,
)

START = datetime(2026, 3, 2, tzinfo=UTC)
IDS = st.sampled_from(["w1", "w2", "w3"])


def _command(number: int) -> Command:
    return Command(id=f"c{number}", payload_hash="", actor="ann")


def _saved(workflow_id: str, name: str, base: int | None) -> object:
    return lambda command: WorkflowSaved(
        workflow_id=workflow_id,
        base_revision=base,
        document={"name": name, "trigger": {"manual": {}}},
        steps=(),
        high_risk=False,
        command=command,
    )


ACTIONS = st.one_of(
    st.builds(_saved, IDS, st.sampled_from(["a", "b", "c"]), st.sampled_from([None, 1, 2, 3])),
    st.builds(lambda each: lambda command: WorkflowDisabled(workflow_id=each, command=command), IDS),
    st.builds(lambda each: lambda command: WorkflowEnabled(workflow_id=each, command=command), IDS),
    st.builds(lambda each: lambda command: WorkflowArchived(workflow_id=each, command=command), IDS),
    st.builds(lambda each: lambda command: WorkflowUnarchived(workflow_id=each, command=command), IDS),
    st.just(
        lambda command: EndpointCreated(endpoint_id="e", name="e", url="https://e.example", secrets=(), command=command)
    ),
)


@given(st.lists(st.tuples(ACTIONS, st.integers(-5, 60), st.booleans()), max_size=40))
def test_each_version_is_what_the_fold_had_then(steps: list[tuple[object, int, bool]]) -> None:
    history, fold, at = TenantHistory("acme"), Definitions(), START
    facts: list[DefinitionsFact] = [TenantCreated(name="acme", plan="free", command=_command(0))]
    for number, (action, _, repeated) in enumerate(steps, start=1):
        facts.append(action(_command(number - repeated)))  # type: ignore[operator]  # made above
    expected: dict[int, dict[str, WorkflowThen]] = {}
    times: dict[int, datetime] = {}
    gaps = [0, *(seconds for _, seconds, _ in steps)]
    highest = START
    for fact, seconds in zip(facts, gaps, strict=True):
        at += timedelta(seconds=seconds)
        highest = max(highest, at)
        history.apply(fact, at)
        fold.apply("acme", fact, at)
        tenant = fold.tenant("acme")
        assert tenant is not None
        if tenant.version not in expected:
            times[tenant.version] = highest
            expected[tenant.version] = {
                each.id: WorkflowThen(
                    id=each.id,
                    name=each.name,
                    enabled=each.enabled,
                    archived=each.archived,
                    revision=each.newest.number,
                )
                for each in tenant.workflows.values()
            }

    assert history.version == max(expected)
    for version, workflows in expected.items():
        then = history.as_of(version)
        assert then is not None
        assert (then.workflows, then.at) == (workflows, times[version])
    for instant in {at, *times.values(), START - timedelta(seconds=1)}:
        assert history.version_at(instant) == max((v for v, began in times.items() if began <= instant), default=0)


def test_before_the_tenant_was_made_there_is_nothing() -> None:
    history = TenantHistory("acme")
    assert history.as_of(0) is None
    assert history.version_at(START) == 0
    history.apply(TenantCreated(name="acme", plan="free", command=_command(0)), START)
    assert history.version_at(START) == 1
    assert history.as_of(2) is None
