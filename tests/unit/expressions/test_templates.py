"""Templates: types kept, what is refused on save, what can't be rendered, partial rendering, and bounds."""

import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.errors import InvalidInput, PermanentError
from shared.expressions import LIMITS, TemplateError, compile_template, render_text

CONTEXT: dict[str, object] = {
    "event": {
        "subject": "order/1",
        "time": "2024-03-01T10:05:09Z",
        "data": {
            "amount_minor": 12345,
            "price": 1.5,
            "currency": "EUR",
            "vip": True,
            "nothing": None,
            "empty": "",
            "name": " Ada <Lovelace> ",
            "tags": ["b", "a", "b"],
            "address": {"city": "Zürich", "lines": ["x", None]},
            "items": [{"sku": "A", "quantity": 2}, {"sku": "B", "quantity": 1}],
            "first key": 1,
            "text": "a" * 1000,
        },
    },
    "steps": {"lookup": {"output": {"id": 7}}},
    "inputs": {"key": "currency", "many": 100_000},
    "workflow": {"name": "Refund alert"},
}


def render(document: object, context: dict[str, object] = CONTEXT) -> object:
    return compile_template(document).render(context)


def failure(document: object, context: dict[str, object] = CONTEXT) -> TemplateError:
    template = compile_template(document)
    with pytest.raises(TemplateError) as failed:
        template.render(context)
    return failed.value


