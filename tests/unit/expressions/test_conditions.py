"""Conditions: what is refused on save, what evaluates to what, and that nothing makes evaluation raise or run on."""

import time
from typing import Any

import pytest
from cel_expr_python import cel
from cel_expr_python.ext import ext_strings
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from shared.domain.errors import InvalidInput
from shared.expressions import ROOTS, Outcome, compile_condition

ORDER_SCHEMA = {
    "type": "object",
    "properties": {
        "amount_minor": {"type": "integer"},
        "currency": {"type": "string"},
        "customer": {"$ref": "#/$defs/customer"},
        "items": {"type": "array", "items": {"type": "object", "properties": {"sku": {"type": "string"}}}},
        "note": {"type": ["string", "null"]},
        "metadata": {"type": "object"},
        "raw": {"type": "object"},
    },
    "$defs": {"customer": {"type": "object", "properties": {"email": {"type": "string"}, "vip": {"type": "boolean"}}}},
}

EVENT = {
    "type": "order.created",
    "subject": "order/1",
    "time": "2024-03-01T10:00:00Z",
    "data": {
        "amount_minor": 12500,
        "price": 125.5,
        "whole": 2.0,
        "currency": "EUR",
        "note": None,
        "customer": {"email": "ada@example.com", "vip": True},
        "items": [{"sku": "A-1", "quantity": 2, "tags": ["x"]}, {"sku": "B-2", "quantity": 1, "tags": []}],
        "big": 2**70,
        "odd name": 1,
    },
}
CONTEXT: dict[str, object] = {
    "event": EVENT,
    "inputs": {"limit": 10000},
    "steps": {"lookup": {"output": {"vip": True}}},
}


def evaluate(text: str, context: dict[str, object] = CONTEXT) -> Outcome:
    return compile_condition(text).evaluate(context)


def refusals(text: str, **options: Any) -> list[str]:
    with pytest.raises(InvalidInput) as refused:
        compile_condition(text, **options)
    assert {flaw.pointer for flaw in refused.value.flaws} == {options.get("pointer", "#/if")}
    return [flaw.detail for flaw in refused.value.flaws]


@pytest.mark.parametrize(
    "text",
    [
        "event.data.currency == 'EUR'",
        "event.data.amount_minor > inputs.limit && event.data.customer.vip",
        "event.data.amount_minor == 12500.0",
        "event.data.whole == 2",
        "event.data.price > 125",
        "event.data.amount_minor < 12500.5",
        "event.data.items.exists(i, i.sku.startsWith('B') && i.quantity == 1)",
        "event.data.items.all(i, i.quantity > 0)",
        "event.data.items.exists_one(i, i.sku == 'A-1')",
        "event.data.items.filter(i, i.quantity > 1)[0].sku == 'A-1'",
        "event.data.items.map(i, i.sku) == ['A-1', 'B-2']",
        "event.data.items.exists(i, i.tags.exists(t, t == 'x'))",
        "event.data.items.filter(i, steps.lookup.output.vip && i.quantity == 2).size() == 1",
        "'B-2' in event.data.items.map(i, i.sku)",
        "event.data.currency in ['EUR', 'USD']",
        "event.data['odd name'] == 1",
        "event.data.items[1].sku.endsWith('2')",
        "event.data.customer.email.matches('^[a-z]+@example[.]com$')",
        "event.data.customer.email.contains('@')",
        "event.data.currency.lowerAscii() == 'eur'",
        "event.data.customer.email.split('@')[1] == 'example.com'",
        "timestamp(event.time) > timestamp('2024-01-01T00:00:00Z')",
        "timestamp(event.time).getFullYear() == 2024",
        "timestamp(event.time) - timestamp('2024-03-01T09:00:00Z') == duration('1h')",
        "string(event.data.amount_minor) == '12500' && int('7') == 7 && double('1.5') == 1.5",
        "event.data.customer.vip ? event.data.amount_minor > 1 : false",
        "has(event.data.customer.vip) && !has(event.data.customer.phone)",
        "event.data.note == null",
        "event.data.missing == 1 || event.data.currency == 'EUR'",
        "event.data.big == 1 || true",
        "steps.lookup.output.vip",
        "size(event.data.items) == 2 && event.data.items.size() == 2",
        "[1].map(event, event + 1) == [2]",
        "{'a': event.data.amount_minor}.a == 12500",
        "event.type == 'order.created'",
        "true",
    ],
)
def test_true(text: str) -> None:
    assert evaluate(text) == Outcome(value=True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("event.data.nope == 1", "event.data.nope is missing"),
        ("event.data.nope.further == 1", "nope is missing"),
        ("run.id == 'x'", "run.id is missing"),
        ("steps.other.output.vip", "other is missing"),
        ("event.data.currency > 5", "> does not take (string, int64)"),
        ("event.data.currency.deeper == 1", "not an object"),
        ("event.data.note.deeper == 1", "not an object"),
        ("event.data.items.deeper == 1", "not an object"),
        ("event.data.items[7].sku == 'x'", "index=7"),
        ("event.data.big == 1", "64 bits"),
        ("event.data.amount_minor / 0 == 1", "divide by zero"),
        ("event.data.amount_minor * 9223372036854775807 > 0", "overflow"),
        ("int(event.data.currency) == 1", "cannot convert"),
        ("event.data.currency", "not true or false"),
        ("event.data.items", "not true or false"),
        ("event.data.nope == 1 && true", "nope is missing"),
    ],
)
def test_an_error_that_nothing_absorbs_is_false_and_told(text: str, said: str) -> None:
    outcome = evaluate(text)
    assert not outcome.value
    assert outcome.error is not None
    assert said in outcome.error


