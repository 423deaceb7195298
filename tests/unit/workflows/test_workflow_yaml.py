"""Workflows as YAML files: what is written is what is read, by our reader and by others'."""

from collections.abc import Iterator

import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from shared.runtime.http.yaml_text import read_yaml, read_yaml_with_lines
from shared.workflows.changes import same
from shared.workflows.document import parse_document
from shared.workflows.short_form import short_form, whole_form
from shared.workflows.yaml_text import write_yaml

TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    [
        *(
            "no",
            "Yes",
            "on",
            "y",
            "null",
            "~",
            "1",
            "-1",
            "1e3",
            "0x1f",
            "0o7",
            "1_000",
            ".5",
            "2026-01-01",
            "12:30:45",
        ),
        *("a: b", "a:", "a #b", "- a", "? a", "*a", "&a", "!a", "{a}", "[a]", "'a'", '"a"', "a\\b", "%a", "@a", "`a"),
        *(
            "a\nb",
            "a\nb\n",
            "a\n\nb",
            "\na",
            " a\nb",
            "a \nb",
            "a\n b",
            "a\n\tb",
            "a\nb\n\n",
            "a\r\nb",
            "\u2028",
            "---",
        ),
        *(
            "https://x.test/a?b=c",
            "{{ event.id }}",
            "event.data.n > 1",
            "=",
            "<<",
            "k" * 2000,
            "a\u0085b",
            "\ufeffa",
            "é",
        ),
    ]
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([1e16, 1e-7, -0.0, 1.5e300])
    | TEXTS
)
JSON = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(TEXTS.filter(lambda key: key != "<<"), inner, max_size=4)
    ),
    max_leaves=15,
)


@given(st.dictionaries(TEXTS.filter(lambda key: key != "<<"), JSON, max_size=4))
@example({"a": {}, "b": [], "c": [[], {}, [1, [2]]], "d": [{"x": {"y": [1]}, "z": "a\nb"}]})
def test_what_is_written_is_read_back(value: dict[str, object]) -> None:
    text = write_yaml(value)
    assert same(read_yaml(text.encode()), value)
    assert same(yaml.safe_load(text), value)


@given(st.dictionaries(TEXTS.filter(lambda key: key != "<<"), JSON, max_size=4))
def test_every_member_and_item_has_its_line(value: dict[str, object]) -> None:
    text = write_yaml(value)
    read, lines = read_yaml_with_lines(text.encode())
    assert same(read, value)
    assert set(lines) == set(places(value, ()))
    assert all(1 <= line <= text.count("\n") for line in lines.values())


def places(value: object, place: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
    yield place
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        yield from places(each, (*place, key))


def test_it_reads_as_people_write_it() -> None:
    value = {
        "name": "Refund alert",
        "trigger": {"event": "order.refunded", "pattern": {"data": {"amount": [{"numeric": [">", 1]}]}}},
        "steps": [{"id": "tell", "with": {"body": {"text": "{{ event.id }}", "many": "one\ntwo\n"}, "none": {}}}],
    }
    assert (
        write_yaml(value)
        == """\
name: Refund alert
trigger:
  event: order.refunded
  pattern:
    data:
      amount:
        - numeric:
            - ">"
            - 1
steps:
  - id: tell
    with:
      body:
        text: "{{ event.id }}"
        many: |
          one
          two
      none: {}
"""
    )


NAMES = TEXTS.filter(lambda text: 0 < len(text) <= 60)
DOCUMENTS = st.fixed_dictionaries(
    {
        "name": NAMES,
        "trigger": st.dictionaries(NAMES, JSON, min_size=1, max_size=2),
        "steps": st.lists(
            st.fixed_dictionaries(
                {"id": st.from_regex(r"[a-z][a-z0-9_]{0,5}", fullmatch=True), "uses": NAMES},
                optional={
                    "with": st.dictionaries(TEXTS, JSON, max_size=3),
                    "needs": st.none() | st.lists(st.sampled_from(["a", "b"]), max_size=2),
                    "retry": st.none() | st.fixed_dictionaries({}, optional={"max_attempts": st.integers(1, 50)}),
                    "timeout_seconds": st.none() | st.floats(0.5, 3600),
                    "on_error": st.sampled_from(["fail", "continue"]),
                },
            ),
            min_size=1,
            max_size=3,
        ),
    },
    optional={
        "description": TEXTS,
        "tags": st.lists(NAMES, max_size=2),
        "priority": st.integers(0, 1000),
        "if": st.none() | NAMES,
        "approval": st.fixed_dictionaries({}, optional={"when": st.sampled_from(["always", "auto"]), "quorum": st.just(2)}),
        "limits": st.fixed_dictionaries(
            {}, optional={"cooldown": st.none() | st.fixed_dictionaries({"seconds": st.integers(1, 9)}), "max_depth": st.just(3)}
        ),
    },
)  # fmt: skip


@given(DOCUMENTS)
def test_the_short_form_means_the_whole_document(document: dict[str, object]) -> None:
    whole = parse_document(document).model_dump(mode="json", by_alias=True)
    short = short_form(whole)
    assert same(whole_form(short), whole)
    assert same(short_form(short), short)


def test_the_short_form_leaves_out_what_is_default() -> None:
    step = {"id": "a", "uses": "wait", "with": {"seconds": 1}}
    document = {"name": "n", "trigger": {"manual": {}}, "steps": [step], "limits": {"max_concurrent": 2}}
    assert short_form(whole_form(document)) == document
    assert short_form({"name": 5}) == {"name": 5}