def refusals(document: object, **options: Any) -> dict[str, str]:
    with pytest.raises(InvalidInput) as refused:
        compile_template(document, **options)
    return {flaw.pointer: flaw.detail for flaw in refused.value.flaws}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{{ event.data.amount_minor }}", 12345),
        ("{{event.data.price}}", 1.5),
        ("{{- event.data.vip -}}", True),
        ("{{ event.data.address }}", {"city": "Zürich", "lines": ["x", None]}),
        ("{{ event.data.tags }}", ["b", "a", "b"]),
        ("{{ event.data.items[1].sku }}", "B"),
        ("{{ event.data['first key'] }}", 1),
        ("{{ event.data[inputs.key] }}", "EUR"),
        ("{{ event.data.tags.size }}", 3),
        ("{{ event.data.tags.first }}", "b"),
        ("{{ (1..3) }}", [1, 2, 3]),
        ("{{ event.data.nothing | default: nil }}", None),
        ("{{ event.data.missing.deeper | default: 3 }}", 3),
        ("{{ event.data['empty'] | default: 'none' }}", "none"),
        ("{{ steps.lookup.output.id }}", 7),
        (" {{ event.data.amount_minor }}", " 12345"),
        ("{{ event.data.vip }}{{ event.data.price }}", "true1.5"),
        ("in {{ event.data.address }}", 'in {"city":"Zürich","lines":["x",null]}'),
        ("a{{ event.data.nothing | default: nil }}b", "ab"),
        ("{% if event.data.missing %}yes{% else %}no{% endif %}", "no"),
        ("{% if event.data.missing.x > 3 or event.data.nothing == 1 %}yes{% endif %}", ""),
        ("{% unless event.data.nothing %}none{% endunless %}", "none"),
        ("{% for i in event.data.items %}{{ i.sku }}{% unless forloop.last %}, {% endunless %}{% endfor %}", "A, B"),
        ("{% for i in event.data.tags %}{% if i == 'a' %}{% break %}{% endif %}{{ i }}{% endfor %}", "b"),
        ("{% for p in event.data.address limit: 1 %}{{ p[0] }}={{ p[1] }}{% endfor %}", "city=Zürich"),
        ("{% case event.data.currency %}{% when 'EUR' %}€{% else %}?{% endcase %}", "€"),
        ("{% assign x = event.data.amount_minor | plus: 1 %}{{ x }}", "12346"),
        ("{% capture x %}<{{ event.subject }}>{% endcapture %}{{ x }}{{ x }}", "<order/1><order/1>"),
        ("{% echo event.subject %}{% comment %}{{ never }}{% endcomment %}{% # nor this %}", "order/1"),
        ("{% raw %}{{ as it is }}{% endraw %}", "{{ as it is }}"),
    ],
)
def test_renders(text: str, value: object) -> None:
    rendered = render(text)
    assert rendered == value
    assert type(rendered) is type(value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{{ event.data.missing }}", "event.data.missing is undefined; answer it with default"),
        ("{{ event.data.missing.deeper }}", "event.data.missing is undefined"),
        ("{{ event.data.missing | upcase }}", "event.data.missing is undefined"),
        ("{{ event.data.nothing }}", "event.data.nothing is null; answer it with default"),
        ("x {{ event.data.nothing }}", "event.data.nothing is null"),
        ("{{ event.data.nothing | upcase }}", "what upcase is given is null"),
        ("{{ event.subject | append: event.data.nothing }}", "what append is given is null"),
        ("{{ run.id }}", "'run' is undefined"),
        ("{{ event.data.address.first }}", "undefined"),
        ("{{ event.data.tags[9] }}", "out of range"),
        ("{% for i in event.data.missing %}{% endfor %}", "event.data.missing is undefined"),
        ("{% for i in event.data.currency %}{% endfor %}", "for runs over a list, not text"),
        ("{% for i in event.data.tags limit: inputs.key %}{% endfor %}", "expected an integer"),
        ("{% for i in (1..inputs.key) %}{% endfor %}", "between whole numbers, not text"),
        ("{% if event.data.currency > 3 %}{% endif %}", "not supported between"),
        ("{% for i in event.data.tags %}{{ forloop }}{% endfor %}", "forloop is no JSON value"),
        ("{% break %}", "unexpected 'break'"),
        ("{{ 'now' | date: '%Y' }}", "date takes an ISO 8601 instant"),
        ("{{ 'today' | date }}", "date takes an ISO 8601 instant"),
    ],
)
def test_can_not_be_rendered(text: str, said: str) -> None:
    error = failure({"a": ["fixed", text]})
    assert error.pointer == "#/a/1"
    assert said in error.detail
    assert isinstance(error, PermanentError)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{{ evnt.data }}", "unknown root evnt: did you mean event? (line 1, column 4)"),
        ("a\nb {{ secrets.token }}", "unknown root secrets: a path starts with one of event, inputs"),
        ("{{ now }}", "unknown root now"),
        ("{{ 'now' | date: '%Y' }}{{ today }}", "unknown root today"),
        ("{{ ['now'] }}", "unknown root now"),
        ("{{ [inputs.key] }}", "not with a computed one"),
        ("{% for i in event.data.items %}{{ j.sku }}{% endfor %}", "unknown root j"),
        ("{% assign event = 1 %}{{ event }}", "event names a root and can't be assigned"),
        ("{{ event.data.x | upcas }}", "unknown filter upcas: did you mean upcase? (line 1, column 19)"),
        ("{{ event.data.x | plus }}", "plus: missing a required argument"),
        ("{{ event.data.x | upcase: 1 }}", "upcase: too many positional arguments"),
        ("{{ event.data.x | default: 1, 2 }}", "default takes one value"),
        ("{% include 'x' %}", "tag include is not available here"),
        ("{% render 'x' %}", "tag render is not available here"),
        ("{% liquid echo 1 %}", "tag liquid is not available here"),
        ("{% tablerow i in event.data.items %}{% endtablerow %}", "tag tablerow is not available here"),
        ("{% increment x %}", "tag increment is not available here"),
        ("{{ event.data.x", "{{ is never closed by }} (line 1, column 1)"),
        ("{{ event.data.x }} {% if", "{% is never closed by %} (line 1, column 20)"),
        ("{% if event.data.x %}", "endif"),
        ("{{ }}", "expected"),
        ("{{ event.data.limit }}", "limit is a word of Liquid: as a name, write ['limit'] for .limit"),
        ("{{ event.data.x | }}", "expected"),
        ("{{ event.data.x if true }}", "ternary"),
        ("{{ event" + "[event" * 2000 + "]" * 2000 + " }}", "nested too deeply"),
        ("{{ event.x }}" + "x" * LIMITS.template_characters_max, "at most 16384"),
        ("{{" + " " * 5000 + "}}", "blanks"),
        ("{{ '\ud800' }}", "surrogate"),
        ("".join("{% if event.a %}" for _ in range(20)) + "{% endif %}" * 20, "nesting"),
    ],
)
def test_refused_on_save(text: str, said: str) -> None:
    details = refusals(["fixed", {"a/b~c": text}])
    assert list(details) == ["#/1/a~1b~0c"]
    assert said in details["#/1/a~1b~0c"]


