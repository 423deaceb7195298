"""A workflow's inbound URLs over its life: found by id alone, secrets kept and rotated."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from shared.domain.definitions import Change, Definitions, Workflow
from shared.domain.hooks import HOOK_SECRETS_MAX, Hook, HookAnswer, HookPlan, HookSecret, rotated, saved_hooks
from shared.domain.records import (
    Command,
    DefinitionsFact,
    HookSecretRotated,
    TenantCreated,
    WorkflowArchived,
    WorkflowSaved,
    WorkflowUnarchived,
)

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def plan(hook_id: str = "h1", secret: str | None = None, answer: HookAnswer | None = None) -> HookPlan:
    return HookPlan(id=hook_id, vendor="standardwebhooks", secret=secret, answer=answer)


class Log:
    def __init__(self) -> None:
        self.definitions = Definitions()
        self.now = START
        self.count = 0
        self.apply(TenantCreated(name="acme", plan="", command=self.command()))

    def command(self) -> Command:
        self.count += 1
        return Command(id=f"c{self.count}", payload_hash="", actor="ann")

    def apply(self, fact: DefinitionsFact) -> Change:
        return self.definitions.apply("acme", fact, self.now)

    def save(self, base: int | None, *plans: HookPlan) -> Change:
        fact = WorkflowSaved(
            workflow_id="w",
            base_revision=base,
            document={"name": "n"},
            steps=(),
            high_risk=False,
            command=self.command(),
            hooks=plans,
        )
        return self.apply(fact)

    def rotate(self, secret: str, overlap_seconds: int, hook_id: str = "h1", workflow_id: str = "w") -> Change:
        fact = HookSecretRotated(
            workflow_id=workflow_id,
            hook_id=hook_id,
            secret=secret,
            overlap_seconds=overlap_seconds,
            command=self.command(),
        )
        return self.apply(fact)

    def found(self, hook_id: str = "h1") -> tuple[Workflow, Hook]:
        found = self.definitions.hook(hook_id)
        assert found is not None
        return found

    def secrets(self) -> tuple[str, ...]:
        return self.found()[1].valid_secrets(self.now)


def answer(change: Change) -> tuple[int, object]:
    return change.verdict.status, change.verdict.body.get("kind")


def test_a_hook_is_found_by_its_id_alone() -> None:
    log = Log()
    assert log.definitions.hook("h1") is None
    log.save(None, plan(secret="s1"))
    workflow, hook = log.found()
    assert (workflow.id, hook.tenant_id, hook.live, hook.plan.secret) == ("w", "acme", True, None)
    assert log.secrets() == ("s1",)


def test_saving_again_keeps_the_secret_and_takes_over_the_rest() -> None:
    log = Log()
    log.save(None, plan(secret="s1"))
    log.save(1, plan(secret="s2", answer=HookAnswer(wait_seconds=1)))
    assert log.secrets() == ("s1",)
    assert log.found()[1].plan.answer == HookAnswer(wait_seconds=1)


def test_a_trigger_that_comes_back_finds_its_url_and_secret() -> None:
    log = Log()
    log.save(None, plan(secret="s1"))
    log.save(1, plan("h2", secret="other"))
    assert not log.found()[1].live
    assert log.found("h2")[1].live
    log.save(2, plan())
    assert (log.found()[1].live, log.secrets()) == (True, ("s1",))


def test_a_void_save_makes_no_hook() -> None:
    log = Log()
    log.save(None, plan(secret="s1"))
    assert answer(log.save(None, plan("h9", secret="s9")))[0] == 409
    assert log.definitions.hook("h9") is None


def test_the_workflow_comes_with_it_as_it_stands() -> None:
    log = Log()
    log.save(None, plan(secret="s1"))
    log.apply(WorkflowArchived(workflow_id="w", command=log.command()))
    assert log.found()[0].archived
    log.apply(WorkflowUnarchived(workflow_id="w", command=log.command()))
    assert (log.found()[0].archived, log.secrets()) == (False, ("s1",))


def test_the_old_secret_ends_with_the_overlap() -> None:
    log = Log()
    log.save(None, plan(secret="s1"))
    turned = log.rotate("s2", 60)
    assert turned.verdict.body["former_valid_until"] == (START + timedelta(seconds=60)).isoformat()
    assert log.secrets() == ("s2", "s1")
    log.now += timedelta(seconds=59)
    assert log.secrets() == ("s2", "s1")
    log.now += timedelta(seconds=1)
    assert log.secrets() == ("s2",)
    assert log.rotate("s3", 0).verdict.body["former_valid_until"] is None
    assert log.secrets() == ("s3",)
    # A save on top keeps all of it.
    log.save(1, plan())
    assert log.secrets() == ("s3",)


def test_rotating_what_is_not_there_is_refused() -> None:
    log = Log()
    log.save(None, plan(), plan("h2", secret="s"))
    assert answer(log.rotate("x", 0, hook_id="h3")) == (404, "unknown-hook")
    assert answer(log.rotate("x", 0, workflow_id="v")) == (404, "unknown-hook")
    assert answer(log.rotate("x", 0)) == (409, "hook-without-secret")


def test_only_so_many_secrets_are_valid_at_a_time() -> None:
    log = Log()
    log.save(None, plan(secret="s0"))
    for number in range(1, HOOK_SECRETS_MAX):
        assert log.rotate(f"s{number}", 600).verdict.status == 200
    assert answer(log.rotate("more", 600)) == (409, "too-many-secrets")
    assert log.rotate("more", 0).verdict.status == 200
    assert log.secrets() == ("more",)


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 50)), max_size=12))
def test_an_overlap_is_never_lengthened_and_the_newest_is_always_valid(turns: list[tuple[int, int]]) -> None:
    hook = Hook(plan=plan(), tenant_id="t", workflow_id="w", made_at=START, secrets=(HookSecret(sealed="0"),))
    ends: dict[str, datetime] = {}
    now = START
    for number, (overlap, passed) in enumerate(turns, start=1):
        now += timedelta(seconds=passed)
        before = set(hook.valid_secrets(now))
        turned = rotated(hook, str(number), overlap, now)
        if turned is None:
            assert len(before) >= HOOK_SECRETS_MAX
            continue
        for each in before:
            ends[each] = min(ends.get(each, datetime.max.replace(tzinfo=UTC)), now + timedelta(seconds=overlap))
        hook = turned
        for instant in (now, now + timedelta(seconds=1), now + timedelta(seconds=60)):
            expected = {str(number)} | {each for each, end in ends.items() if instant < end}
            assert set(hook.valid_secrets(instant)) == expected
    assert hook.secrets[0].until is None


@given(st.lists(st.lists(st.sampled_from(["a", "b", "c"]), unique=True), max_size=8))
def test_no_hook_is_ever_forgotten(saves: list[list[str]]) -> None:
    hooks: tuple[Hook, ...] = ()
    first: dict[str, str] = {}
    for number, ids in enumerate(saves):
        plans = tuple(plan(each, secret=f"{each}{number}") for each in ids)
        for each in ids:
            first.setdefault(each, f"{each}{number}")
        hooks = saved_hooks(hooks, plans, "t", "w", START + timedelta(seconds=number))
        assert {each.id: each.secrets[0].sealed for each in hooks} == first
        assert [each.id for each in hooks if each.live] == ids
