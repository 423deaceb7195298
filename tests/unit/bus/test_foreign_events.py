"""What upstream services append themselves: the same event in either mode and over HTTP, refusals that say where, no forgery."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.bus.cloudevents_http import parse_http
from shared.bus.cloudevents_json import ParsedEvent
from shared.bus.codec import UndecodableRecord, decode, encode
from shared.bus.headers import Headers
from shared.bus.port import Record
from shared.bus.published import ATTRIBUTES_BYTES_MAX, CHAIN_MAX, DATA_BYTES_MAX, Publisher, platform_event
from shared.domain import catalogue
from shared.domain.envelope import Event
from shared.domain.ids import published_event_id

AT = datetime(2026, 3, 2, 9, 0, 0, 123000, UTC)
NAMED = {"specversion": "1.0", "id": "o-1", "source": "/shop", "type": "shop.opened", "tenantid": "acme"}
STRUCTURED: Headers = (("content-type", b"application/cloudevents+json"),)
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def foreign(headers: Headers, value: bytes | None, key: bytes = b"") -> Record:
    return Record(
        topic="upshot.events",
        partition=3,
        offset=7,
        recorded_at=AT,
        key=key,
        headers=headers,
        value=value,
        foreign=True,
    )


def binary(attributes: dict[str, str], value: bytes | None = b"{}", content_type: str = "application/json") -> Record:
    headers = [(f"ce_{name}", text.encode()) for name, text in attributes.items()]
    return foreign((("content-type", content_type.encode()), *headers), value)


def structured(attributes: dict[str, str], data: bytes, content_type: str = "application/cloudevents+json") -> Record:
    members = ",".join(f"{json.dumps(name)}:{json.dumps(text)}" for name, text in attributes.items())
    body = b'{%s, "data": %s}' % (members.encode(), data)
    return foreign((("content-type", content_type.encode()),), body)


def pointers(record: Record) -> list[str]:
    with pytest.raises(UndecodableRecord) as caught:
        decode(record)
    assert caught.value.reason
    return [flaw.pointer for flaw in caught.value.flaws]


_PRINTABLE = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Cn"]), min_size=1, max_size=20)
_PATH = st.text("abcXYZ019/:.-_~", max_size=20)
_SOURCE = st.builds("{}{}".format, st.sampled_from(["/a", "urn:", "https://shop.example/", "shop%C3%A9/"]), _PATH)
_SCHEMA = st.builds("{}{}".format, st.sampled_from(["urn:a", "https://schemas.example/%2F"]), _PATH)
_CATALOGUED = frozenset(each.name for each in catalogue.all_types())  # Hypothesis finds them in the code
_VALID = st.fixed_dictionaries(
    {
        "specversion": st.just("1.0"),
        "id": _PRINTABLE,
        "source": _SOURCE,
        "type": _PRINTABLE.filter(lambda text: not text.startswith("upshot.") and text not in _CATALOGUED),
        "tenantid": _PRINTABLE,
    },
    optional={
        "time": st.sampled_from(["2026-01-02T03:04:05Z", "2026-01-02T03:04:05.678+05:45"]),
        "subject": _PRINTABLE,
        "dataschema": _SCHEMA,
        "correlationid": _PRINTABLE,
        "causationid": _PRINTABLE,
        "causalchain": st.sampled_from(["w-1", "w-1,w-2"]),
        "traceparent": st.sampled_from([TRACEPARENT, "none"]),
        "replayid": _PRINTABLE,
        "recordversion": st.sampled_from(["1", "7", "x"]),
        "partitionkey": _PRINTABLE,
        "publishedid": _PRINTABLE,
    },
)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8")),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(st.text(st.characters(codec="utf-8")), each, max_size=3),
    max_leaves=5,
).filter(lambda value: value is not None)


@given(_VALID, _JSON)
def test_binary_mode_structured_mode_and_http_are_one_event(attributes: dict[str, str], value: object) -> None:
    data = json.dumps(value).encode()
    (http,) = parse_http([("content-type", "application/cloudevents+json")], structured(attributes, data).value or b"")
    assert isinstance(http, ParsedEvent)
    publisher = Publisher(tenant_id=attributes["tenantid"], received_at=AT, traceparent=None)

    event = decode(binary(attributes, data))

    assert event == decode(structured(attributes, data)) == platform_event(http.attributes, http.data, publisher)
    assert event.data == data
    assert event.id == published_event_id(attributes["tenantid"], attributes["source"], attributes["id"])
    assert (event.replay_id, event.version) == (None, 1)


@given(_VALID, _JSON)
def test_appended_again_by_upshot_it_is_the_same_event(attributes: dict[str, str], value: object) -> None:
    """Which is how a record in the wrong partition is mended, and a dead letter redriven."""
    event = decode(binary(attributes, json.dumps(value).encode()))
    again = encode("upshot.events", event)
    read = Record(
        topic="upshot.events",
        partition=0,
        offset=9,
        recorded_at=datetime(2027, 1, 1, tzinfo=UTC),
        key=again.key,
        headers=again.headers,
        value=again.value,
    )
    assert decode(read) == event


@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                ["content-type", "Content-Type", *(f"ce_{name}" for name in NAMED), "ce_time", "x", "CE_ID"]
            )
            | st.text(max_size=8),
            st.binary(max_size=12) | st.sampled_from([b"1.0", b"application/cloudevents+json", b"/s", b"t"]),
        ),
        max_size=12,
    ),
    st.none() | st.binary(max_size=40) | st.sampled_from([b"{}", b'{"specversion":"1.0","id":"1"}']),
)
def test_whatever_is_appended_is_an_event_or_undecodable(headers: list[tuple[str, bytes]], value: bytes | None) -> None:
    try:
        event = decode(foreign(tuple(headers), value))
    except UndecodableRecord as error:
        assert error.reason
    else:
        assert event.tenant_id
        assert encode("upshot.events", event)


def test_the_time_of_an_event_without_one_is_when_the_broker_took_it() -> None:
    assert decode(binary(NAMED)).time == AT


@pytest.mark.parametrize(
    "content_type", ["Application/JSON", "application/json; charset=UTF-8", "application/vnd.x+json", "text/JSON"]
)
def test_content_types_in_any_case(content_type: str) -> None:
    assert decode(binary(NAMED, b'{"a":1}', content_type)).content_type == "application/json"


@pytest.mark.parametrize(
    "content_type",
    [
        "APPLICATION/CLOUDEVENTS+JSON",
        "application/cloudevents+json; charset=UTF-8",
        'application/cloudevents+json;charset="utf-8"',
    ],
)
def test_structured_mode_in_any_case(content_type: str) -> None:
    assert decode(structured(NAMED, b'{"a": 1.10}', content_type)).data == b'{"a": 1.10}'


def test_names_of_headers_in_any_case_and_headers_of_other_tools() -> None:
    headers = [(f"CE_{name.upper()}", text.encode()) for name, text in NAMED.items()]
    event = decode(foreign((("Content-Type", b"application/json"), ("traceparent", b"\xff"), *headers), b"[1]"))
    assert (event.id, event.data) == (published_event_id("acme", "/shop", "o-1"), b"[1]")
    assert event.attributes == (("publishedid", "o-1"),)


def test_only_what_is_needed() -> None:
    event = decode(foreign(tuple((f"ce_{name}", text.encode()) for name, text in NAMED.items()), None))
    assert (event.data, event.content_type, event.subject) == (None, None, None)


_BODY = b'{"specversion":"1.0","id":"1","source":"/s","type":"t","tenantid":"acme"%s}'


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (foreign((), None), ["#"]),
        (foreign((), b"hello"), ["#"]),
        (foreign((("x-hop", b"1"),), b"{}"), ["#"]),
        (foreign(STRUCTURED, None), ["#"]),
        (foreign(STRUCTURED, b"{"), ["#"]),
        (foreign(STRUCTURED, _BODY % b',"id":"2"'), ["#/id"]),
        (foreign(STRUCTURED, _BODY % b',"data":{"a":1,"a":2}'), ["#/data"]),
        (foreign((("content-type", b"application/cloudevents-batch+json"),), b"[]"), ["#"]),
        (foreign((("content-type", b"application/cloudevents+avro"),), b"x"), ["#"]),
        (foreign((("content-type", b"application/cloudevents+json; charset=latin1"),), _BODY % b""), ["#"]),
        (foreign((("content-type", b"\xff"),), b"{}"), ["#/datacontenttype"]),
        (binary({name: text for name, text in NAMED.items() if name != "tenantid"}), ["#/tenantid"]),
        (binary({"specversion": "1.0", "tenantid": "acme"}), ["#/id", "#/source", "#/type"]),
        (binary({**NAMED, "specversion": "0.3"}), ["#/specversion"]),
        (binary({**NAMED, "source": "a b"}), ["#/source"]),
        (binary({**NAMED, "subject": ""}), ["#/subject"]),
        (binary({**NAMED, "id": "a\x00b"}), ["#/id"]),
        (binary({**NAMED, "time": "yesterday"}), ["#/time"]),
        (binary(NAMED, b"{"), ["#/data"]),
        (binary(NAMED, b'{"a":1,"a":2}'), ["#/data"]),
        (binary(NAMED, b'"\xff"'), ["#/data"]),
        (binary(NAMED, b"<a/>", "application/xml"), ["#/datacontenttype"]),
        (binary(NAMED, b"{}", "application/jsonl"), ["#/datacontenttype"]),
        (binary(NAMED, b'"%s"' % (b"x" * DATA_BYTES_MAX)), ["#/data"]),
        (binary({**NAMED, "subject": "é" * (ATTRIBUTES_BYTES_MAX // 2)}), ["#"]),
        (binary({**NAMED, "causalchain": "w-1,,w-2"}), ["#/causalchain"]),
        (binary({**NAMED, "causalchain": ",".join(["w"] * (CHAIN_MAX + 1))}), ["#/causalchain"]),
        (foreign((*binary(NAMED).headers, ("ce_id", b"o-2")), b"{}"), ["#/id"]),
        (foreign((*binary(NAMED).headers, ("ce_subject", b"\xc0\xa0")), b"{}"), ["#/subject"]),
        (foreign((*binary(NAMED).headers, ("ce_my-own", b"x")), b"{}"), ["#/my-own"]),
        (
            binary(
                {**NAMED, "type": "order.refunded"},
                b'{"order_id":"1","refund_id":"2","amount_minor":"3","currency":"eur"}',
            ),
            ["#/data/amount_minor", "#/data/currency"],
        ),
        (binary({**NAMED, "type": "order.refunded"}, None), ["#/data"]),
    ],
)
def test_what_cannot_be_understood_says_where(record: Record, expected: list[str]) -> None:
    assert sorted(pointers(record)) == expected


@pytest.mark.parametrize(
    ("forged", "expected"),
    [
        ({"source": "/upshot/matcher"}, ["#/source"]),
        ({"source": "/upshot/sources/shop"}, ["#/source"]),
        ({"type": "upshot.schedule.fired"}, ["#/data", "#/type"]),
    ],
)
def test_the_platforms_own_names_cannot_be_used(forged: dict[str, str], expected: list[str]) -> None:
    found = pointers(binary({**NAMED, **forged}, b'"x"'))
    assert sorted(set(found)) == expected


def test_another_events_id_cannot_be_taken() -> None:
    own = Event(id="5b8f1f0e-2f0f-5d2a-9a57-0d3b1a3d6c11", source="/shop", type="t", tenant_id="acme", data=None)
    posing = decode(foreign(encode("upshot.events", own).headers, None))
    assert posing.id == published_event_id("acme", "/shop", own.id) != own.id


@pytest.mark.parametrize(
    ("attributes", "pointer"),
    [
        ({"id": "1\uffff"}, "#/id"),
        ({"subject": "\ufdd0"}, "#/subject"),
        ({"region": "\U0010fffe"}, "#/region"),
        ({"region": "\x85"}, "#/region"),
        ({"\u212aey": "x"}, "#/\u212aey"),
    ],
)
def test_what_cloudevents_has_no_place_for_is_refused(attributes: dict[str, str], pointer: str) -> None:
    assert pointers(binary(NAMED | attributes)) == [pointer]


def test_an_extension_may_be_empty_and_hold_any_character() -> None:
    told = {
        "region": "",
        "note": "\u00a0\u200b\ue000 \U0001f600",
        "correlationid": "",
        "causationid": "",
        "causalchain": "",
    }
    event = decode(binary(NAMED | told))
    assert event == decode(structured(NAMED | told, b"{}"))
    assert dict(event.attributes) == {"publishedid": "o-1", "region": "", "note": told["note"]}
    assert (event.correlation_id, event.causation_id, event.causal_chain) == (event.id, "o-1", ())


def test_a_chain_may_have_spaces_between() -> None:
    assert decode(binary(NAMED | {"causalchain": "w-1, w-2 "})).causal_chain == ("w-1", "w-2")
    assert pointers(binary(NAMED | {"causalchain": "w-1, "})) == ["#/causalchain"]


@pytest.mark.parametrize("more", ["-extra", "-", "0"])
def test_a_trace_context_of_version_0_that_goes_on_is_none(more: str) -> None:
    assert decode(binary(NAMED | {"traceparent": TRACEPARENT + more})).traceparent is None
    later = "01" + TRACEPARENT[2:]
    assert decode(binary(NAMED | {"traceparent": later + "-extra"})).traceparent == later + "-extra"


def test_a_content_type_stands_once_and_is_not_empty() -> None:
    headers = tuple((f"ce_{name}", text.encode()) for name, text in NAMED.items())
    one, other = ("content-type", b"application/json"), ("Content-Type", b"text/plain")
    assert pointers(foreign((*headers, other, one), b"{}")) == ["#/datacontenttype"]
    assert pointers(foreign((*headers, ("content-type", b"")), b"{}")) == ["#/datacontenttype"]
    assert decode(foreign((*headers, one, one), b"{}")) == decode(foreign(headers, b"{}"))