def test_all_flaws_are_told_at_once_below_the_given_pointer() -> None:
    document = {"a": "{{ evnt }}", "b": ["{{ event.x | nope }}"], "{{ c }}": 1, "d": float("inf"), "e": "\ud800"}
    assert list(refusals(document, pointer="#/steps/0/with")) == [
        "#/steps/0/with/a",
        "#/steps/0/with/b/0",
        "#/steps/0/with",
        "#/steps/0/with/d",
        "#/steps/0/with/e",
    ]


def test_a_step_that_is_not_upstream_is_refused() -> None:
    compile_template("{{ steps.lookup.output.id }}", known_steps=frozenset({"lookup"}))
    details = refusals(["{{ steps.other.output }}", "{{ steps[inputs.key] }}"], known_steps=frozenset({"lookup"}))
    assert details["#/0"].startswith("steps.other is no step upstream of this one (those are: lookup)")
    assert details["#/1"].startswith("name the step: steps.<id>")


def test_roots_can_be_narrowed() -> None:
    assert "#" in refusals("{{ steps.a.output }}", roots=frozenset({"event"}))


def test_constants_are_handed_on_untouched() -> None:
    document = {"a": [1, 2.5, None, True, {"b": "text with } and { and %"}]}
    template = compile_template(document)
    assert template.is_constant
    assert template.render({}) is document
    mixed = {"fixed": document, "not": "{{ event.subject }}"}
    rendered = compile_template(mixed).render(CONTEXT)
    assert isinstance(rendered, dict)
    assert rendered["fixed"] is document


def test_assignments_do_not_leak_between_leaves() -> None:
    document = ["{% assign x = 'leaked' %}", "{% assign y = 1 %}{{ y }}{{ event.subject }}"]
    assert render(document) == ["", "1order/1"]
    assert "unknown root x" in refusals(["{% assign x = 1 %}", "{{ x }}"])["#/1"]


def test_references_are_the_paths_that_leaves_name() -> None:
    template = compile_template(
        [
            "{{ event.data.items[0].sku }}",
            {"a": "{% for t in event.data.tags %}{{ t }}{{ inputs[event.x] }}{% endfor %}"},
        ]
    )
    assert template.references() == {
        ("event", "data", "items"),
        ("event", "data", "tags"),
        ("inputs",),
        ("event", "x"),
    }


def test_partial_rendering_keeps_what_waits_for_steps_as_text() -> None:
    document = {
        "known": "{{ event.data.amount_minor }}",
        "ran": "{{ steps.lookup.output.id }}",
        "waits": ["{{ steps.later.output.id | default: 1 }}", "{{ steps[inputs.key].output }}"],
    }
    partial = compile_template(document).render_partial(CONTEXT)
    assert partial.value == {
        "known": 12345,
        "ran": 7,
        "waits": ["{{ steps.later.output.id | default: 1 }}", "{{ steps[inputs.key].output }}"],
    }
    assert partial.unresolved == ("#/waits/0", "#/waits/1")
    with pytest.raises(TemplateError, match=r"event\.nope is undefined"):
        compile_template({"a": "{{ steps.later.id }}", "b": "{{ event.nope }}"}).render_partial(CONTEXT)


def test_text_of_one_template() -> None:
    assert render_text(compile_template("{{ event.data.amount_minor }}"), CONTEXT) == "12345"
    assert render_text(compile_template("{{ event.data.tags }}"), CONTEXT) == '["b","a","b"]'
    assert render_text(compile_template("{{ event.data.nothing | default: nil }}"), CONTEXT) == ""
    assert render_text(compile_template("{{ event.subject }}:{{ workflow.name }}"), CONTEXT) == "order/1:Refund alert"


