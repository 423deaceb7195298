"""Workflows as files: read with the place of everything, written as little as says it all, planned without a difference
where there is none."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.cli.as_code.files import UnreadableFile, file_of, file_text, free_slug, parse_file, slug
from services.cli.as_code.plan import Existing, Wanted, make_plan, summary
from shared.domain.errors import Flaw
from shared.workflows.changes import same
from shared.workflows.document import parse_document
from shared.workflows.short_form import whole_form

PATH = Path("flows/tell.yaml")
TEXT = b"""\
name: Tell
# told at once
trigger:
  event: order.refunded
steps:
  - id: tell
    uses: notify.webhook
    with: {endpoint: nobody,
           body: {text: x}}
  - id: pause
    uses: wait
    with: {seconds: 1}
enabled: false
"""


@pytest.mark.parametrize(
    ("pointer", "line"),
    [
        ("#", 1),
        ("#/name", 1),
        ("#/trigger", 3),
        ("#/trigger/event", 4),
        ("#/steps/0", 6),
        ("#/steps/0/with/endpoint", 8),
        ("#/steps/0/with/body/text", 9),
        ("#/steps/1/id", 10),
        ("#/steps/1/needs/0", 10),
        ("#/if", 1),
    ],
)
def test_a_flaw_is_told_with_the_line_that_it_stands_in(pointer: str, line: int) -> None:
    file = parse_file(PATH, TEXT)
    assert file.told(Flaw(pointer=pointer, detail="no")) == f"flows/tell.yaml:{line}: {pointer}: no"
    assert (file.name, file.enabled) == ("Tell", False)
    assert "enabled" not in file.document


@pytest.mark.parametrize(
    ("path", "body", "told"),
    [
        (PATH, b"name: a\nname: b\n", "flows/tell.yaml:2: #: the key 'name' stands twice"),
        (PATH, b"- a\n", "flows/tell.yaml:1: #: a workflow is an object"),
        (PATH, b"name: a\n---\nname: b\n", "more than one document"),
        (PATH, b"enabled: perhaps\n", "#/enabled: write true or false"),
        (PATH, b"\xff", "not UTF-8"),
        (PATH.with_suffix(".json"), b'{"name": }', "flows/tell.json:1: #: it cannot be parsed"),
    ],
)
def test_what_is_no_workflow_says_why(path: Path, body: bytes, told: str) -> None:
    with pytest.raises(UnreadableFile) as caught:
        parse_file(path, body)
    assert told in caught.value.told[0]


def test_json_has_lines_as_well() -> None:
    file = parse_file(Path("a.json"), b'{\n  "name": "a",\n  "steps": [\n    {"id": 1}\n  ]\n}\n')
    assert file.told(Flaw(pointer="#/steps/0/id", detail="x")) == "a.json:4: #/steps/0/id: x"


def test_an_aliased_part_stands_where_it_is_repeated() -> None:
    file = parse_file(PATH, b"a: &x {b: [1]}\nc: *x\n")
    assert file.told(Flaw(pointer="#/c/b/0", detail="x")).startswith("flows/tell.yaml:2:")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Refund alert", "refund-alert"),
        ("  Größe ≥ 5! ", "grosse-5"),
        ("日本", "workflow"),
        ("../../etc/passwd", "etc-passwd"),
        ("a" * 200, "a" * 80),
        ("CON", "con"),
    ],
)
def test_a_files_name_is_plain(name: str, expected: str) -> None:
    assert slug(name) == expected


def test_names_that_would_share_a_file_do_not() -> None:
    assert free_slug("A b", ["a-b", "a-b-2"]) == "a-b-3"


def test_a_file_holds_no_more_than_it_must() -> None:
    document = whole_form(
        {"name": "Tell", "trigger": {"manual": {}}, "steps": [{"id": "a", "uses": "wait", "with": {"seconds": 1}}]}
    )
    assert (
        file_text(document, enabled=False)
        == """\
name: Tell
enabled: false
trigger:
  manual: {}
