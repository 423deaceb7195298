"""`upshot export` and `upshot apply` against a running API: an exact round trip, nothing by halves, nobody's edit overwritten."""

import json

import pytest

from services.cli.as_code import apply as apply_module
from services.cli.as_code.api import ApiTrouble, tenant_api
from services.cli.as_code.apply import ApplyOptions, apply_files
from services.cli.as_code.export import export_workflows
from shared.bus.port import AppendInDoubt
from shared.domain.errors import InvalidInput
from shared.domain.plans import Quotas

WAIT = {"id": "pause", "uses": "wait", "with": {"seconds": 60}}
PLAIN = {"name": "Plain", "trigger": {"manual": {}}, "steps": [WAIT]}
RICH = {
    "name": "Größe: #1",
    "description": "one\n  two\n\nthree: no",
    "tags": ["on", "1e3"],
    "trigger": [{"event": ["a.b", "c.*"], "pattern": {"data": {"n": [{"numeric": [">", 1.5]}, None]}}}, {"manual": {}}],
    "if": "event.data.currency == 'EUR' && true",
    "approval": {"when": "always", "quorum": 2},
    "limits": {"cooldown": {"seconds": 5, "key": "{{ event.subject }}"}},
    "steps": [
        {"id": "emit", "uses": "event.emit", "with": {"type": "x.y", "data": {"a": [], "b": {}, "c": "~", "d": 1.0}}},
        {
            "id": "tell",
            "uses": "notify.webhook",
            "with": {"endpoint": "finance"},
            "needs": [],
            "retry": {"max_attempts": 1},
        },
    ],
}


REST = "trigger: {manual: {}}\nsteps: [{id: a, uses: wait, with: {seconds: 1}}]\n"


class Desk:
    """Somebody's folder, and what the commands said there."""

    def __init__(self, world, folder, token=None):
        self.world, self.folder, self.token = world, folder, token or world.token()
        self.said: list[str] = []
        self.warned: list[str] = []

    async def export(self):
        async with tenant_api(self.world.url, self.token) as api:
            return await export_workflows(api, self.folder)

    async def apply(self, root=None, **options):
        self.said, self.warned = [], []
        async with tenant_api(self.world.url, self.token) as api:
            return await apply_files(
                api, root or self.folder, ApplyOptions(**options), self.said.append, self.warned.append
            )

    async def listed(self, query=""):
        items = (await self.world.call("GET", f"/api/v1/workflows{query}")).expect(200)["items"]
        return {each["name"]: each for each in items}


@pytest.fixture
async def desk(world, tmp_path):
    (await world.call("POST", "/api/v1/endpoints", {"name": "finance", "url": "https://example.com/"})).expect(201)
    return Desk(world, tmp_path / "flows")


async def save(world, document, enabled=True):
    path = f"/api/v1/workflows?enabled={'true' if enabled else 'false'}"
    return (await world.call("POST", path, document)).expect(201)["id"]


async def test_what_is_exported_is_unchanged_when_it_is_applied(world, desk):
    await save(world, PLAIN, enabled=False)
    await save(world, RICH)
    assert (await desk.export())[-1] == "2 written, 0 unchanged"
    assert sorted(path.name for path in desk.folder.iterdir()) == ["grosse-1.yaml", "plain.yaml"]
    for dry_run in (True, False):
        assert await desk.apply(dry_run=dry_run, prune=True) == 0
        note = " (dry run: nothing was changed)" if dry_run else ""
        assert desk.said == [f"0 created, 0 updated, 2 unchanged, 0 archived{note}"]
    assert [each["revision"] for each in (await desk.listed()).values()] == [1, 1]
    assert (await desk.export())[-1] == "0 written, 2 unchanged"


