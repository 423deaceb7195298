"""The CloudEvents conformance cases of the corpus, against the Kafka codec and the HTTP binding."""

import json
import os
from base64 import b64decode
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from shared.bus.cloudevents_http import parse_http
from shared.bus.cloudevents_json import ParsedEvent, UnreadableEvent
from shared.bus.codec import UndecodableRecord, decode, encode, parse_attributes
from shared.bus.port import Record
from shared.domain.envelope import Event

_ROOT = Path(__file__).resolve().parents[2]
_FILE = Path(os.environ.get("UPSHOT_CORPUS", _ROOT.parent / "shared" / "corpus")) / "cloudevents" / "cases.json"
_CASES: list[dict[str, Any]] = json.loads(_FILE.read_bytes()) if _FILE.exists() else []
# The specification's own example of a batch holds a sentence where base64 should stand.
_PLACEHOLDER_BASE64 = "ce/021"


def cases(*bindings: str) -> list[Any]:
    found = [pytest.param(case, id=case["id"]) for case in _CASES if case["binding"] in bindings]
    return found or [pytest.param(None, marks=pytest.mark.skip(reason="the corpus is not here"))]


def as_text(value: object) -> str:
    """An attribute's canonical string form."""
    return json.dumps(value) if isinstance(value, bool | int) else str(value)


def check_data(case: dict[str, Any], data: bytes | None) -> None:
    if "data_base64" in case:
        assert data == b64decode(case["data_base64"])
    elif "data_json" in case:
        assert data is not None
        text = data.decode()
        assert text == case["data_json"] or json.loads(text) == case["data_json"]


def record(case: dict[str, Any], **more_headers: str) -> Record:
    headers = {**case["headers"], **more_headers}
    body = case["body"]
    return Record(
        topic="t",
        partition=0,
        offset=0,
        recorded_at=datetime(2026, 1, 1, tzinfo=UTC),
        key=case.get("key", "").encode(),
        headers=tuple((name, value.encode()) for name, value in headers.items()),
        value=None if body is None else body.encode(),
    )


@pytest.mark.parametrize("case", cases("kafka"))
def test_kafka_records(case: dict[str, Any]) -> None:
    if not case["valid"]:
        with pytest.raises(UndecodableRecord):
            parse_attributes(record(case))
        return
    attributes, data = parse_attributes(record(case))
    assert attributes == case["attributes"]
    check_data(case, data)


@pytest.mark.parametrize("case", cases("kafka"))
def test_kafka_records_as_events_once_they_name_a_tenant(case: dict[str, Any]) -> None:
    with pytest.raises(UndecodableRecord, match="ce_tenantid"):
        decode(record(case))
    if case["mode"] == "structured":
        body = json.dumps(json.loads(case["body"]) | {"tenantid": "acme"})
        event = decode(record(case | {"body": body}))
    else:
        event = decode(record(case, ce_tenantid="acme"))
    expected = case["attributes"]
    assert (event.id, event.source, event.type, event.subject) == (
        *(expected["id"], expected["source"], expected["type"]),
        expected.get("subject"),
    )
    assert dict(event.attributes).get("partitionkey") == expected.get("partitionkey")
    check_data(case, event.data)


@pytest.mark.parametrize("case", cases("event"))
def test_events_survive_a_record(case: dict[str, Any]) -> None:
    known = {"specversion", "id", "source", "type", "time", "datacontenttype"}
    attributes = case["attributes"]
    event = Event(
        id=attributes["id"],
        source=attributes["source"],
        type=attributes["type"],
        tenant_id="acme",
        content_type=attributes.get("datacontenttype"),
        data=case["data_text"].encode(),
        attributes=tuple((name, value) for name, value in attributes.items() if name not in known),
    )
    assert decode(encode("t", event)) == event


@pytest.mark.parametrize("case", cases("http", "json", "json-batch"))
def test_http_requests(case: dict[str, Any]) -> None:
    parsed: list[ParsedEvent | UnreadableEvent]
    try:
        parsed = list(parse_http(case["headers"], case["body"].encode()))
    except UnreadableEvent as error:
        parsed = [error]
    flawed = [event for event in parsed if isinstance(event, UnreadableEvent)]
    if case["id"] == _PLACEHOLDER_BASE64:
        assert [flaw.pointer for event in flawed for flaw in event.flaws] == ["#/data_base64"]
        assert len(parsed) == len(json.loads(case["body"]))
        return
    assert bool(flawed) != case["valid"]
    for event in flawed:
        assert event.flaws
    if case["valid"] and "attributes" in case:
        (event,) = parsed
        assert isinstance(event, ParsedEvent)
        assert event.attributes == {name: as_text(value) for name, value in case["attributes"].items()}
        check_data(case, event.data)
