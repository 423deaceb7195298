"""Each filter: what it makes of what, and what it refuses."""

import hashlib
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.expressions import TemplateError, compile_template
from shared.expressions.filters import FILTERS

CONTEXT: dict[str, object] = {
    "event": {
        "items": [{"sku": "b", "n": 2}, {"sku": "a", "n": 10}, {"sku": "c", "n": None}],
        "flags": [{"on": True, "id": 1}, {"on": False, "id": 2}, {"on": 1, "id": 3}, {"id": 4}],
        "numbers": [3, 1, 2.5],
        "names": ["b", "B", "a"],
        "mixed": [1, "a"],
        "holes": [1, None, 2],
        "same": [1, 1.0, True, "1", {"a": 1, "b": 2}, {"b": 2, "a": 1}],
        "at": "2024-03-01T10:05:09.123Z",
        "seconds": 1709287509,
        "amount": 12345,
        "text": "Hello, wörld",
        "nothing": None,
        "object": {"b": 1},
    }
}


def value_of(expression: str) -> object:
    return compile_template("{{ " + expression + " }}").render(CONTEXT)


CASES: list[tuple[str, object]] = [
    ("event.text | upcase", "HELLO, WÖRLD"),
    ("event.text | downcase", "hello, wörld"),
    ("'aBC' | capitalize", "Abc"),
    ("' x ' | strip", "x"),
    ("' x ' | lstrip", "x "),
    ("' x ' | rstrip", " x"),
    ("event.text | strip_newlines", "Hello, wörld"),
    ("'a' | append: 'b' | prepend: 3", "3ab"),
    ("'aaa' | replace: 'a', 'b'", "bbb"),
    ("'aaa' | replace_first: 'a', 'b'", "baa"),
    ("'abab' | remove: 'a'", "bb"),
    ("'abab' | remove_first: 'a'", "bab"),
    ("'a,b,,c' | split: ','", ["a", "b", "", "c"]),
    ("'abc' | split: ''", ["a", "b", "c"]),
    ("'' | split: ','", []),
    ("event.names | join: '-'", "b-B-a"),
    ("event.holes | join: ','", "1,,2"),
    ("event.names | first", "b"),
    ("event.names | last", "a"),
    ("event.text | size", 12),
    ("event.names | size", 3),
    ("event.object | size", 1),
    ("event.text | slice: 0, 5", "Hello"),
    ("event.text | slice: -5, 5", "wörld"),
    ("event.names | slice: 1", ["B"]),
    ("event.text | truncate: 8", "Hello..."),
    ("event.text | truncate: 8, ''", "Hello, w"),
    ("event.text | truncate", "Hello, wörld"),
    ("'one two three' | truncatewords: 2", "one two..."),
    ("'<a href=\"x\">' | escape", "&lt;a href=&quot;x&quot;&gt;"),
    ("'a b&ö' | url_encode", "a+b%26%C3%B6"),
    ("'a+b%26%C3%B6' | url_decode", "a b&ö"),
    ("'ö' | base64_encode", "w7Y="),
    ("'w7Y=' | base64_decode", "ö"),
    ("'x' | sha256", hashlib.sha256(b"x").hexdigest()),
    ("event.missing | default: 'd'", "d"),
    ("false | default: 'd'", "d"),
    ("false | default: 'd', allow_false: true", False),
    ("0 | default: 'd'", 0),
    ("1 | plus: 2", 3),
    ("'1' | plus: '2.5'", 3.5),
    ("0.1 | plus: 0.2", 0.3),
    ("1 | minus: 3", -2),
    ("3 | times: 0.1", 0.3),
    ("123456789012345 | times: 123456789012345", 123456789012345**2),
    ("7 | divided_by: 2", 3),
    ("-7 | divided_by: 2", -4),
    ("7 | divided_by: 2.0", 3.5),
    ("7 | modulo: 3", 1),
    ("-7 | modulo: 3", 2),
    ("7.5 | modulo: 2", 1.5),
    ("2.5 | round", 3),
    ("-2.5 | round", -3),
    ("2.345 | round: 2", 2.35),
    ("2 | round: 2", 2),
    ("2.1 | ceil", 3),
    ("2.9 | floor", 2),
    ("-3 | abs", 3),
    ("3 | at_least: 5", 5),
    ("3 | at_most: 1", 1),
    ("event.amount | money: 'eur'", "123.45 EUR"),
    ("5 | money: 'EUR'", "0.05 EUR"),
    ("-5 | money: 'EUR'", "-0.05 EUR"),
    ("0 | money: 'USD'", "0.00 USD"),
    ("event.amount | money: 'JPY'", "12345 JPY"),
    ("event.amount | money: 'KWD'", "12.345 KWD"),
    ("event.at | date", "2024-03-01"),
    ("event.at | date: '%d.%m.%Y %H:%M:%S.%L'", "01.03.2024 10:05:09.123"),
    (
        "event.at | date: '%-d %B %y, %-I:%M %P (%A, week %V, day %j)'",
        "1 March 24, 10:05 am (Friday, week 09, day 061)",
    ),
    ("event.at | date: '%R %Z', 'America/New_York'", "05:05 EST"),
    ("event.at | date: '%F %T %z', 'Asia/Kolkata'", "2024-03-01 15:35:09 +0530"),
    ("event.seconds | date: '%F %T'", "2024-03-01 10:05:09"),
    ("event.at | date: '%s%%'", "1709287509%"),
    ("'2024-03-01' | date: '%e|%a|%b|%u|%w|%G|%p|%I|%Y|%m'", " 1|Fri|Mar|5|5|2024|AM|12|2024|03"),
    ("event.items | map: 'sku'", ["b", "a", "c"]),
    ("event.items | map: 'n'", [2, 10, None]),
    ("event.flags | where: 'on' | map: 'id'", [1, 3]),
    ("event.flags | where: 'on', true | map: 'id'", [1]),
    ("event.items | sort: 'n' | map: 'sku'", ["b", "a", "c"]),
    ("event.numbers | sort", [1, 2.5, 3]),
    ("event.names | sort", ["B", "a", "b"]),
    ("event.names | reverse", ["a", "B", "b"]),
    ("event.names | concat: event.numbers", ["b", "B", "a", 3, 1, 2.5]),
    ("event.holes | compact", [1, 2]),
    ("event.same | uniq", [1, 1.0, True, "1", {"a": 1, "b": 2}]),
    ("event.items | uniq: 'missing' | size", 1),
    ("event.numbers | sum", 6.5),
    ("event.items | sum: 'n'", 12),
    ("event.items | json", '[{"sku":"b","n":2},{"sku":"a","n":10},{"sku":"c","n":null}]'),
    ("event.text | json", '"Hello, wörld"'),
    ("(1..3) | reverse", [3, 2, 1]),
]


