"""Files of detached segments as their readers share them."""

import asyncio
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from shared.bus.adapters.postgres import segment_file
from shared.bus.adapters.postgres.archive import Archive, Archived
from shared.bus.adapters.postgres.segment_file import SegmentFile, SegmentWriter

AT = datetime(2026, 3, 2, tzinfo=UTC)
RECORDS = [(AT, b"k", b"\x01\x00\x00", b"%d" % number) for number in range(8)]


async def test_a_read_that_was_called_off_disturbs_no_other_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(segment_file, "BLOCK_RECORDS_MAX", 4)
    (tmp_path / "t.0").mkdir()
    writer = SegmentWriter(tmp_path / "t.0" / "p", 0)
    for record in RECORDS:
        writer.add(record)
    writer.close()
    whole, begun, moved = SegmentFile._at, threading.Event(), threading.Event()

    def slow_at(file: SegmentFile, position: int, length: int) -> bytes:
        """The first read is under way until the second one has moved the file's position, or half a second is over."""
        if threading.current_thread() is first_thread():
            begun.set()
            moved.wait(0.5)
            return whole(file, position, length)
        file._file.seek(position)
        moved.set()
        first_thread().join(0.05)  # it goes on just now, where it may
        return file._file.read(length)

    threads: list[threading.Thread] = []

    def first_thread() -> threading.Thread:
        threads.append(threading.current_thread())
        return threads[0]

    archive = Archive(None)
    archived = Archived(topic="t", segment=0, partition=0, folder=str(tmp_path), file="p")
    assert len(await archive.rows(archived, 0, 1)) == 1  # it is open
    monkeypatch.setattr(SegmentFile, "_at", slow_at)

    # when
    called_off = asyncio.create_task(archive.rows(archived, 4, 4))
    await asyncio.to_thread(begun.wait, 5)
    called_off.cancel()
    await asyncio.gather(called_off, return_exceptions=True)
    monkeypatch.setattr(archive._open[tmp_path / "t.0" / "p"], "_kept", (-1, ()))

    # then
    assert list(await archive.rows(archived, 0, 4)) == RECORDS[:4]
    assert caplog.text == ""
    archive.close()