async def test_files_make_a_platform_like_the_one_they_came_from(world, desk):
    await save(world, PLAIN, enabled=False)
    await save(world, RICH)
    await desk.export()
    before = {name: each["document"] for name, each in (await desk.listed()).items()}
    await world.make_tenant("globex")
    theirs = world.token("globex", subject="hank@globex.example")
    endpoint = {"name": "finance", "url": "https://example.com/"}
    (await world.call("POST", "/api/v1/endpoints", endpoint, token=theirs)).expect(201)
    other = Desk(world, desk.folder, theirs)
    assert await other.apply() == 0
    assert other.said[-1] == "2 created, 0 updated, 0 unchanged, 0 archived"
    items = (await world.call("GET", "/api/v1/workflows", token=theirs)).expect(200)["items"]
    assert {each["name"]: each["document"] for each in items} == before
    assert {each["name"]: each["enabled"] for each in items} == {"Plain": False, "Größe: #1": True}


async def test_a_dry_run_tells_and_changes_nothing(world, desk):
    await save(world, PLAIN)
    await desk.export()
    file = desk.folder / "plain.yaml"
    file.write_text(file.read_text().replace("seconds: 60", "seconds: 61") + "enabled: false\n")
    (desk.folder / "below").mkdir()
    (desk.folder / "below" / "new.yml").write_text("name: New\n" + REST)
    assert await desk.apply(dry_run=True) == 2
    assert desk.said[-1] == "1 created, 1 updated, 0 unchanged, 0 archived (dry run: nothing was changed)"
    assert "-      seconds: 60\n+      seconds: 61" in "\n".join(desk.said)
    shown = (await desk.listed())["Plain"]
    assert (shown["revision"], shown["enabled"]) == (1, True)

    assert await desk.apply() == 0
    assert desk.said[-1] == "1 created, 1 updated, 0 unchanged, 0 archived"
    now = await desk.listed()
    assert (now["Plain"]["revision"], now["Plain"]["enabled"]) == (2, False)
    assert now["New"]["enabled"] is True
    assert await desk.apply(dry_run=True) == 0


async def test_every_flaw_of_every_file_is_told_before_anything_is_changed(world, desk):
    desk.folder.mkdir()
    (desk.folder / "a.yaml").write_text(
        "name: A\ntrigger: {manual: {}}\nsteps:\n  - id: tell\n    uses: notify.webhook\n    with:\n      endpoint: nobody\n"
        "  - id: pause\n    uses: wiat\n"
    )
    (desk.folder / "b.yaml").write_text(
        "name: B\ntrigger:\n  pattern:\n    source:\n      - /upshot/sources/none\nif: 'event.('\n"
        "steps: [{id: a, uses: wait, with: {seconds: 1}}]\n"
    )
    (desk.folder / "c.yaml").write_text("name: c\nname: d\n")
    (desk.folder / "fine.yaml").write_text("name: Fine\n" + REST)
    (desk.folder / "twin.yaml").write_text("# the same name\nname: Fine\n" + REST)
    assert await desk.apply() == 1
    told = [line.replace(f"{desk.folder}/", "") for line in desk.warned]
    for expected in (
        "a.yaml:7: #/steps/0/with/endpoint: there is no endpoint 'nobody'",
        "a.yaml:9: #/steps/1/uses: there is no action 'wiat'; did you mean 'wait'?",
        "b.yaml:5: #/trigger/pattern/source/0: there is no source 'none'",
        "b.yaml:6: #/if: ",
        "c.yaml:2: #: the key 'name' stands twice",
        "twin.yaml:2: #/name: ",
    ):
        assert any(line.startswith(expected) for line in told), (expected, told)
    assert told[-1] == f"nothing was changed: {len(told) - 1} flaws"
    assert await desk.listed() == {}