BOMBS: list[tuple[str, str]] = [
    ("{{ (1..20000000) | join }}", "a range has at most 1000"),
    ("{% for i in (1..inputs.many) %}x{% endfor %}", "a range has at most 1000"),
    ("{% if (1..20000000) contains 'a' %}x{% endif %}", "a range has at most 1000"),
    ("{% assign r = (1..20000000) %}{{ r }}", "a range has at most 1000"),
    ("{% assign a = 'xxxxxxxxxx' %}" + "{% assign a = a | append: a %}" * 27 + "{{ a }}", "at most 262144"),
    ("{{ event.data.text" + " | replace: 'a', 'aaaaaaaaaa'" * 9 + " }}", "at most 262144"),
    ("{{ event.data.text" + " | replace: '', 'aaaaaaaaaa'" * 9 + " }}", "at most 262144"),
    ("{{ event.data.text" + " | url_encode | escape | base64_encode | json" * 40 + " }}", "at most 262144"),
    ("{{ event.data.text | split: '' | join: event.data.text }}", "at most 262144"),
    ("{% assign l = (1..1000) | compact %}" + "{% assign l = l | concat: l %}" * 9 + "{{ l.size }}", "at most 10000"),
    ("{{ event.data.text" + " | append: event.data.text | split: '' | join: ',,,,,,,,,,'" * 9 + " }}", "at most"),
    ("{% for i in (1..1000) %}{% for j in (1..1000) %}x{% endfor %}{% endfor %}", "10000 rounds"),
    ("{% for i in (1..900) %}{% endfor %}" * 400, "10000 rounds"),
    ("{% for i in (1..900) %}{{ event.data.text }}{% endfor %}", "output"),
    (
        "{% for i in (1..1000) %}{% for j in (1..8) %}{% assign x = event.data.big | json | upcase %}{% endfor %}{% endfor %}",
        "too much work",
    ),
    (
        "{% for i in (1..1000) %}{% for j in (1..8) %}{% if event.data.big == event.data.same %}{% endif %}{% endfor %}"
        "{% endfor %}",
        "too much work",
    ),
    (
        "{% for i in (1..1000) %}{% for j in (1..8) %}{% assign x = event.data.big | uniq | sort: 'a' %}{% endfor %}"
        "{% endfor %}",
        "too much work",
    ),
    ("{{ 9999999999 " + "| times: 9999999999" * 40 + " }}", "more than 30 digits"),
    ("{{ event.time | date: '%999999999d' }}", "%9 is not a directive"),
    ("{{ event.data.deep }}", "deep"),
    ("x{{ event.data.deep }}", "deep"),
    ("{{ event.data.deep | json }}", "deep"),
    ("{{ event.data.huge }}", "longer than 262144 bytes"),
]


@pytest.mark.parametrize(("text", "said"), BOMBS, ids=range(len(BOMBS)))
def test_bombs_end_soon_with_a_clear_error(text: str, said: str) -> None:
    deep: object = []
    for _ in range(300):
        deep = [deep]
    event = CONTEXT["event"]
    assert isinstance(event, dict)
    big = [{"a": f"{i}"} for i in range(5_000)]
    data = {**event["data"], "big": big, "same": list(big), "deep": deep, "huge": ["x" * 300_000]}
    template = compile_template([text])
    started = time.process_time()
    with pytest.raises(TemplateError) as failed:
        template.render({**CONTEXT, "event": {**event, "data": data}})
    assert time.process_time() - started < 2.0
    assert said in failed.value.detail


def test_the_output_of_a_document_is_bounded_over_its_leaves() -> None:
    document = ["{{ event.data.text }}"] * 300
    assert "longer than 262144 bytes" in failure(document).detail


