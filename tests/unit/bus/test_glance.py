"""Looking at an event's headers comes to what decoding it would."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.bus.codec import decode, encode
from shared.bus.glance import attributes_seen, glance
from shared.bus.headers import Headers
from shared.bus.port import Record
from shared.domain.envelope import Event
from shared.workflows.context import attributes_view

TEXT = st.text(min_size=1, max_size=10)
MAYBE = st.none() | TEXT
VISIBLE = ("id", "source", "type", "tenantid", "subject", "correlationid", "causationid", "replayid")
NAMES = (
    *VISIBLE,
    "time",
    "specversion",
    "dataschema",
    "traceparent",
    "causalchain",
    "data",
    "extension",
    "datacontenttype",
)

EVENTS = st.builds(
    Event,
    id=TEXT,
    source=TEXT,
    type=TEXT,
    tenant_id=TEXT,
    data=st.none() | st.just(b'{"a":1}'),
    time=st.none() | st.datetimes(min_value=datetime(1000, 1, 1), timezones=st.just(UTC)),
    subject=MAYBE,
    correlation_id=MAYBE,
    causation_id=MAYBE,
    traceparent=MAYBE,
    replay_id=MAYBE,
    dataschema=MAYBE,
    attributes=st.just((("extension", "of others"),)),
)


def read(headers: Headers, value: bytes | None = b"{}", *, foreign: bool = False) -> Record:
    return Record(
        topic="upshot.events",
        partition=0,
        offset=0,
        recorded_at=datetime(2026, 1, 1, tzinfo=UTC),
        key=b"",
        headers=headers,
        value=value,
        foreign=foreign,
    )


@given(EVENTS, st.sets(st.sampled_from(NAMES)))
def test_what_is_seen_at_a_glance_is_what_decoding_shows(event: Event, names: set[str]) -> None:
    new = encode("upshot.events", event)
    record = read(new.headers, new.value)
    headers = glance(record)
    assert headers is not None
    seen = attributes_seen(headers, names)
    if seen is None:
        assert names & {"time", "specversion"}
    else:
        view = attributes_view(decode(record), event.tenant_id)
        assert seen == {name: value for name, value in view.items() if name in names}


@pytest.mark.parametrize(
    "changed",
    [
        ("ce_specversion", b"0.3"),
        ("ce_id", b""),
        ("ce_tenantid", b""),
        ("content-type", b"application/cloudevents+json"),
        ("content-type", b"text/plain"),
        ("ce_recordversion", b"2"),
    ],
)
def test_what_takes_decoding_is_not_glanced_at(changed: tuple[str, bytes]) -> None:
    event = Event(id="1", source="/s", type="t", tenant_id="acme", data=b"{}")
    headers = tuple(each for each in encode("upshot.events", event).headers if each[0] != changed[0])
    assert glance(read((*headers, changed))) is None


def test_what_others_wrote_takes_decoding() -> None:
    event = Event(id="1", source="/s", type="t", tenant_id="acme", data=b"{}")
    new = encode("upshot.events", event)
    assert glance(read(new.headers)) is not None
    assert glance(read(new.headers, foreign=True)) is None