async def test_an_edit_made_meanwhile_is_a_conflict_and_stays(world, desk, monkeypatch):
    edited = await save(world, PLAIN)
    gone = await save(world, {**PLAIN, "name": "Gone"})
    desk.folder.mkdir()
    for name in ("Plain", "Made meanwhile", "Other"):
        (desk.folder / f"{name}.yaml").write_text(f"name: {name}\n{REST}")
    read = apply_module.existing_workflows

    async def read_and_be_overtaken(api):
        found = await read(api)
        for each in (edited, gone):
            document = next(workflow.document for workflow in found if workflow.id == each)
            changed = {**document, "description": "by hand"}
            path = f"/api/v1/workflows/{each}"
            (await world.call("PUT", path, changed, headers={"If-Match": '"1"'})).expect(200)
        await save(world, {**PLAIN, "name": "Made meanwhile"})
        return found

    monkeypatch.setattr(apply_module, "existing_workflows", read_and_be_overtaken)
    assert await desk.apply(prune=True, may_archive=lambda _: True) == 1
    assert desk.said[-1] == "1 created, 0 updated, 0 unchanged, 0 archived, 3 left as they are"
    assert [line.partition(":")[0] for line in desk.warned] == ["conflict"] * 3
    assert "the newest revision is 2, not 1" in "\n".join(desk.warned)
    now = await desk.listed()
    assert {now[name]["document"]["description"] for name in ("Plain", "Gone")} == {"by hand"}
    assert now["Made meanwhile"]["document"]["steps"][0]["id"] == "pause"


async def test_pruning_archives_what_no_file_names_once_it_may(world, desk):
    await save(world, PLAIN)
    await save(world, {**PLAIN, "name": "Gone"})
    await desk.export()
    (desk.folder / "gone.yaml").unlink()
    assert await desk.apply() == 0
    assert desk.said[-1] == "0 created, 0 updated, 1 unchanged, 0 archived"
    assert await desk.apply(prune=True) == 1
    assert "--yes" in desk.warned[-1]
    assert await desk.apply(prune=True, dry_run=True) == 2
    assert set(await desk.listed()) == {"Plain", "Gone"}
    assert await desk.apply(prune=True, may_archive=lambda count: count == 1) == 0
    assert desk.said[-1] == "0 created, 0 updated, 1 unchanged, 1 archived"
    assert (set(await desk.listed()), set(await desk.listed("?archived=true"))) == ({"Plain"}, {"Gone"})
    with pytest.raises(InvalidInput, match="folder"):
        await desk.apply(desk.folder / "plain.yaml", prune=True)
    (desk.folder / "plain.yaml").unlink()
    with pytest.raises(InvalidInput, match="no workflow file"):
        await desk.apply(prune=True, may_archive=lambda _: True)
    with pytest.raises(InvalidInput, match="no file or folder"):
        await desk.apply(desk.folder / "none")


async def test_exporting_leaves_files_alone_that_mean_the_same(world, desk):
    await save(world, PLAIN)
    await save(world, {**PLAIN, "name": "plain!"})
    desk.folder.mkdir()
    own = desk.folder / "mine.yaml"
    own.write_text(
        "# with a comment\nname: Plain\ntrigger: {manual: {}}\n"
        "steps:\n  - {id: pause, uses: wait, with: {seconds: 60}}\n"
    )
    (desk.folder / "plain.yaml").write_text("name: Somebody else's\n")
    told = await desk.export()
    assert told[-1] == "1 written, 1 unchanged"
    assert own.read_text().startswith("# with a comment")
    assert (desk.folder / "plain-2.yaml").read_text().startswith("name: plain!\n")
    assert any(line.startswith("no longer") and "plain.yaml" in line for line in told)


async def test_a_file_that_gets_another_suffix_is_not_written_over_another_workflows(world, desk):
    for name in ("One", "Other"):
        await save(world, {**PLAIN, "name": name})
    desk.folder.mkdir()
    other = {**PLAIN, "name": "Other"}
    (desk.folder / "mine.json").write_text(json.dumps({**PLAIN, "name": "One", "description": "of before"}))
    (desk.folder / "mine.yaml").write_text(json.dumps(other))
    told = await desk.export()
    assert told[-1] == "1 written, 1 unchanged"
    assert json.loads((desk.folder / "mine.yaml").read_text()) == other
    assert sorted(path.name for path in desk.folder.iterdir()) == ["mine.yaml", "one.yaml"]


