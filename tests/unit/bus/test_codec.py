"""The record form of an event: golden bytes for every version written, a round trip for what the domain can hold."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.bus.codec import UndecodableRecord, decode, encode, parse_attributes, recorded_at
from shared.bus.headers import Headers
from shared.bus.port import NewRecord, Record
from shared.domain.envelope import Event

FULL = Event(
    id="5b8f1f0e-2f0f-5d2a-9a57-0d3b1a3d6c11",
    source="https://shop.example/orders",
    type="order.refunded",
    tenant_id="acme",
    data=b'{"amount_minor":10001,"currency":"EUR"}',
    time=datetime(2026, 1, 2, 3, 4, 5, 678900, UTC),
    subject="order-42",
    correlation_id="c-1",
    causation_id="c-0",
    causal_chain=("wf-a", "wf-b"),
    traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    replay_id="r-7",
    version=3,
    content_type="application/json",
    dataschema="https://schemas.example/order.refunded/3",
    attributes=(("partitionkey", "acme"), ("shop", "Zürich €")),
)
FULL_HEADERS: Headers = (
    ("content-type", b"application/json"),
    ("ce_specversion", b"1.0"),
    ("ce_id", b"5b8f1f0e-2f0f-5d2a-9a57-0d3b1a3d6c11"),
    ("ce_source", b"https://shop.example/orders"),
    ("ce_type", b"order.refunded"),
    ("ce_tenantid", b"acme"),
    ("ce_time", b"2026-01-02T03:04:05.678900Z"),
    ("ce_subject", b"order-42"),
    ("ce_dataschema", b"https://schemas.example/order.refunded/3"),
    ("ce_correlationid", b"c-1"),
    ("ce_causationid", b"c-0"),
    ("ce_causalchain", b"wf-a,wf-b"),
    ("ce_traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
    ("ce_replayid", b"r-7"),
    ("ce_recordversion", b"3"),
    ("ce_partitionkey", b"acme"),
    ("ce_shop", b"Z\xc3\xbcrich \xe2\x82\xac"),
)
SMALL = Event(id="1", source="/s", type="t", tenant_id="acme", data=None, content_type=None)
SMALL_HEADERS: Headers = (
    ("ce_specversion", b"1.0"),
    ("ce_id", b"1"),
    ("ce_source", b"/s"),
    ("ce_type", b"t"),
    ("ce_tenantid", b"acme"),
)


def record(headers: Headers, value: bytes | None = b"{}") -> Record:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return Record(topic="t", partition=0, offset=0, recorded_at=at, key=b"acme", headers=headers, value=value)


@pytest.mark.parametrize(("event", "headers"), [(FULL, FULL_HEADERS), (SMALL, SMALL_HEADERS)])
def test_golden_bytes(event: Event, headers: Headers) -> None:
    assert encode("upshot.events", event) == NewRecord(
        topic="upshot.events", key=b"acme", headers=headers, value=event.data
    )
    assert decode(record(headers, event.data)) == event


def test_structured_mode_of_a_foreign_writer_keeps_every_digit_of_the_data() -> None:
    body = (
        b'{"specversion":"1.0","id":"1","source":"/s","type":"t","tenantid":"acme","flag":true,'
        b'"count":-7,"subject":null,"data": {"n": 0.12345678901234567890, "e": 3.0e2} }'
    )
    event = decode(record((("content-type", b"Application/CloudEvents+JSON; charset=UTF-8"),), body))
    assert event == Event(
        id="1",
        source="/s",
        type="t",
        tenant_id="acme",
        data=b'{"n": 0.12345678901234567890, "e": 3.0e2}',
        content_type=None,
        attributes=(("flag", "true"), ("count", "-7")),
    )


_TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
_OPTIONAL = st.none() | _TEXT
_RESERVED = {"specversion", "id", "source", "type", "time", "subject", "dataschema", "datacontenttype", "tenantid"} | {
    *("data", "correlationid", "causationid", "causalchain", "traceparent", "replayid", "recordversion")
}
_NAMES = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=20).filter(lambda n: n not in _RESERVED)
_EVENTS = st.builds(
    Event,
    id=_TEXT,
    source=_TEXT,
    type=_TEXT,
    tenant_id=_TEXT,
    data=st.none() | st.binary(max_size=50),
    time=st.none()
    | st.datetimes(
        min_value=datetime(2, 1, 1),
        max_value=datetime(9998, 12, 31),
        timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=45))]),
    ),
    subject=_OPTIONAL,
    correlation_id=_OPTIONAL,
    causation_id=_OPTIONAL,
    causal_chain=st.lists(_TEXT.filter(lambda t: "," not in t), max_size=3).map(tuple),
    traceparent=_OPTIONAL,
    replay_id=_OPTIONAL,
    version=st.integers(1, 999_999_999),
    content_type=st.none() | st.sampled_from(["application/json", "text/plain; charset=utf-8"]),
    dataschema=_OPTIONAL,
    attributes=st.dictionaries(_NAMES, st.text(st.characters(codec="utf-8"), max_size=20), max_size=3).map(
        lambda found: tuple(found.items())
    ),
)


@given(_EVENTS)
def test_decode_undoes_encode(event: Event) -> None:
    assert decode(encode("t", event)) == event


@given(st.lists(st.tuples(st.sampled_from([name for name, _ in FULL_HEADERS]), st.binary(max_size=12)), max_size=12))
def test_whatever_stands_in_the_headers_is_an_event_or_undecodable(headers: list[tuple[str, bytes]]) -> None:
    try:
        event = decode(record((*SMALL_HEADERS, *headers)))
    except UndecodableRecord as error:
        assert error.reason
    else:
        assert event.id
        assert event.tenant_id


def _without(name: str) -> Headers:
    return tuple(header for header in SMALL_HEADERS if header[0] != name)


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ((), "no ce_specversion"),
        ((*_without("ce_specversion"), ("ce_specversion", b"2.0")), "not 1.0"),
        (_without("ce_id"), "no ce_id"),
        (_without("ce_source"), "no ce_source"),
        (_without("ce_type"), "no ce_type"),
        (_without("ce_tenantid"), "no ce_tenantid"),
        ((*SMALL_HEADERS, ("ce_id", b"")), "no ce_id"),
        ((*SMALL_HEADERS, ("ce_subject", b"\xc0\xa0")), "UTF-8"),
        ((*SMALL_HEADERS, ("ce_time", b"yesterday")), "ce_time"),
        ((*SMALL_HEADERS, ("ce_time", b"2026-01-02")), "ce_time"),
        ((*SMALL_HEADERS, ("ce_recordversion", b"0")), "ce_recordversion"),
        ((*SMALL_HEADERS, ("ce_recordversion", b"two")), "ce_recordversion"),
        ((*SMALL_HEADERS, ("ce_Shop", b"x")), "Shop"),
        ((("content-type", b"application/cloudevents+json"),), "no ce_specversion"),
    ],
)
def test_what_nobody_can_understand_says_why(headers: Headers, reason: str) -> None:
    with pytest.raises(UndecodableRecord, match=reason):
        decode(record(headers))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"[]", "object"),
        (b'{"id"', "not JSON"),
        (b'{"specversion":"1.0","id":"1","id":"2","source":"/s","type":"t","tenantid":"acme"}', "twice"),
        (b'{"specversion":"1.0","id":"1","source":"/s","type":"t","tenantid":7}', "tenantid"),
        (b'{"specversion":"1.0","id":"1","source":"/s","type":"t","tenantid":"a","n":2147483648}', "32-bit"),
        (b'{"specversion":"1.0","id":"1","source":"/s","type":"t","tenantid":"a","data":{"a":1,"a":2}}', "twice"),
    ],
)
def test_structured_mode_that_is_no_event_says_why(body: bytes, reason: str) -> None:
    with pytest.raises(UndecodableRecord, match=reason):
        decode(record((("content-type", b"application/cloudevents+json"),), body))


@pytest.mark.parametrize("field", ["id", "source", "type", "tenant_id"])
def test_what_every_event_must_name_is_never_written_empty(field: str) -> None:
    values = {"id": "1", "source": "/s", "type": "t", "tenant_id": "acme", field: ""}
    with pytest.raises(ValueError, match="must not be empty"):
        encode("t", Event(data=None, **values))


@pytest.mark.parametrize("name", ["tenantid", "id", "data", "Shop", "my_ext", "", "ünï"])
def test_an_extension_cannot_pose_as_another_attribute(name: str) -> None:
    with pytest.raises(ValueError, match="cannot name"):
        encode("t", Event(id="1", source="/s", type="t", tenant_id="acme", data=None, attributes=((name, "x"),)))


def test_a_copied_log_keeps_the_time_of_the_first_append() -> None:
    copied = record((*SMALL_HEADERS, ("recordedtime", b"2020-01-01T00:00:00Z")))
    assert recorded_at(copied) == datetime(2020, 1, 1, tzinfo=UTC)
    assert recorded_at(record(SMALL_HEADERS)) == datetime(2026, 1, 1, tzinfo=UTC)
    assert decode(copied).attributes == ()


def test_an_event_cannot_set_its_own_recorded_time() -> None:
    own = Event(id="1", source="/s", type="t", tenant_id="a", data=None, attributes=(("recordedtime", "2020"),))
    new = encode("t", own)
    assert recorded_at(record(new.headers)) == datetime(2026, 1, 1, tzinfo=UTC)
    assert decode(new) == own


def test_foreign_headers_are_not_attributes() -> None:
    event = decode(record((*SMALL_HEADERS, ("x-hop", b"\xff"), ("ce_shop", b"z"))))
    assert event.attributes == (("shop", "z"),)
    assert parse_attributes(record((*SMALL_HEADERS, ("x-hop", b"\xff"))))[0] == {
        "specversion": "1.0",
        "id": "1",
        "source": "/s",
        "type": "t",
        "tenantid": "acme",
    }
