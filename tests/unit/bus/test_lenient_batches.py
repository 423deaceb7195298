"""Batches of foreign producers: a header's name may be any bytes, and holds nothing up, whoever reads."""

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import calc_crc32c

from shared.bus.adapters.kafka.lenient import ReadableRecords, read_foreign_batches

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
    records = ReadableRecords(batch(7) + batch(10))
    found = {}
    while records.has_next():
        one = records.next_batch()
        assert one.validate_crc()
        for each in one:
            found.setdefault(each.offset, (each.value, tuple(each.headers)))
    assert list(found) == [7, 8, 9, 10, 11, 12]
    assert found[7] == (b"first", (("aaaa", b"1"), ("none", None)))
    assert found[8] == found[11] == (b"second", (("\\xff", b"2"),))
    assert records.next_batch() is None


def test_aiokafkas_own_consumer_reads_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetcher, "MemoryRecords", fetcher.MemoryRecords)
    read_foreign_batches()
    records = fetcher.PartitionRecords(
        TopicPartition("t", 0), fetcher.MemoryRecords(batch(0)), [], 0, None, None, True, fetcher.READ_COMMITTED
    )
    assert [(each.offset, each.value) for each in records] == [(0, b"first"), (1, b"second"), (2, None)]
