"""Headers as columns are, to whoever reads them, the tuple of pairs that they stand for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.bus.adapters.postgres.header_bytes import pack_headers, unpack_headers
from shared.bus.headers import HeaderColumns, columns_of

PAIRS = st.lists(st.tuples(st.text(max_size=8), st.binary(max_size=8)), max_size=8).map(tuple)
TEXTS = st.lists(
    st.tuples(st.text(max_size=8), st.text(st.characters(codec="ascii")) | st.text(max_size=8)), max_size=8
)


@given(PAIRS, st.integers(-9, 9), st.integers(-9, 9))
def test_columns_read_as_the_pairs(pairs: tuple[tuple[str, bytes], ...], low: int, high: int) -> None:
    columns = columns_of(pairs)
    assert (tuple(columns), len(columns), bool(columns)) == (pairs, len(pairs), bool(pairs))
    assert tuple(reversed(columns)) == pairs[::-1]
    assert columns == pairs
    assert pairs == columns
    assert hash(columns) == hash(pairs)
    assert columns[low:high] == pairs[low:high]
    assert dict(columns) == dict(pairs)
    assert columns_of(columns) is columns
    if pairs:
        assert columns[-1] == pairs[-1]
        assert pairs[0] in columns


@given(PAIRS, PAIRS)
def test_columns_are_equal_where_their_pairs_are(
    pairs: tuple[tuple[str, bytes], ...], others: tuple[tuple[str, bytes], ...]
) -> None:
    assert (columns_of(pairs) == columns_of(others)) is (pairs == others)
    assert (columns_of(pairs) == others) is (pairs == others)


@given(PAIRS)
def test_one_more_comes_last(pairs: tuple[tuple[str, bytes], ...]) -> None:
    columns = columns_of(pairs)
    assert columns.followed_by("last", b"1") == (*pairs, ("last", b"1"))
    assert columns == pairs  # as it was
    assert columns != HeaderColumns(("last",), (b"1",))


@given(TEXTS)
def test_texts_stand_as_utf_8(pairs: list[tuple[str, str]]) -> None:
    columns = HeaderColumns.of_texts(tuple(name for name, _ in pairs), [text for _, text in pairs])
    packed = pack_headers(columns)  # before anybody has asked for the values, and after
    written = tuple((name, text.encode()) for name, text in pairs)
    assert columns == written
    assert pack_headers(columns) == packed == pack_headers(written)
    assert unpack_headers(packed) == written


@pytest.mark.parametrize("length", [65_535, 65_536])
def test_long_texts_come_back(length: int) -> None:
    columns = HeaderColumns.of_texts(("a", "b"), ["x" * length, "y"])
    assert unpack_headers(pack_headers(columns)) == (("a", b"x" * length), ("b", b"y"))


def test_half_of_a_surrogate_pair_is_no_header() -> None:
    with pytest.raises(ValueError, match="surrogates"):
        HeaderColumns.of_texts(("a",), ["\ud800"])
