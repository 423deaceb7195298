"""A member of a document is found as it was written, wherever it stands."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from shared.bus.cloudevents_json import member_text

VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5)),
    lambda below: st.one_of(st.lists(below, max_size=3), st.dictionaries(st.text(max_size=3), below, max_size=3)),
    max_leaves=6,
)


def test_a_member_keeps_its_digits_and_its_blanks() -> None:
    body = b' { "a": {"data": 1}, "event":\n{"type": "x", "data" : { "x":0.12345678901234567890 } , "id":"1"}}\n'
    assert member_text(body, "event", "data") == b'{ "x":0.12345678901234567890 }'
    assert member_text(body, "event", "id") == b'"1"'
    assert member_text(body, "a", "data") == b"1"
    for absent in (("b",), ("event", "subject"), ("a", "data", "x"), ("event", "type", "x")):
        assert member_text(body, *absent) is None
    assert member_text(b"[1]", "event") is None


@given(given=st.dictionaries(st.text(max_size=3), VALUES, max_size=4), indent=st.sampled_from([None, 0, 2]))
def test_each_member_of_an_object_is_found(given: dict[str, Any], indent: int | None) -> None:
    body = json.dumps(given, indent=indent).encode()
    for name, value in given.items():
        found = member_text(body, name)
        assert found is not None
        assert json.loads(found) == value
