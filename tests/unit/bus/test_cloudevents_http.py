"""CloudEvents over HTTP: what the conformance corpus leaves open."""

import json
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.bus.cloudevents_http import UnknownFormat, parse_http
from shared.bus.cloudevents_json import ParsedEvent, UnreadableEvent, UnreadableText

BINARY = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/s", "ce-type": "t"}
STRUCTURED = {"Content-Type": "application/cloudevents+json"}
BATCH = {"Content-Type": "application/cloudevents-batch+json; charset=utf-8"}


def only(parsed: Iterable[ParsedEvent | UnreadableEvent]) -> ParsedEvent:
    (event,) = parsed
    assert isinstance(event, ParsedEvent), event.flaws
    return event


def pointers(parsed: Iterable[ParsedEvent | UnreadableEvent]) -> list[str]:
    (event,) = parsed
    assert isinstance(event, UnreadableEvent)
    return [flaw.pointer for flaw in event.flaws]


def test_binary_mode_keeps_the_body_to_the_byte() -> None:
    event = only(parse_http([("CE-SpecVersion", "1.0"), *list(BINARY.items())[1:], ("Host", "x")], b' {"a" : 1.10}'))
    assert event.data == b' {"a" : 1.10}'
    assert event.attributes == {"specversion": "1.0", "id": "1", "source": "/s", "type": "t"}


def test_every_flaw_of_an_event_is_told_at_once() -> None:
    headers = {"ce-specversion": "2.0", "ce-id": "", "ce-source": "a b", "ce-time": "yesterday", "ce-x": "a%00b"}
    assert pointers(parse_http(headers, b"")) == ["#/id", "#/type", "#/specversion", "#/x", "#/source", "#/time"]


@pytest.mark.parametrize("source", ["%zz", "http://[::1", ":::", "/s#a#b", "1http://x", "/ü", "a b"])
def test_a_source_is_a_uri_reference(source: str) -> None:
    body = json.dumps({"specversion": "1.0", "id": "1", "source": source, "type": "t"}).encode()
    assert pointers(parse_http(STRUCTURED, body)) == ["#/source"]


@pytest.mark.parametrize("dataschema", ["relative", "//x", "/x", "urn:%"])
def test_a_dataschema_is_a_uri(dataschema: str) -> None:
    body = json.dumps({"specversion": "1.0", "id": "1", "source": "/s", "type": "t", "dataschema": dataschema}).encode()
    assert pointers(parse_http(STRUCTURED, body)) == ["#/dataschema"]


@pytest.mark.parametrize(
    ("headers", "pointer"),
    [
        ([("ce-id", "2")], "#/id"),
        ([("ce-datacontenttype", "text/plain")], "#/datacontenttype"),
        ([("ce-my-ext", "x")], "#/my-ext"),
        ([("ce-data", "x")], "#/data"),
        ([("ce-ext", "%ff")], "#/ext"),
        ([("ce-ext", "\udcff")], "#/ext"),
    ],
)
def test_headers_out_of_place(headers: list[tuple[str, str]], pointer: str) -> None:
    assert pointers(parse_http([*BINARY.items(), *headers], b"{}")) == [pointer]


def test_a_content_type_that_is_no_utf_8_is_a_flaw_of_the_event() -> None:
    assert pointers(parse_http({**BINARY, "Content-Type": "\udcff/;;"}, b"{}")) == ["#/datacontenttype"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "application/json"},
        {},
        BATCH,
    ],
)
def test_requests_that_are_no_events_at_all_say_what_is_understood(headers: dict[str, str]) -> None:
    with pytest.raises(UnreadableEvent) as raised:
        parse_http(headers, b'{"id": "1"}')
    assert [flaw.pointer for flaw in raised.value.flaws] == ["#"]