def test_compiling_odd_texts_ends_soon() -> None:
    for text in ("{{" * 8000, "{% raw %}" * 1800, "{{ a" + "[" * 8000, "{%" * 8000 + "%}", "{{-" * 5000 + "}}"):
        started = time.process_time()
        with pytest.raises(InvalidInput):
            compile_template(text)
        assert time.process_time() - started < 2.0


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["a", "b", "c"]), inner, max_size=3),
    max_leaves=12,
)
FINITE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**12), 10**12)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8).filter(lambda t: "{{" not in t and "{%" not in t),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["a", "b", "c"]), inner, max_size=3),
    max_leaves=12,
)
documents = st.sampled_from(
    [
        "{{ event.data.a }}",
        "x {{ event.data.a }} {{ event.data.b | json }}",
        "{{ event.data.a | default: 1 | plus: event.data.b }}",
        "{% for i in event.data.a %}{{ i }}{{ i.b }}{{ i | size }}{% endfor %}",
        "{% if event.data.a == event.data.b %}{{ event.a }}{% elsif event.data.a contains event.data.c %}y{% endif %}",
        "{{ event.data.a | sort | join: event.data.b }}",
        "{{ event.data.a | map: 'b' | compact | sum }}",
        "{{ event.data.a | where: 'a', event.data.b | first }}",
        "{{ event.data.a | date: event.data.b, event.data.c }}",
        "{{ event.data.a | money: event.data.b }}",
        "{{ event.data.a | slice: event.data.b, event.data.c | truncate: event.data.b }}",
        "{{ event.data.a | split: event.data.b | uniq | reverse | concat: event.data.c }}",
        "{{ event.data.a | round: event.data.b | divided_by: event.data.c | ceil | abs }}",
        "{{ event.data.a | url_encode | url_decode | base64_encode | base64_decode | sha256 | escape }}",
        "{{ event.data[event.data.a][event.data.b] }}",
        "{% for i in (event.data.a..event.data.b) limit: event.data.c offset: event.data.a %}{{ i }}{% endfor %}",
        "{% assign x = event.data.a | modulo: event.data.b %}{% capture y %}{{ x }}{% endcapture %}{{ y | capitalize }}",
        "{% case event.data.a %}{% when event.data.b %}{{ event.data.c }}{% else %}{% endcase %}",
        "{% if event.data.a < event.data.b and event.data.c %}{{ event.data.a | truncatewords: event.data.b }}{% endif %}",
    ]
)


@settings(deadline=None)
@given(documents, json_values, json_values, json_values, json_values)
def test_no_json_context_raises_anything_but_our_error(
    text: str, a: object, b: object, c: object, steps: object
) -> None:
    template = compile_template({"leaf": text})
    context: dict[str, object] = {"event": {"data": {"a": a, "b": b, "c": c}, "a": a}, "steps": steps}
    for attempt in (template.render, template.render_partial):
        try:
            attempt(context)
        except TemplateError as error:
            assert error.pointer == "#/leaf"
            assert error.detail


@settings(deadline=None)
@given(json_values)
def test_no_event_at_all_raises_anything_but_our_error(event: object) -> None:
    try:
        compile_template(["{{ event.data.a }} {{ event.subject | default: 'x' }}"]).render({"event": event})
    except TemplateError as error:
        assert error.pointer == "#/0"


@settings(deadline=None)
@given(st.text(max_size=40) | st.text("{}%| .[]()'\":,-abeventdif=#", max_size=60))
def test_any_text_compiles_or_is_refused(text: str) -> None:
    try:
        compile_template({"leaf": text})
    except InvalidInput as refused:
        assert all(flaw.pointer == "#/leaf" and flaw.detail for flaw in refused.flaws)


@settings(deadline=None)
@given(FINITE)
def test_constants_round_trip(document: object) -> None:
    assert compile_template(document).render({}) == document


@settings(deadline=None)
@given(FINITE.filter(lambda value: value is not None))
def test_a_whole_leaf_keeps_value_and_type(value: object) -> None:
    rendered = render("{{ event.data }}", {"event": {"data": value}})
    assert rendered == value
    assert type(rendered) is type(value)


def test_looking_into_a_long_text_costs_as_much_as_it_is_long() -> None:
    template = compile_template(
        "{% for i in (1..1000) %}{% if event.data.s contains 'aaaaaaaaaabaaaaaaaaaa' %}{% endif %}{% endfor %}"
    )
    with pytest.raises(TemplateError, match="too much work"):
        template.render({"event": {"data": {"s": "a" * 200_000}}})
    assert template.render({"event": {"data": {"s": "a" * 2_000}}}) == ""