async def test_a_lost_answer_is_asked_for_again_under_the_same_key(world, desk, monkeypatch):
    append = world.bus.append
    lost = []

    async def lose_the_first_answer(records):
        positions = await append(records)
        if not lost:
            lost.append(positions)
            raise AppendInDoubt("the connection broke")
        return positions

    desk.folder.mkdir()
    (desk.folder / "a.yaml").write_text("name: A\n" + REST)
    monkeypatch.setattr(world.bus, "append", lose_the_first_answer)
    assert await desk.apply() == 0
    assert desk.said[-1] == "1 created, 0 updated, 0 unchanged, 0 archived"
    assert len(await desk.listed()) == 1


async def test_a_platform_that_refuses_or_is_not_there_is_one_sentence(world, desk, tmp_path):
    desk.token = world.token("acme", "events:write")
    with pytest.raises(ApiTrouble, match="automation:read"):
        await desk.export()
    with pytest.raises(InvalidInput, match="--url"):
        async with tenant_api("localhost:8080", "t"):
            raise AssertionError("it was taken")
    with pytest.raises(InvalidInput, match="--token"):
        async with tenant_api("http://localhost:8080", "a b"):
            raise AssertionError("it was taken")
    async with tenant_api("http://127.0.0.1:1", "t") as api:
        with pytest.raises(ApiTrouble, match="does not answer"):
            await api.items("/api/v1/workflows")


async def test_what_is_archived_or_disabled_makes_room_under_a_plan_for_what_is_created(world, desk):
    """Files come first, whose workflows find no room yet."""
    for name in ("Old", "Off"):
        await save(world, {**PLAIN, "name": name})
    await world.give_plan("tiny", Quotas(workflows=2))
    desk.folder.mkdir()
    for name, switch in (("A", ""), ("B", ""), ("Off", "enabled: false\n")):
        (desk.folder / f"{name}.yaml").write_text(f"name: {name}\n{switch}{REST}")
    assert await desk.apply(prune=True, may_archive=lambda count: count == 1) == 0, desk.warned
    assert desk.said[-1] == "2 created, 1 updated, 0 unchanged, 1 archived"
    assert {name: each["enabled"] for name, each in (await desk.listed()).items()} == {
        "A": True,
        "B": True,
        "Off": False,
    }
    (desk.folder / "C.yaml").write_text(f"name: C\n{REST}")
    assert await desk.apply() == 1
    assert "the plan 'tiny' allows 2 enabled workflows, and 2 are enabled" in desk.warned[-1]


async def test_a_number_whose_digits_would_be_lost_is_refused_with_its_place(world, desk):
    long = 12345678901234567890123
    pattern = {"data": {"n": [1, long]}}
    draft = {**PLAIN, "trigger": {"event": "a.b", "pattern": pattern}}
    for path, body, pointer in (
        ("/api/v1/workflows", draft, "#/trigger/pattern/data/n/1"),
        ("/api/v1/workflows/check", draft, "#/trigger/pattern/data/n/1"),
    ):
        refused = (await world.call("POST", path, body)).expect(422)
        assert [each["pointer"] for each in refused["errors"]] == [pointer]
        assert str(long) in refused["errors"][0]["detail"]
    desk.folder.mkdir()
    (desk.folder / "long.json").write_text(json.dumps(draft))
    assert await desk.apply() == 1
    assert "#/trigger/pattern/data/n/1" in desk.warned[0]
    (desk.folder / "long.json").write_text(
        json.dumps({**draft, "trigger": {"event": "a.b", "pattern": {"data": {"n": [2**63]}}}})
    )
    assert await desk.apply() == 0
    kept = (await world.call("GET", f"/api/v1/workflows/{(await desk.listed())['Plain']['id']}")).expect(200)
    assert kept["document"]["trigger"]["pattern"]["data"]["n"] == [2**63]