def test_false_is_no_error() -> None:
    assert evaluate("event.data.currency == 'USD'") == Outcome(value=False)
    assert evaluate("event.data.currency == 5") == Outcome(value=False)


def test_a_lone_surrogate_is_told_not_raised() -> None:
    context: dict[str, object] = {"event": {"data": {"currency": "\ud800", "nested": [{"a": "\udfff"}]}}}
    for text in ("event.data.currency == 'EUR'", "event.data.nested == []"):
        outcome = evaluate(text, context)
        assert not outcome.value
        assert outcome.error is not None
        assert "surrogate" in outcome.error


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("evnt.data.x == 1", "unknown root evnt: did you mean event? (line 1, column"),
        ("secrets.token == 'x'", "a path starts with one of event, inputs, run, steps, tenant, workflow"),
        ("fetch(event.data.x)", "unknown function fetch()"),
        ("event.data.x.fetch() == 1", "unknown function fetch()"),
        ("now() > timestamp(event.time)", "unknown function now()"),
        ("1 + 'a' == 2", "+ does not take (int, string)"),
        ("'a' == 1", "== does not take (string, int): convert one side"),
        ("true ? 1 : 'a'", "? : does not take"),
        ("event == 'x'", "== does not take"),
        ("event.data.x and true", "write && instead (line 1, column 14)"),
        ("event.data.x = 1", "write == instead"),
        ("event.data.x == 1 &&", "syntax: "),
        ("true &&\n  && true", "(line 2, column 3)"),
        ("", "syntax: "),
        ("event.?x == 1", "test with has(…) instead"),
        ("size(event.data)", "the result is int, not true or false"),
        ("'text'", "the result is string"),
        ("(" * 60 + "true" + ")" * 60, "nested too deeply"),
        ("1" + "+1" * 400 + " > 1", "nested too deeply"),
        ("event.data.x.matches('[')", "missing ]"),
        ("event.data.x.matches(event.data.y)", "a pattern written out"),
        ("event.data.x.replace('a', 'aa') == ''", "grow without bound"),
        ("['a'].join('x') == ''", "grow without bound"),
        ("google.protobuf.Timestamp{seconds: 1} == timestamp(event.time)", "protobuf messages"),
        ("['aaaa']" + ".map(y, y + y)" * 12 + ".all(z, size(z) > 0)", "copy a value 4096 times"),
        ("[1]" + ".map(y, [y, y])" * 8 + ".all(z, z == z)", "copy a value 256 times"),
        ("true" + " " * 5000, "at most 4096"),
        ("event.data.x == '\ud800'", "surrogate"),
        ("9223372036854775808 > event.data.x", "invalid int literal"),
    ],
)
def test_refused_on_save(text: str, said: str) -> None:
    details = refusals(text)
    assert any(said in detail for detail in details), details


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("event.data.amount_minr > 5", "event.data.amount_minr is not in the schema of the event type: did you mean"),
        ("event.data.zzz > 5", "only event.data.raw holds what the schema does not name"),
        ("has(event.data.amountminor)", "did you mean amount_minor?"),
        ("event.data['currncy'] == 'EUR'", "did you mean currency?"),
        ("event.data.customer.emial == ''", "did you mean email? (line 1, column 1)"),
        ("event.data.items.exists(i, i.skuu == 'x')", "event.data.items[…].skuu is not in the schema"),
        ("event.data.items.filter(i, i.sku == '')[0].qty == 1", "event.data.items[0].qty"),
        ("event.data.amount_minor.value == 1", "event.data.amount_minor.value"),
        ("event.data.note.text == ''", "event.data.note.text"),
        ("event.data.items.sku == ''", "event.data.items.sku"),
        ("event.data.currency == 'EUR' &&\n event.data.nope", "(line 2, column 2)"),
    ],
)
def test_a_path_absent_from_the_schema_is_refused(text: str, said: str) -> None:
    details = refusals(text, data_schemas=[ORDER_SCHEMA], pointer="#/steps/0/if")
    assert any(said in detail for detail in details), details


