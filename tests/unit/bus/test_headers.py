"""Headers as columns are, to whoever reads them, the tuple of pairs that they stand for."""

from hypothesis import given
from hypothesis import strategies as st

from shared.bus.headers import HeaderColumns, columns_of

PAIRS = st.lists(st.tuples(st.text(max_size=8), st.binary(max_size=8)), max_size=8).map(tuple)


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