steps:
  - id: a
    uses: wait
    with:
      seconds: 1
"""
    )
    assert "enabled" not in file_text(document, enabled=True)


def test_what_is_too_large_for_yaml_is_json() -> None:
    document = whole_form(
        {"name": "Big", "trigger": {"manual": {}}, "steps": [{"id": "a", "uses": "x", "with": {"n": [1] * 30_000}}]}
    )
    path, body = file_of(Path("big"), document, enabled=True)
    assert path == Path("big.json")
    assert same(parse_file(path, body).document, document)


# ---------------------------------------------------------------- there and back

TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=10) | st.sampled_from(
    ["no", "1e3", "a: b", "{{ event.id }}", "a\nb\n", "~", "0x1f", "# x", "event.data.n > 1 && true"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS.filter(lambda key: key != "<<"), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
DOCUMENTS = st.fixed_dictionaries(
    {
        "name": TEXTS.filter(bool),
        "trigger": st.just({"manual": {}}) | st.fixed_dictionaries({"event": TEXTS, "pattern": VALUES}),
        "steps": st.lists(
            st.fixed_dictionaries(
                {
                    "id": st.sampled_from(["a", "b"]),
                    "uses": TEXTS.filter(bool),
                    "with": st.dictionaries(TEXTS.filter(lambda key: key != "<<"), VALUES, max_size=3),
                },
                optional={"if": TEXTS.filter(bool), "timeout_seconds": st.floats(0.1, 3600), "on_unknown": st.just("ask")},
            ),
            min_size=1,
            max_size=3,
        ),
    },
    optional={"description": TEXTS, "stop_on_match": st.booleans(), "approval": st.just({"quorum": 2})},
)  # fmt: skip


def kept(document: Any) -> dict[str, object]:
    """As saving keeps it."""
    return parse_document(document).model_dump(mode="json", by_alias=True)


@given(DOCUMENTS, st.booleans())
def test_what_is_exported_is_unchanged_when_it_is_applied(document: dict[str, object], enabled: bool) -> None:
    existing = Existing(id="w", name=str(document["name"]), enabled=enabled, revision=3, document=kept(document))
    path, body = file_of(Path("a"), existing.document, enabled=enabled)
    file = parse_file(path, body)
    (planned,) = make_plan([existing], [Wanted(file=file, document=kept(file.document))], prune=True)
    assert (planned.kind, planned.diff) == ("unchanged", "")


# ---------------------------------------------------------------- the plan


def wanted(name: str, *, enabled: bool = True, **more: object) -> Wanted:
    step = {"id": "a", "uses": "wait", "with": {"seconds": 1}}
    document = kept({"name": name, "trigger": {"manual": {}}, "steps": [step], **more})
    path, body = file_of(Path(slug(name)), document, enabled=enabled)
    return Wanted(file=parse_file(path, body), document=document)


def existing(name: str, *, enabled: bool = True, **more: object) -> Existing:
    return Existing(id=f"id of {name}", name=name, enabled=enabled, revision=1, document=wanted(name, **more).document)


def test_only_what_differs_is_planned_and_only_pruning_archives() -> None:
    there = [existing("same"), existing("edited"), existing("off"), existing("gone")]
    files = [wanted("same"), wanted("edited", priority=7), wanted("off", enabled=False), wanted("new")]
    plan = make_plan(there, files, prune=False)
    assert [(each.name, each.kind, each.save, each.switch) for each in plan] == [
        ("same", "unchanged", False, None),
        ("edited", "update", True, None),
        ("off", "update", False, False),
        ("new", "create", True, None),
    ]
    assert "+priority: 7" in plan[1].diff
    assert "+enabled: false" in plan[2].diff
    assert plan[3].diff.startswith("--- nothing\n+++ new.yaml\n")
    assert summary(plan) == "1 created, 2 updated, 1 unchanged, 0 archived"
    pruned = make_plan(there, files, prune=True)
    assert [(each.name, each.kind) for each in pruned[4:]] == [("gone", "archive")]
