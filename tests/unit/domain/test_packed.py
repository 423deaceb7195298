"""A value that is held as text is the value, whoever asks, and is written as the same bytes."""

import json

from hypothesis import given
from hypothesis import strategies as st

from shared.domain.json_text import dump_json
from shared.domain.packed import Packed, packed, whole

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(TEXT, inner, max_size=8),
    max_leaves=60,
)


@given(JSON, JSON)
def test_a_packed_value_reads_and_is_written_as_what_it_was(value: object, beside: object) -> None:
    held = packed(value)
    assert repr(whole(held)) == repr(value)  # 1 is not 1.0, nor true
    assert held == value
    assert dump_json({"held": held, "beside": [beside]}) == dump_json({"held": value, "beside": [beside]})
    assert packed(held) is held


def test_what_is_large_is_held_small_and_what_is_small_as_it_is() -> None:
    rows = [{"a": number % 10} for number in range(30_000)]
    held = packed(rows)
    assert isinstance(held, Packed)
    assert len(held._bytes) < len(json.dumps(rows)) / 50
    assert whole(held) == rows
    for small in (None, True, 7, 1.5, "short", {}, [], {"amount_minor": 1}):
        assert packed(small) is small


def test_what_is_no_json_stays_as_it_is() -> None:
    odd = {"at": object(), "note": "x" * 100}
    assert packed(odd) is odd
