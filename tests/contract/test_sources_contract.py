"""Every source that discovery finds, with every sample of it: what the port promises, proved.

A new vendor needs a folder with samples and a signer in `shared/testing/vendor_signing.py`; nothing here.
"""

import json
import re
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qsl

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.ingest.sources import Delivery, Headers, Refused, Verified, discover
from services.ingest.sources.configure import configure
from shared.domain import catalogue
from shared.domain.json_text import read_json, with_member
from shared.testing.examples import examples
from shared.testing.vendor_signing import sign_delivery

NOW = 1_767_225_600
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER_SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
TYPE = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
TIMESTAMPED = {"slack", "stripe", "standardwebhooks"}
REFUSES_FUTURE = {"slack", "standardwebhooks"}


@dataclass(frozen=True)
class Sample:
    vendor: str
    file: str
    document: dict[str, Any]

    @property
    def body(self) -> bytes:
        if "body" in self.document:
            return str(self.document["body"]).encode()
        return json.dumps(self.document["payload"], ensure_ascii=False, separators=(",", ":")).encode()

    @property
    def settings(self) -> Any:
        return configure(
            self.vendor,
            source_name=self.source_name,
            settings=self.document.get("settings", {}),
            secrets=[SECRET],
            allow_unsigned=False,
        )

    @property
    def source_name(self) -> str:
        return str(self.document.get("source_name", self.vendor))

    def delivered(self, *, secret: str = SECRET, now: int = NOW, delivery_id: str = "msg_sample_1") -> Delivery:
        headers = self.document["headers"]
        event = next((value for name, value in headers.items() if name.lower().endswith(("-event", "-topic"))), None)
        signed = sign_delivery(self.vendor, secret, self.body, now, delivery_id, event)
        return Delivery(
            body=self.body,
            headers=Headers.of({**signed, **headers}.items()),
            received_at=NOW + 0.25,
            source_name=self.source_name,
        )


def _samples() -> list[Sample]:
    return [
        Sample(vendor, file.name, json.loads(file.read_text(encoding="utf-8")))
        for vendor in sorted(discover())
        for file in sorted(
            files(f"services.ingest.sources.{vendor}").joinpath("samples").iterdir(), key=lambda f: f.name
        )
    ]


SAMPLES = _samples()
each_sample = pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: f"{sample.vendor}/{sample.file}")
each_vendor = pytest.mark.parametrize("vendor", sorted(discover()))


def verdict(sample: Sample, delivery: Delivery, *secrets: str) -> Verified | Refused:
    return discover()[sample.vendor].verify(delivery, secrets or (SECRET,), sample.settings)


def payload_of(sample: Sample, delivery: Delivery) -> object:
    return read_json(discover()[sample.vendor].json_text(delivery))


def first_sample(vendor: str) -> Sample:
    return next(sample for sample in SAMPLES if sample.vendor == vendor)


def without_header(delivery: Delivery, name: str) -> Delivery:
    return replace(delivery, headers=Headers.of((k, v) for k, v in delivery.headers.by_name.items() if k != name))


@each_vendor
def test_a_vendor_has_samples_a_title_and_documented_settings(vendor: str) -> None:
    source = discover()[vendor]
    assert any(sample.vendor == vendor for sample in SAMPLES)
    assert source.title
    for field in source.settings_model.model_fields.values():
        assert field.description


@each_sample
def test_what_the_vendor_signed_is_believed(sample: Sample) -> None:
    assert verdict(sample, sample.delivered()) == Verified(secret_index=0)


@each_sample
def test_during_a_rotation_the_older_secret_is_believed_too(sample: Sample) -> None:
    assert verdict(sample, sample.delivered(), OTHER_SECRET, SECRET) == Verified(secret_index=1)


@each_sample
def test_another_secret_or_none_is_refused(sample: Sample) -> None:
    wrong = verdict(sample, sample.delivered(), OTHER_SECRET)
    assert isinstance(wrong, Refused)
    assert wrong.reason == "signature_mismatch"
    for useless in ((), ("",)):
        refused = discover()[sample.vendor].verify(sample.delivered(), useless, sample.settings)
        assert isinstance(refused, Refused)
        assert refused.reason == "no_secret"


@each_sample
def test_an_empty_secret_signs_nothing(sample: Sample) -> None:
    assert isinstance(verdict(sample, sample.delivered(secret=""), "", SECRET), Refused)


