"""What changed between two documents: whole, in order, and named as people name it."""

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from shared.workflows.changes import DocumentChange, changes_between, changes_in_a_line, same

SCALARS = (
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.0, 1.0, 2.5]) | st.text("ab/~", max_size=3)
)
STEPS = st.fixed_dictionaries({"id": st.sampled_from("abcdef"), "with": SCALARS})
JSON = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner | STEPS, max_size=6)
        | st.dictionaries(st.sampled_from(["a", "b", "x/y", "~"]), inner, max_size=4)
    ),
    max_leaves=25,
)


def applied(document: Any, changes: list[DocumentChange]) -> Any:
    """As RFC 6902 applies a patch."""
    root = [copy.deepcopy(document)]
    for change in changes:
        parts = [part.replace("~1", "/").replace("~0", "~") for part in change.pointer.removeprefix("#").split("/")[1:]]
        holder: Any = root
        key: Any = 0
        for part in parts:
            holder = holder[key]
            key = int(part) if isinstance(holder, list) else part
        if change.op == "remove":
            assert same(holder[key], change.old)
            del holder[key]
        elif change.op == "add" and isinstance(holder, list):
            holder.insert(key, change.new)
        else:
            assert change.op == "replace" or key not in holder
            holder[key] = change.new
    return root[0]


@given(JSON, JSON)
def test_the_changes_make_the_old_document_the_new_one(old: object, new: object) -> None:
    changes = changes_between(old, new)
    assert same(applied(old, changes), new)
    assert (changes == []) == same(old, new)


def test_a_step_put_in_front_is_one_change() -> None:
    steps = [{"id": name, "with": {"n": index}} for index, name in enumerate("abc")]
    first = {"id": "first", "with": {}}
    changed = {"id": "b", "with": {"n": 9}}
    assert changes_between({"steps": steps}, {"steps": [first, steps[0], changed, steps[2]]}) == [
        DocumentChange(op="add", pointer="#/steps/0", new=first),
        DocumentChange(op="replace", pointer="#/steps/2/with/n", old=1, new=9),
    ]


def test_numbers_that_are_printed_otherwise_are_other_numbers() -> None:
    assert not same({"n": 1}, {"n": 1.0})
    assert not same({"n": 1}, {"n": True})
    assert same({"a": 1, "b": [2]}, {"b": [2], "a": 1})


def test_long_lists_that_have_little_in_common_are_compared_place_by_place() -> None:
    old, new = [f"a{n}" for n in range(5000)], [f"b{n}" for n in range(4000)]
    changes = changes_between(old, new)
    assert (len(changes), changes[0].op, changes[-1].op) == (5000, "replace", "remove")


def test_a_line_names_the_first_few() -> None:
    old = {"name": "a", "if": "x", "n": 1, "m": 1}
    new = {"name": "b", "n": 2, "m": 2, "limits": {}}
    assert changes_in_a_line(old, new) == "changed name, removed if, changed n, and 2 more"
    assert changes_in_a_line(new, new) == "nothing changed"
    assert len(changes_in_a_line({"k" * 500: 1}, {})) < 100
    assert changes_in_a_line([0] * 1000, [1] * 1000).endswith(", changed 2, and at least 97 more")


def test_many_lists_that_differ_cost_no_more_than_a_few() -> None:
    def lists(letter: str) -> list[list[str]]:
        return [[f"{letter}{n}" for n in range(99)] + ["same", f"{letter}!"] for _ in range(300)]

    old, new = {"lists": lists("a")}, {"lists": lists("b")}
    changes = changes_between(old, new)
    assert same(applied(old, changes), new)
    # All are compared, the later ones place by place.
    assert len({change.pointer.split("/")[2] for change in changes}) == 300
