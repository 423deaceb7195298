"""Exported segments: what is written is read back from any offset, and damage of any kind is found."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.bus.adapters.postgres import segment_file
from shared.bus.adapters.postgres.segment_file import (
    BrokenSegmentFile,
    SegmentFile,
    SegmentWriter,
    StoredRecord,
    Written,
    contents_of,
    sha256_of,
)

AT = datetime(2026, 3, 2, 9, 30, 0, 123456, tzinfo=UTC)
GOLDEN = (
    "555053484f545345474d454e5420310a789c73b010b766f761636062606060046256204e4c4c4cadcacc4b7180cac1c07f200000a1f509"
    "88789cab564acb2c2a2e51b252b030d251504acd4b01314d80cca49cfce4ec62202f3a1a246568a6a3606200c4466696461686e61666b1"
    "b1b500077e0fbc38000000000000003d000000abcefd45555053484f545345474d454e5420310a"
)

records_strategy = st.lists(
    st.tuples(
        st.datetimes(timezones=st.just(UTC), min_value=datetime(1970, 1, 1), max_value=datetime(2200, 1, 1)),
        st.binary(max_size=8),
        st.binary(max_size=20),
        st.none() | st.binary(max_size=40),
    ),
    max_size=30,
)


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment_file, "BLOCK_RECORDS_MAX", 4)


@given(records=records_strategy, first=st.integers(0, 2**40))
def test_what_is_written_is_read_from_any_offset(
    tmp_path_factory: pytest.TempPathFactory, records: list[StoredRecord], first: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "any"
    written = write(path, records, first)
    assert (written.first, written.records) == (first, len(records))
    assert written.bytes == path.stat().st_size
    assert (written.sha256, (written.records, written.contents)) == (sha256_of(path), contents_of(records))
    with SegmentFile(path) as file:
        assert list(file.records()) == records
        assert (file.first, file.end) == (first, first + len(records))
        for number in range(len(records)):
            read = file.read(first + number, 3)
            assert read
            assert list(read) == records[number : number + len(read)]
        for outside in (first - 1, first + len(records)):
            with pytest.raises(BrokenSegmentFile, match=str(outside)):
                file.read(outside, 1)


def test_every_damaged_byte_is_found(tmp_path: Path) -> None:
    path = tmp_path / "one"
    records: list[StoredRecord] = [(AT + timedelta(seconds=n), b"k", b"h", b"v" * n) for n in range(6)]
    write(path, records, 0)
    whole = path.read_bytes()
    for position in range(len(whole)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        with pytest.raises(BrokenSegmentFile), SegmentFile(path) as file:
            list(file.records())
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(BrokenSegmentFile), SegmentFile(path) as file:
            list(file.records())


def test_a_file_that_was_once_exported_is_read_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "golden"
    path.write_bytes(bytes.fromhex(GOLDEN))
    with SegmentFile(path) as file:
        assert (file.first, list(file.records())) == (82, [(AT, b"aa", b"a", b"ezind"), (AT, b"", b"", None)])


def write(path: Path, records: list[StoredRecord], first: int) -> Written:
    writer = SegmentWriter(path, first)
    for record in records:
        writer.add(record)
    return writer.close()