@each_sample
@pytest.mark.parametrize("where", ["first", "middle", "last", "appended"])
def test_a_tampered_body_is_refused(sample: Sample, where: str) -> None:
    delivery = sample.delivered()
    body = bytearray(delivery.body)
    if where == "appended":
        body += b" "
    else:
        body[{"first": 0, "middle": len(body) // 2, "last": len(body) - 1}[where]] ^= 1
    refused = verdict(sample, replace(delivery, body=bytes(body)))
    assert isinstance(refused, Refused)
    assert refused.reason == "signature_mismatch"


@each_vendor
def test_a_refusal_tells_no_secret_and_no_signature(vendor: str) -> None:
    sample = first_sample(vendor)
    delivery = sample.delivered()
    refused = verdict(sample, delivery, OTHER_SECRET)
    assert isinstance(refused, Refused)
    assert OTHER_SECRET not in refused.detail
    assert not any(value in refused.detail for value in delivery.headers.by_name.values() if len(value) > 40)


@pytest.mark.parametrize("vendor", sorted(TIMESTAMPED))
@pytest.mark.parametrize(("age", "believed"), [(0, True), (299, True), (300, True), (302, False), (10**6, False)])
def test_an_old_timestamp_is_refused(vendor: str, age: int, believed: bool) -> None:
    sample = first_sample(vendor)
    judged = verdict(sample, replace(sample.delivered(now=NOW - age), received_at=float(NOW)))
    assert isinstance(judged, Verified) is believed
    if isinstance(judged, Refused):
        assert judged.reason == "stale_timestamp"


@pytest.mark.parametrize("vendor", sorted(TIMESTAMPED))
def test_a_timestamp_ahead_of_us_is_refused_except_where_the_vendor_accepts_it(vendor: str) -> None:
    sample = first_sample(vendor)
    judged = verdict(sample, replace(sample.delivered(now=NOW + 302), received_at=float(NOW)))
    assert isinstance(judged, Refused) is (vendor in REFUSES_FUTURE)


@pytest.mark.parametrize("vendor", sorted(TIMESTAMPED))
def test_without_a_clock_no_timestamp_is_too_old(vendor: str) -> None:
    sample = first_sample(vendor)
    assert isinstance(verdict(sample, replace(sample.delivered(now=1), received_at=None)), Verified)


@each_vendor
def test_each_header_that_the_signature_needs_is_needed(vendor: str) -> None:
    sample = first_sample(vendor)
    delivery = sample.delivered()
    needed = [name for name in delivery.headers.by_name if "signature" in name or "hmac" in name or "timestamp" in name]
    assert needed
    for name in needed:
        refused = verdict(sample, without_header(delivery, name))
        assert isinstance(refused, Refused), name
        assert refused.reason == "missing_header"


@each_vendor
def test_header_names_are_read_in_any_case(vendor: str) -> None:
    sample = first_sample(vendor)
    delivery = sample.delivered()
    upper = Headers.of((name.upper(), value) for name, value in delivery.headers.by_name.items())
    assert isinstance(verdict(sample, replace(delivery, headers=upper)), Verified)


any_text = st.one_of(
    st.text(max_size=60),
    st.text(alphabet=st.characters(), max_size=60),  # lone surrogates too: how undecodable header bytes arrive
    st.sampled_from(
        ["", ",", "=", "t=,v1=", "v1,", "v1a,", "v0=", "sha256=", "t=1", "9" * 50, "١٢٣", "-1", "1e3", "\n1"]
    ),
)


@each_vendor
@given(noise=st.lists(any_text, min_size=8, max_size=8))
@settings(max_examples=examples(60), deadline=None)
def test_headers_of_any_shape_are_refused_and_never_raise(vendor: str, noise: list[str]) -> None:
    sample = first_sample(vendor)
    delivery = sample.delivered()
    values = dict(zip(delivery.headers.by_name, [*noise, *noise], strict=False))
    noisy = replace(delivery, headers=Headers.of(values.items()))
    assert isinstance(verdict(sample, noisy), Refused)
    source = discover()[vendor]
    assert source.name(noisy, {}, sample.settings) is None or source.name(noisy, {}, sample.settings)
    for event in source.translate(noisy, {}, sample.settings):
        assert TYPE.fullmatch(event.type)


@each_vendor
@given(noise=st.text(alphabet=st.characters(), max_size=40), position=st.integers(0, 7))
@settings(max_examples=examples(40), deadline=None)
def test_one_malformed_header_among_good_ones_never_raises(vendor: str, noise: str, position: int) -> None:
    sample = first_sample(vendor)
    delivery = sample.delivered()
    names = list(delivery.headers.by_name)
    changed = {**delivery.headers.by_name, names[position % len(names)]: noise}
    verdict(sample, replace(delivery, headers=Headers.of(changed.items())))


@each_sample
def test_a_sample_becomes_the_events_that_it_says(sample: Sample) -> None:
    # given
    source, delivery, expected = discover()[sample.vendor], sample.delivered(), sample.document["expected"]
    payload = payload_of(sample, delivery)
    # when
    events = source.translate(delivery, payload, sample.settings)
    # then
    assert [event.type for event in events] == expected["types"]
    for event in events:
        assert TYPE.fullmatch(event.type)
        assert "raw" not in event.data
        assert event.time is None or event.time.tzinfo is not None
    if "subject" in expected:
        assert events[0].subject == expected["subject"]
    if "data" in expected:
        assert events[0].data == expected["data"]
    assert events == source.translate(delivery, payload, sample.settings)


@each_sample
def test_platform_events_are_valid_by_the_catalogue(sample: Sample) -> None:
    delivery = sample.delivered()
    payload = payload_of(sample, delivery)
    for event in discover()[sample.vendor].translate(delivery, payload, sample.settings):
        if (known := catalogue.lookup(event.type)) is not None:
            jsonschema_rs.validate(dict(known.schema), {**event.data, "raw": payload})


@each_sample
def test_a_retry_has_the_name_of_the_first_try_and_another_delivery_has_not(sample: Sample) -> None:
    source, first = discover()[sample.vendor], sample.delivered()
    payload = payload_of(sample, first)
    name = source.name(first, payload, sample.settings)
    assert name == source.name(sample.delivered(), payload, sample.settings)
    if "name" in sample.document["expected"]:
        assert name == sample.document["expected"]["name"]
    if name is not None and "name" not in sample.document["expected"]:
        changed = replace(first, body=first.body + b" ")
        assert name != source.name(changed, None, sample.settings)


@each_sample
def test_leaving_out_unsigned_headers_leaves_a_name_or_the_bytes_to_name_it(sample: Sample) -> None:
    """Ingest names a None by hash and window, so de-duplication never depends on a header anybody can strip."""
    source, delivery = discover()[sample.vendor], sample.delivered()
    bare = replace(
        delivery,
        headers=Headers.of(
            (k, v) for k, v in delivery.headers.by_name.items() if "id" not in k and "delivery" not in k
        ),
    )
    assert source.name(bare, payload_of(sample, delivery), sample.settings) in {
        None,
        source.name(delivery, payload_of(sample, delivery), sample.settings),
    }


@each_sample
def test_only_a_handshake_is_answered(sample: Sample) -> None:
    delivery = sample.delivered()
    answer = discover()[sample.vendor].handshake(delivery, payload_of(sample, delivery), sample.settings)
    challenge = sample.document["expected"].get("handshake")
    assert (answer is None) is (challenge is None)
    if answer is not None:
        assert (answer.status, answer.body) == (200, challenge.encode())


@each_sample
def test_a_form_carries_its_json(sample: Sample) -> None:
    delivery = sample.delivered()
    text = discover()[sample.vendor].json_text(delivery)
    if "body" not in sample.document:
        assert text is delivery.body
    else:
        fields = dict(parse_qsl(delivery.body.decode(), keep_blank_values=True))
        assert json.loads(text) == (json.loads(fields["payload"]) if "payload" in fields else fields)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64) | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)


