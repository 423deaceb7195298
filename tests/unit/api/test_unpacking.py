"""Compressed bodies: what is taken, what is refused, and that a bomb is never unfolded."""

import gzip
import tracemalloc
import zlib

import pytest

from shared.runtime.http.unpacking import (
    DEFLATE,
    GZIP,
    MEMBERS_MAX,
    CodingNotTaken,
    NotUnpackable,
    UnpacksTooLarge,
    coding_of,
    unpack,
)

TEXT = b"what was sent " * 100
RAW_DEFLATE = zlib.compress(TEXT)[2:-4]


@pytest.mark.parametrize(
    ("packed", "coding"),
    [
        (gzip.compress(TEXT), GZIP),
        (gzip.compress(TEXT[:700]) + gzip.compress(TEXT[700:]), GZIP),
        (zlib.compress(TEXT), DEFLATE),
        (RAW_DEFLATE, DEFLATE),
    ],
    ids=["gzip", "two members", "deflate", "deflate without a header"],
)
def test_what_was_packed_comes_back_up_to_the_last_byte_of_the_limit(packed, coding):
    assert unpack(packed, coding, bytes_max=len(TEXT)) == TEXT
    with pytest.raises(UnpacksTooLarge):
        unpack(packed, coding, bytes_max=len(TEXT) - 1)


@pytest.mark.parametrize(
    ("packed", "coding"),
    [
        (b"no gzip", GZIP),
        (gzip.compress(TEXT)[:-1], GZIP),
        (gzip.compress(TEXT)[:-9], GZIP),
        (gzip.compress(TEXT) + b"more", GZIP),
        (gzip.compress(b"") * (MEMBERS_MAX + 1), GZIP),
        (zlib.compress(TEXT)[:-1], DEFLATE),
        (zlib.compress(TEXT) + b"more", DEFLATE),
        (b"\xff\xff", DEFLATE),
    ],
    ids=[
        *("no gzip", "gzip without its last byte", "gzip without its trailer", "more behind gzip", "too many members"),
        *("deflate without its last byte", "more behind deflate", "no deflate"),
    ],
)
def test_a_stream_that_is_cut_off_or_has_something_behind_it_is_refused(packed, coding):
    with pytest.raises(NotUnpackable):
        unpack(packed, coding, bytes_max=1_000_000)


def test_a_bomb_takes_no_more_memory_than_the_limit():
    bomb = gzip.compress(bytes(50_000_000))
    tracemalloc.start()
    try:
        with pytest.raises(UnpacksTooLarge):
            unpack(bomb, GZIP, bytes_max=10_000)
        assert tracemalloc.get_traced_memory()[1] < 500_000
    finally:
        tracemalloc.stop()


def test_codings_are_told_apart_by_name():
    assert [coding_of(name) for name in ("gzip", " X-GZIP ", "Deflate")] == [GZIP, GZIP, DEFLATE]
    assert [coding_of(name) for name in ("", "identity", "UTF-8")] == [None, None, None]
    for name in ("br", "zstd", "gzip, gzip", "banana"):
        with pytest.raises(CodingNotTaken):
            coding_of(name)
