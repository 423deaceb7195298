"""Long appends in pieces."""

from hypothesis import given
from hypothesis import strategies as st

from shared.bus.port import NewRecord
from shared.bus.sizes import pieces, record_bytes

RECORDS = st.lists(
    st.builds(
        NewRecord,
        topic=st.just("t"),
        key=st.binary(max_size=3),
        headers=st.lists(st.tuples(st.sampled_from(["a", "bc"]), st.binary(max_size=5)), max_size=2).map(tuple),
        value=st.none() | st.binary(max_size=30),
    ),
    max_size=20,
)


@given(RECORDS, st.integers(1, 6), st.integers(1, 60))
def test_pieces_are_the_records_in_order_within_bounds_and_none_could_be_longer(
    records: list[NewRecord], records_max: int, bytes_max: int
) -> None:
    found = list(pieces(records, records_max=records_max, bytes_max=bytes_max))
    assert [each for piece in found for each in piece] == records
    for number, piece in enumerate(found):
        size = sum(map(record_bytes, piece))
        assert len(piece) == 1 or (len(piece) <= records_max and size <= bytes_max)
        if number + 1 < len(found):
            assert len(piece) == records_max or size + record_bytes(found[number + 1][0]) > bytes_max


def test_names_of_headers_count_as_the_bytes_that_they_are_sent_as() -> None:
    record = NewRecord(topic="t", key=b"k", headers=(("ä", b"x"), ("b", b"")), value=None)
    assert record_bytes(record) == 1 + 2 + 1 + 1