@pytest.mark.parametrize(
    "content_type",
    [
        *("application/cloudevents", "application/cloudevents+xml", "Application/CloudEvents-batch+xml"),
        *("application/cloudevents+avro", "application/cloudevents+json; charset=utf-16"),
        *("application/cloudevents\udcff", "application/cloudevents+json; charset=\udcff"),
    ],
)
def test_a_format_that_is_not_understood_says_which_are(content_type: str) -> None:
    with pytest.raises(
        UnknownFormat, match=r"application/cloudevents\+json or application/cloudevents-batch\+json in UTF-8"
    ):
        parse_http({**BINARY, "Content-Type": content_type}, b"{}")


def test_each_event_of_a_batch_is_judged_by_itself_and_keeps_its_digits() -> None:
    body = b"""[ {"specversion":"1.0","id":"1","source":"/s","type":"t","data":{"n":0.10000000000000000000000001}},
        {"specversion":"1.0","id":"2","source":"/s"}, 7,
        {"specversion":"1.0","id":"4","source":"/s","type":"t","data":{"a":1,"a":2}},
        {"specversion":"1.0","id":"5","source":"/s","type":"t","data":null},
        {"specversion":"1.0","id":"6","source":"/s","type":"t","datacontenttype":"text/plain","data":"a\\u00e9"},
        {"specversion":"1.0","id":"7","source":"/s","type":"t","datacontenttype":"text/plain","data":[1]},
        {"specversion":"1.0","id":"8","source":"/s","type":"t","datacontenttype":"a/b+JSON; v=1","data":"x"}]"""
    parsed = parse_http(BATCH, body)
    assert [event.data if isinstance(event, ParsedEvent) else event.event_id for event in parsed] == [
        *(b'{"n":0.10000000000000000000000001}', "2", None, "4", b"null", "aé".encode(), "7", b'"x"')
    ]


def _nested(depth: int) -> bytes:
    return b'{"specversion":"1.0","id":"1","source":"/s","type":"t","data":' + b"[" * depth + b"]" * depth + b"}"


def test_nesting_without_end_is_refused_not_fatal() -> None:
    assert pointers(parse_http(STRUCTURED, _nested(1_000))) == ["#/data"]
    with pytest.raises(UnreadableText, match="not JSON"):
        parse_http(STRUCTURED, _nested(100_000))


@pytest.mark.parametrize(
    "body", [b"not json", b"", b" ", b"[1]", b"7", b'"{}"', b"\xef\xbb\xbf{}", b'{"id": "\xff"}', b"{}{}"]
)
def test_a_text_that_is_no_object_is_no_event_at_all(body: bytes) -> None:
    with pytest.raises(UnreadableText) as raised:
        parse_http(STRUCTURED, body)
    assert [flaw.pointer for flaw in raised.value.flaws] == ["#"]


def test_an_object_with_flaws_is_one_event_that_is_refused() -> None:
    assert "#/id" in pointers(parse_http(STRUCTURED, b"{}"))
    assert pointers(parse_http(STRUCTURED, b'{"id": 1}')) == ["#/id"]


@given(st.binary(max_size=60), st.sampled_from([STRUCTURED, BATCH]))
def test_any_body_is_events_or_unreadable(body: bytes, headers: dict[str, str]) -> None:
    try:
        parsed = parse_http(headers, body)
    except UnreadableEvent as error:
        assert error.flaws
    else:
        assert all(isinstance(event, ParsedEvent | UnreadableEvent) for event in parsed)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(_JSON, st.sampled_from([None, 0, 2]))
def test_data_comes_back_as_the_bytes_that_were_sent(data: object, indent: int | None) -> None:
    text = json.dumps(data, ensure_ascii=False, indent=indent)
    body = '{"specversion":"1.0","id":"1","source":"/s","data" :\n' + text + ' ,"type":"t"}'
    try:
        encoded = body.encode()
    except UnicodeEncodeError:  # a lone surrogate cannot be sent
        return
    assert only(parse_http(STRUCTURED, encoded)).data == text.encode()
