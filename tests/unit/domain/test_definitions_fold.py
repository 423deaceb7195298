"""What a tenant's definitions become, and the verdict on each command."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from shared.domain.definitions import Change, Definitions, Tenant
from shared.domain.records import (
    Command,
    DefinitionsFact,
    EndpointCreated,
    EndpointDisabled,
    EndpointEnabled,
    SourceCreated,
    TenantCreated,
    WorkflowArchived,
    WorkflowDisabled,
    WorkflowEnabled,
    WorkflowSaved,
    WorkflowUnarchived,
)

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


class Log:
    """Definitions as they are written; each command has an id of its own unless said otherwise."""

    def __init__(self, *tenants: str) -> None:
        self.definitions = Definitions()
        self.now = START
        self.count = 0
        for tenant_id in tenants or ("acme",):
            self.apply(TenantCreated(name=tenant_id, plan="free", command=self.command()), tenant_id)

    def command(self, command_id: str | None = None, actor: str = "ann") -> Command:
        self.count += 1
        return Command(id=command_id or f"c{self.count}", payload_hash="", actor=actor)

    def apply(self, fact: DefinitionsFact, tenant_id: str = "acme") -> Change:
        return self.definitions.apply(tenant_id, fact, self.now)

    def tenant(self, tenant_id: str = "acme") -> Tenant:
        tenant = self.definitions.tenant(tenant_id)
        assert tenant is not None
        return tenant

    def save(self, workflow_id: str, name: str, base: int | None, tenant_id: str = "acme") -> Change:
        return self.apply(
            WorkflowSaved(
                workflow_id=workflow_id,
                base_revision=base,
                document={"name": name},
                steps=(),
                high_risk=False,
                command=self.command(),
            ),
            tenant_id,
        )

    def endpoint(self, endpoint_id: str, name: str, tenant_id: str = "acme") -> Change:
        fact = EndpointCreated(
            endpoint_id=endpoint_id, name=name, url="https://x.test/", secrets=("sealed:1",), command=self.command()
        )
        return self.apply(fact, tenant_id)

    def source(self, source_id: str, name: str, tenant_id: str = "acme") -> Change:
        fact = SourceCreated(
            source_id=source_id, name=name, vendor="github", settings={}, secrets=(), command=self.command()
        )
        return self.apply(fact, tenant_id)


def answer(change: Change) -> tuple[int, object]:
    return change.verdict.status, change.verdict.body.get("kind")


def test_tenants_are_created_once() -> None:
    log = Log("acme")
    again = log.apply(TenantCreated(name="other", plan="big", command=log.command()))
    assert answer(again) == (409, "tenant-exists")
    assert (log.tenant().name, log.tenant().plan, log.tenant().version) == ("acme", "free", 1)


def test_nothing_can_be_defined_for_a_tenant_that_is_not_there() -> None:
    log = Log()
    assert answer(log.endpoint("e1", "finance", tenant_id="nobody")) == (404, "unknown-tenant")
    assert log.definitions.tenant("nobody") is None


def test_a_save_makes_a_revision_on_top_of_the_newest_only() -> None:
    log = Log()
    assert log.save("w", "alert", None).verdict.body == {"id": "w", "revision": 1}
    assert log.save("w", "alert", 1).verdict.status == 200
    stale = log.save("w", "mine", 1)
    assert answer(stale) == (412, "stale-revision")
    assert stale.verdict.body["revision"] == 2
    assert stale.entity is None
    assert answer(log.save("w", "mine", None)) == (409, "workflow-exists")
    assert answer(log.save("w", "mine", 3)) == (412, "stale-revision")
    assert answer(log.save("v", "mine", 1)) == (404, "unknown-workflow")
    workflow = log.tenant().workflows["w"]
    assert [each.number for each in workflow.revisions] == [1, 2]
    assert workflow.revision(1) is workflow.revisions[0]
    assert workflow.revision(2) is workflow.newest
    assert workflow.revision(0) is workflow.revision(3) is None


def test_a_name_is_one_workflows_until_it_is_renamed() -> None:
    log = Log()
    log.save("w1", "alert", None)
    taken = log.save("w2", "alert", None)
    assert answer(taken) == (409, "name-taken")
    assert taken.verdict.body["id"] == "w1"
    log.save("w2", "other", None)
    assert answer(log.save("w2", "alert", 1)) == (409, "name-taken")
    log.save("w1", "renamed", 1)
    assert log.tenant().workflow_named("alert") is None
    assert log.save("w2", "alert", 1).verdict.status == 200
    named = log.tenant().workflow_named("alert")
    assert named is not None
    assert named.id == "w2"


def test_switching_keeps_its_revisions_and_saving_keeps_the_switch() -> None:
    log = Log()
    log.save("w", "alert", None)
    log.apply(WorkflowDisabled(workflow_id="w", command=log.command()))
    assert not log.tenant().workflows["w"].enabled
    log.save("w", "alert", 1)
    assert not log.tenant().workflows["w"].enabled
    log.apply(WorkflowEnabled(workflow_id="w", command=log.command()))
    version = log.tenant().version
    unchanged = log.apply(WorkflowEnabled(workflow_id="w", command=log.command()))
    assert (unchanged.verdict.status, unchanged.entity, log.tenant().version) == (200, None, version)
    assert answer(log.apply(WorkflowEnabled(workflow_id="x", command=log.command()))) == (404, "unknown-workflow")


def test_a_new_workflow_may_begin_disabled() -> None:
    log = Log()
    fact = WorkflowSaved(
        workflow_id="w",
        base_revision=None,
        document={"name": "a"},
        steps=(),
        high_risk=False,
        command=log.command(),
        enabled=False,
    )
    assert log.apply(fact).verdict.status == 201
    assert not log.tenant().workflows["w"].enabled
    log.apply(WorkflowEnabled(workflow_id="w", command=log.command()))
    log.apply(replace(fact, base_revision=1, command=log.command()))
    assert log.tenant().workflows["w"].enabled


def test_an_archived_workflow_is_disabled_and_gives_its_name_away() -> None:
    log = Log()
    log.save("w1", "alert", None)
    archived = log.apply(WorkflowArchived(workflow_id="w1", command=log.command()))
    assert archived.verdict.body == {"id": "w1", "revision": 1, "archived": True}
    workflow = log.tenant().workflows["w1"]
    assert (workflow.archived, workflow.enabled, workflow.newest.number) == (True, False, 1)
    assert log.tenant().workflow_named("alert") is None
    again = log.apply(WorkflowArchived(workflow_id="w1", command=log.command()))
    assert (again.verdict.status, again.entity) == (200, None)
    for refused in (log.save("w1", "alert", 1), log.apply(WorkflowEnabled(workflow_id="w1", command=log.command()))):
        assert answer(refused) == (409, "workflow-archived")
    assert log.apply(WorkflowDisabled(workflow_id="w1", command=log.command())).verdict.status == 200

    assert log.save("w2", "alert", None).verdict.status == 201
    taken = log.apply(WorkflowUnarchived(workflow_id="w1", command=log.command()))
    assert answer(taken) == (409, "name-taken")
    assert taken.verdict.body["id"] == "w2"
    log.save("w2", "other", 1)
    back = log.apply(WorkflowUnarchived(workflow_id="w1", command=log.command()))
    assert back.verdict.body == {"id": "w1", "revision": 1, "archived": False}
    assert not log.tenant().workflows["w1"].enabled
    assert log.tenant().workflow_named("alert") is log.tenant().workflows["w1"]
    assert log.apply(WorkflowUnarchived(workflow_id="w1", command=log.command())).entity is None


def test_archiving_builds_on_the_revision_that_was_read() -> None:
    log = Log()
    log.save("w", "alert", None)
    log.save("w", "alert", 1)
    stale = log.apply(WorkflowArchived(workflow_id="w", base_revision=1, command=log.command()))
    assert answer(stale) == (412, "stale-revision")
    assert not log.tenant().workflows["w"].archived
    assert log.apply(WorkflowArchived(workflow_id="w", base_revision=2, command=log.command())).verdict.status == 200
    for fact in (WorkflowArchived, WorkflowUnarchived):
        assert answer(log.apply(fact(workflow_id="x", command=log.command()))) == (404, "unknown-workflow")


def test_an_endpoint_is_found_by_name_and_id_and_its_revision_counts_changes() -> None:
    log = Log()
    log.endpoint("e1", "finance")
    assert log.tenant().endpoint_named("finance") is log.tenant().endpoint_named("e1")
    log.apply(EndpointDisabled(endpoint_id="e1", reason="410", command=log.command()))
    log.apply(EndpointDisabled(endpoint_id="e1", reason="410 again", command=log.command()))
    found = log.tenant().endpoint_named("finance")
    assert found is not None
    assert (found.disabled_reason, found.revision) == ("410", 2)
    log.apply(EndpointEnabled(endpoint_id="e1", command=log.command()))
    found = log.tenant().endpoint_named("finance")
    assert found is not None
    assert (found.disabled_reason, found.revision) == (None, 3)
    unknown = log.apply(EndpointEnabled(endpoint_id="e2", command=log.command()))
    assert answer(unknown) == (404, "unknown-endpoint")


def test_neither_a_name_nor_an_id_is_given_twice() -> None:
    log = Log()
    log.endpoint("e1", "finance")
    log.source("s1", "shop")
    assert answer(log.endpoint("e2", "finance")) == (409, "name-taken")
    assert answer(log.endpoint("e2", "e1")) == (409, "name-taken")
    assert answer(log.endpoint("e1", "other")) == (409, "id-taken")
    assert answer(log.source("s2", "shop")) == (409, "name-taken")
    assert answer(log.source("s1", "other")) == (409, "id-taken")
    assert (list(log.tenant().endpoints), list(log.tenant().sources)) == (["e1"], ["s1"])


def test_versions_count_what_changed() -> None:
    log = Log()
    log.endpoint("e1", "finance")
    log.endpoint("e2", "finance")
    log.save("w", "alert", None)
    log.save("w", "alert", 7)
    assert log.tenant().version == 3


def test_a_repeated_command_changes_nothing_and_has_its_first_verdict() -> None:
    log = Log()
    fact = WorkflowSaved(
        workflow_id="w", base_revision=None, document={"name": "a"}, steps=(), high_risk=False, command=log.command("k")
    )
    first = log.apply(fact)
    second = log.apply(replace(fact, document={"name": "b"}))
    assert second.verdict is first.verdict
    assert second.entity is None
    assert log.tenant().workflows["w"].name == "a"
    assert log.definitions.verdict("acme", "k") is first.verdict
    assert log.definitions.verdict("other", "k") is None


def test_after_30_days_a_command_is_new_and_its_verdict_forgotten() -> None:
    log = Log()
    fact = WorkflowEnabled(workflow_id="w", command=log.command("k"))
    log.apply(fact)
    log.now += timedelta(days=30) - timedelta(seconds=1)
    log.save("w", "alert", None)
    assert answer(log.apply(fact)) == (404, "unknown-workflow")
    log.now += timedelta(seconds=1)
    log.endpoint("e", "finance")
    assert log.definitions.verdict("acme", "k") is None
    assert log.apply(fact).verdict.status == 200


def test_an_older_append_time_does_not_turn_time_back() -> None:
    log = Log()
    log.now += timedelta(days=1)
    log.save("w", "alert", None)
    log.now -= timedelta(days=2)
    log.save("w", "alert", 1)
    assert log.tenant().workflows["w"].newest.saved_at == START + timedelta(days=1)


# ---------------------------------------------------------------- tenants


def test_a_tenant_that_names_anothers_ids_finds_nothing() -> None:
    log = Log("acme", "evil")
    log.save("w", "alert", None)
    log.endpoint("e", "finance")
    evil = [
        log.save("w", "stolen", 1, "evil"),
        log.apply(WorkflowDisabled(workflow_id="w", command=log.command()), "evil"),
        log.apply(EndpointDisabled(endpoint_id="e", reason="", command=log.command()), "evil"),
    ]
    assert [each.verdict.status for each in evil] == [404, 404, 404]
    assert log.tenant().workflows["w"].enabled
    assert log.tenant().endpoints["e"].disabled_reason is None
    # Names and ids are each tenant's own.
    assert log.save("w", "alert", None, "evil").verdict.status == 201
    assert log.endpoint("e", "finance", "evil").verdict.status == 201
    assert log.tenant().workflows["w"].tenant_id == "acme"


def test_a_hook_stays_its_first_owners_in_whatever_order_partitions_are_read() -> None:
    facts = []
    for tenant_id, at in (("acme", START), ("evil", START + timedelta(hours=1))):
        created = TenantCreated(name=tenant_id, plan="", command=Command(id="t", payload_hash="", actor="a"))
        source = SourceCreated(
            source_id="s",
            name="shop",
            vendor="github",
            settings={},
            secrets=(),
            command=Command(id="s", payload_hash="", actor="a"),
        )
        facts.append([(tenant_id, created, at), (tenant_id, source, at)])
    for order in (facts, facts[::-1]):
        definitions = Definitions()
        for tenant_id, fact, at in [each for tenant in order for each in tenant]:
            definitions.apply(tenant_id, fact, at)
        found = definitions.source("s")
        assert found is not None
        assert found.tenant_id == "acme"


# ---------------------------------------------------------------- properties

NAMES = st.sampled_from(["a", "b", "c"])
SAVES = st.tuples(st.just("save"), NAMES, NAMES, st.one_of(st.none(), st.integers(1, 3)))
SWITCHES = st.tuples(st.sampled_from(["enable", "disable", "archive", "unarchive"]), NAMES, NAMES, st.none())
ENDPOINTS = st.tuples(st.sampled_from(["endpoint", "source", "break", "mend"]), NAMES, NAMES, st.none())
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["t1", "t2"]),
        st.one_of(SAVES, SWITCHES, ENDPOINTS),
        st.integers(0, 9),
        st.sampled_from([0, 1, 20]),
    ),
    max_size=60,
)


def fact_of(what: tuple[str, str, str, int | None], command: Command) -> DefinitionsFact:
    kind, id_, name, base = what
    match kind:
        case "save":
            return WorkflowSaved(
                workflow_id=id_, base_revision=base, document={"name": name}, steps=(), high_risk=False, command=command
            )
        case "enable":
            return WorkflowEnabled(workflow_id=id_, command=command)
        case "disable":
            return WorkflowDisabled(workflow_id=id_, command=command)
        case "archive":
            return WorkflowArchived(workflow_id=id_, command=command)
        case "unarchive":
            return WorkflowUnarchived(workflow_id=id_, command=command)
        case "endpoint":
            return EndpointCreated(endpoint_id=id_, name=name, url="https://x.test", secrets=(), command=command)
        case "source":
            return SourceCreated(source_id=id_, name=name, vendor="v", settings={}, secrets=(), command=command)
        case "break":
            return EndpointDisabled(endpoint_id=id_, reason=name, command=command)
        case _:
            return EndpointEnabled(endpoint_id=id_, command=command)


def verdicts_of(definitions: Definitions, tenant_id: str) -> object:
    return {n: definitions.verdict(tenant_id, f"p{n}") for n in range(10)}


@given(STEPS)
def test_names_lead_to_what_bears_them_and_tenants_do_not_touch(
    steps: list[tuple[str, tuple[str, str, str, int | None], int, int]],
) -> None:
    both, alone = Log("t1", "t2"), {each: Log(each) for each in ("t1", "t2")}
    for tenant_id, what, number, days in steps:
        command = Command(id=f"p{number}", payload_hash="", actor="ann")
        both.now += timedelta(days=days)
        alone[tenant_id].now = both.now
        before = both.tenant(tenant_id).version
        change = both.apply(fact_of(what, command), tenant_id)
        assert both.tenant(tenant_id).version == before + (change.entity is not None)
        assert (change.entity is None) or change.verdict.status in (200, 201)
        alone[tenant_id].apply(fact_of(what, command), tenant_id)
        again = both.apply(fact_of(what, command), tenant_id)
        assert (again.entity, again.verdict) == (None, change.verdict)
    for tenant_id, log in alone.items():
        tenant = both.tenant(tenant_id)
        assert verdicts_of(both.definitions, tenant_id) == verdicts_of(log.definitions, tenant_id)
        named = [workflow for workflow in tenant.workflows.values() if not workflow.archived]
        for workflow in named:
            assert tenant.workflow_named(workflow.name) == workflow
        for workflow in tenant.workflows.values():
            assert not (workflow.archived and workflow.enabled)
            assert [each.number for each in workflow.revisions] == list(range(1, len(workflow.revisions) + 1))
        for endpoint in tenant.endpoints.values():
            assert tenant.endpoint_named(endpoint.name) == endpoint
        assert len({each.name for each in named}) == len(named)
        for kind in ("workflows", "endpoints", "sources"):
            assert getattr(log.tenant(tenant_id), kind) == getattr(tenant, kind)
