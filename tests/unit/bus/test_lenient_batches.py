"""Batches of foreign producers: a header's name may be any bytes, and holds nothing up, whoever reads."""

import pytest
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import calc_crc32c

from shared.bus.adapters.kafka.unpacking import Fetched

CRC_AT, CHECKED_FROM = 17, 21


def batch(base_offset: int, compression: int = 0) -> bytes:
    """Three records; the middle one has a header that is called by the byte 0xff."""
    builder = _DefaultRecordBatchBuilderPy(2, 0, False, -1, -1, -1, 100_000)
    builder.append(0, 1000, b"k", b"first", [("aaaa", b"1"), ("none", None)])
    builder.append(1, 1001, None, b"second", [("\x7f", b"2")])
    builder.append(2, 1002, b"k", None, [])
    built = bytearray(builder.build())
    assert built.count(b"\x02\x7f\x02") == 1
    built[built.index(b"\x02\x7f\x02") + 1] = 0xFF
    built[0:8] = base_offset.to_bytes(8, "big")
    built[CRC_AT:CHECKED_FROM] = calc_crc32c(bytes(built[CHECKED_FROM:])).to_bytes(4, "big")
    return bytes(built)


def test_aiokafka_itself_cannot_read_it() -> None:
    """Once it can, this module has had its day."""
    with pytest.raises(UnicodeDecodeError):
        list(MemoryRecords(batch(0)).next_batch())


def test_every_record_is_read_and_bytes_that_are_no_text_are_shown() -> None:
    fetched = Fetched("t", 0, 7, batch(7) + batch(10), None)
    found = {each.offset: (each.value, each.headers) for each in fetched.take(100)}
    assert list(found) == [7, 8, 9, 10, 11, 12]
    assert found[7] == (b"first", (("aaaa", b"1"), ("none", b"")))
    assert found[8] == found[11] == (b"second", (("\\xff", b"2"),))
    assert fetched.spent and fetched.position == 13