@pytest.mark.parametrize(
    "text",
    [
        "event.data.raw.any.thing[3].at == 'all'",
        "event.data.metadata.tag == 'x'",
        "event.data.customer.vip",
        "event.data.items.exists(i, i.sku == 'x')",
        "event.data.items[0].sku == 'x'",
        "event.data == {}",
        "event.extension == 'x'",
        "inputs.whatever == 1",
        "[{'foo': 1}].exists(i, i.foo == 1)",
    ],
)
def test_a_path_with_a_place_in_the_schema_is_taken(text: str) -> None:
    compile_condition(text, data_schemas=[ORDER_SCHEMA])


def test_with_several_event_types_one_schema_must_have_a_place() -> None:
    refund = {"type": "object", "properties": {"refund_id": {"type": "string"}}}
    compile_condition("event.data.refund_id == 'r'", data_schemas=[ORDER_SCHEMA, refund])
    compile_condition("event.data.anything == 'r'", data_schemas=[ORDER_SCHEMA, True])
    assert "refund_idd" in refusals("event.data.refund_idd == 'r'", data_schemas=[ORDER_SCHEMA, refund])[0]


def test_a_step_that_is_not_upstream_is_refused() -> None:
    compile_condition("steps.lookup.output.vip", known_steps=frozenset({"lookup"}))
    assert refusals("steps.lokup.output.vip", known_steps=frozenset({"lookup"})) == [
        "steps.lokup is no step upstream of this one (those are: lookup) (line 1, column 1)"
    ]


def test_ordinary_nesting_is_not_too_heavy() -> None:
    orders = [{"limit": i, "lines": [{"sku": f"S{j}", "quantity": j} for j in range(20)]} for i in range(40)]
    context: dict[str, object] = {"event": {"data": {"orders": orders, "skus": ["S3", "S19"]}}}
    for text in (
        "event.data.orders.exists(o, o.lines.exists(l, l.quantity > o.limit && l.sku in event.data.skus))",
        "event.data.orders.filter(o, o.limit > 3).map(o, o.lines.size()).exists(n, n == 20)",
        "event.data.orders.map(o, o.limit * 2).filter(n, n > 10).size() > 3",
        "event.data.skus.all(s, event.data.orders.exists(o, o.lines.exists(l, l.sku == s)))",
    ):
        assert evaluate(text, context) == Outcome(value=True)


def test_only_the_named_paths_are_looked_at() -> None:
    condition = compile_condition(
        "event.data.a.b == 1 && event.data.a == {} && event.data.l[0].x == inputs.y"
        " && event.data.l.exists(i, i.z == event.data.c[inputs.k])"
    )
    assert condition.paths == (
        ("event", "data", "a"),
        ("event", "data", "c"),
        ("event", "data", "l"),
        ("inputs", "k"),
        ("inputs", "y"),
    )
    # given a context whose other parts the library could not even convert
    unreadable = {"\ud800": object(), "deep": [[[["\ud800"]]]]}
    assert evaluate("event.data.c == 1", {"event": {"data": {"c": 1, **unreadable}, **unreadable}}).value


def test_equal_texts_share_one_condition() -> None:
    text = "event.data.currency == 'shared'"
    assert compile_condition(text, pointer="#/a") is compile_condition(text, pointer="#/b")