@each_sample
@given(data=st.data())
@settings(max_examples=examples(30), deadline=None)
def test_a_payload_of_any_shape_becomes_an_event_and_never_raises(sample: Sample, data: st.DataObject) -> None:
    """The sample with something of another shape put anywhere near its top, or something else altogether."""
    source, delivery = discover()[sample.vendor], sample.delivered()
    payload = payload_of(sample, delivery)
    where: Any = payload
    while isinstance(where, dict) and where:
        key = data.draw(st.sampled_from(sorted(where)))
        if isinstance(where[key], dict) and where[key] and data.draw(st.booleans()):
            where = where[key]
            continue
        where[key] = data.draw(json_values)
        break
    else:
        payload = data.draw(json_values)
    events = source.translate(delivery, payload, sample.settings)
    assert events
    for event in events:
        assert TYPE.fullmatch(event.type)
        assert len(event.type) <= 200
        json.dumps(dict(event.data))
        assert event.subject is None or isinstance(event.subject, str)
        if (known := catalogue.lookup(event.type)) is not None:
            jsonschema_rs.validate(dict(known.schema), dict(event.data))
    source.name(delivery, payload, sample.settings)
    source.handshake(delivery, payload, sample.settings)


@each_sample
def test_headers_that_no_text_can_hold_become_events_that_can_be_kept(sample: Sample) -> None:
    """aiohttp reads bytes of a header that are no UTF-8 as lone surrogates; no signature covers most headers."""
    source, delivery = discover()[sample.vendor], sample.delivered()
    payload = payload_of(sample, delivery)
    garbled = replace(
        delivery, headers=Headers.of((name, f"{value}\udcff") for name, value in delivery.headers.by_name.items())
    )
    for event in source.translate(garbled, payload, sample.settings):
        assert TYPE.fullmatch(event.type)
        assert with_member(event.data, "raw", b"null")
    (source.name(garbled, payload, sample.settings) or "").encode()
