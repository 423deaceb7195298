"""Kafka's own vectors (UtilsTest.testMurmur2 of its Java client) and what a partition number must be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.bus.partitioner import murmur2, partition_of


@pytest.mark.parametrize(
    ("key", "signed"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_hash_is_the_one_of_kafkas_java_client(key: bytes, signed: int) -> None:
    assert murmur2(key) == signed & 0xFFFFFFFF


@given(st.binary(max_size=64), st.integers(1, 1024))
def test_every_key_has_one_partition_in_range(key: bytes, partition_count: int) -> None:
    assert 0 <= partition_of(key, partition_count) < partition_count
    assert partition_of(key, partition_count) == (murmur2(key) & 0x7FFFFFFF) % partition_count


def test_negative_hashes_lose_their_sign_bit_and_nothing_else() -> None:
    assert partition_of(b"21", 32) == (-973932308 & 0x7FFFFFFF) % 32