MANY = list(range(9_990))
BOMBS = [
    "event.data.many.all(x, x in event.data.many)",
    "event.data.many.all(x, event.data.many == event.data.many)",
    "event.data.many.exists(x, event.data.many.exists(y, event.data.many.exists(z, x + y + z < 0)))",
    "event.data.many.filter(x, x >= 0).size() > 0",
    "event.data.many.map(x, x + 1).size() > 0",
    "event.data.many.map(x, [x]).filter(y, y[0] > 3).size() > 0",
    "event.data.text.split('').filter(x, x == 'a').size() > 0",
    "event.data.many.all(x, event.data.text.contains('b'))",
    "event.data.many.all(x, !event.data.text.matches('(a+)+b'))",
    "event.data.many.all(x, !'aaa'.matches('((a{30}){20})'))",
    "event.data.text.matches('(a|aa)+$')",
    "event.data.few.all(x, event.data.many.all(y, !x.matches('(a+)+b')))",
    "event.data.few.map(x, x).all(x, event.data.many.all(y, !x.matches('(a+)+b')))",
    "event.data.many.all(x, (" + " + ".join(["event.data.text"] * 25) + ").contains('b') == false)",
    "event.data.many.exists(x, x < 0 || event.data.many.exists(y, y < 0 || y == x + 9990))",
    "event.data.huge.size() > 0",
    "event.data.deep == []",
    "[1,2,3,4,5,6,7,8].all(a, [1,2,3,4,5,6,7,8].all(b, [1,2,3,4,5,6,7,8].all(c, event.data.many == event.data.many)))",
]


@pytest.mark.parametrize("text", BOMBS)
def test_bombs_end_soon(text: str) -> None:
    deep: object = []
    for _ in range(200):
        deep = [deep]
    data = {"many": MANY, "few": ["a" * 200_000], "text": "a" * 262_144, "huge": list(range(300_000)), "deep": deep}
    condition = compile_condition(text)
    started = time.process_time()
    condition.evaluate({"event": {"data": data}})
    assert time.process_time() - started < 0.5


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["a", "b", "c"]), inner, max_size=3),
    max_leaves=12,
)
conditions = st.sampled_from(
    [
        "event.data.a == event.data.b",
        "event.data.a.b.c > 1 || event.data.b < 2.5",
        "event.data.a.exists(x, x == event.data.b)",
        "event.data.a.all(x, x.b.exists(y, y > 1)) && has(event.data.c)",
        "event.data.a[0] in event.data.b",
        "string(event.data.a) == 'x' ? event.data.b : event.data.c",
        "event.data.a.filter(x, x != null).map(x, x).size() > 1",
        "timestamp(event.data.a) > timestamp(event.time)",
        "event.data.a.lowerAscii().matches('a+') || event.a",
        "event.data[inputs.a] == steps.a.b",
        "event == {} || event.data.a == null",
    ]
)


@settings(deadline=None)
@given(conditions, json_values, json_values, st.booleans())
def test_no_json_context_makes_evaluation_raise(text: str, data: object, other: object, whole: bool) -> None:
    context: dict[str, object] = (
        {"event": data, "inputs": other} if whole else {"event": {"data": data}, "steps": other}
    )
    outcome = compile_condition(text).evaluate(context)
    assert outcome.value in (True, False)
    assert outcome.error is None or not outcome.value


def _beyond_64_bits(value: object) -> bool:
    match value:
        case dict():
            return any(map(_beyond_64_bits, value.values()))
        case list():
            return any(map(_beyond_64_bits, value))
        case int():
            return not -(2**63) <= value < 2**63
    return False


@settings(deadline=None)
@given(conditions, json_values, json_values)
def test_cutting_the_context_down_changes_no_outcome(text: str, data: object, other: object) -> None:
    # given the library's own answer over the whole context; it takes no integer beyond 64 bits anywhere, named or not
    whole = {"event": {"data": data, "time": "x"}, "inputs": other, "steps": other}
    assume(not _beyond_64_bits(whole))
    roots = dict.fromkeys(ROOTS, cel.Type.Map(cel.Type.STRING, cel.Type.DYN))
    expression = cel.NewEnv(variables=roots, extensions=[ext_strings.ExtStrings()]).compile(text)
    try:
        expected = expression.eval(data=whole).value()
    except RuntimeError:  # a lone surrogate anywhere, which we see only where it is named
        return
    assert compile_condition(text).evaluate(whole).value is (expected is True)


@settings(deadline=None)
@given(st.text(max_size=40) | st.text("event.data()[]'\"&|!=<>+ 1a{},:?\\", max_size=40))
def test_any_text_compiles_or_is_refused(text: str) -> None:
    try:
        compile_condition(text)
    except InvalidInput as refused:
        assert refused.flaws
        assert all(flaw.detail for flaw in refused.flaws)


@settings(deadline=None)
@given(st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False))
def test_integers_and_doubles_compare_as_numbers(whole: int, double: float) -> None:
    context: dict[str, object] = {"event": {"data": {"w": whole, "d": double}}}
    assert evaluate("event.data.w < event.data.d", context).value == (whole < double)