@pytest.mark.parametrize(("expression", "value"), CASES)
def test_makes(expression: str, value: object) -> None:
    made = value_of(expression)
    assert made == value
    assert type(made) is type(value)


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("event.text | plus: 1", "plus takes numbers, not text"),
        ("true | plus: 1", "plus takes numbers, not true or false"),
        ("event.object | times: 1", "times takes numbers, not an object"),
        ("1 | divided_by: 0", "division by zero"),
        ("1 | modulo: 0", "division by zero"),
        ("'nan' | plus: 1", "not finite"),
        ("'1e400' | plus: 1", "not finite"),
        ("1 | round: 99", "0 to 15 digits"),
        ("'x' | slice: 0.5", "a whole number"),
        ("event.text | first", "first takes a list, not text"),
        ("event.object | join", "join takes a list, not an object"),
        ("'' | split: ',' | first", "the list is empty"),
        ("event.mixed | sort", "numbers only or texts only"),
        ("event.numbers | map: 'x'", "takes a list of objects, not of a number"),
        ("event.mixed | sum", "sum takes numbers, not text"),
        ("1.5 | money: 'EUR'", "a whole number of minor units"),
        ("1 | money: 'euro'", "an ISO 4217 currency"),
        ("event.text | date", "an ISO 8601 instant"),
        ("event.at | date: '%F', '../etc/passwd'", "an IANA time zone"),
        ("event.at | date: '%F', 'Mars/Olympus'", "an IANA time zone"),
        ("event.at | date: '%Q'", "%Q is not a directive"),
        ("99999999999999 | date", "an ISO 8601 instant"),
        ("'***' | base64_decode", "the base64 of UTF-8 text"),
        ("event.nothing | json", "is null"),
    ],
)
def test_refuses(expression: str, said: str) -> None:
    with pytest.raises(TemplateError) as failed:
        value_of(expression)
    assert said in failed.value.detail


def test_every_filter_has_a_case() -> None:
    used = {name for expression, _ in CASES for name in FILTERS if f"| {name}" in expression}
    assert used == set(FILTERS)


@settings(deadline=None)
@given(st.integers(-(10**14), 10**14), st.sampled_from(["EUR", "JPY", "KWD", "CLF"]))
def test_money_loses_no_minor_unit(amount: int, currency: str) -> None:
    digits = {"EUR": 2, "JPY": 0, "KWD": 3, "CLF": 4}[currency]
    text = compile_template("{{ inputs.a | money: inputs.c }}").render({"inputs": {"a": amount, "c": currency}})
    assert isinstance(text, str)
    figures, code = text.split(" ")
    assert (Decimal(figures).scaleb(digits), code) == (Decimal(amount), currency)


@settings(deadline=None)
@given(st.lists(st.integers() | st.floats(-1e6, 1e6), max_size=20))
def test_sort_sorts(numbers: list[float]) -> None:
    assert compile_template("{{ inputs.n | sort }}").render({"inputs": {"n": numbers}}) == sorted(numbers)
