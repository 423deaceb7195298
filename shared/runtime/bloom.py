"""A Bloom filter of UUIDs that are digests (version 5): their own bits say where they are noted. Pure.

It answers "never added" for certain and "added" perhaps: with ten bits an id one in a hundred is mistaken, with four every third.
"""

_PROBES = 5
_PACKED_BYTES = 16


class BloomFilter:
    """Of a fixed size; it only ever fills."""

    def __init__(self, size_bytes: int) -> None:
        """Raises ValueError unless `size_bytes` is at least one. A power of two of it is used."""
        if size_bytes < 1:
            raise ValueError("a filter has at least one byte")
        size = 1 << size_bytes.bit_length() - 1
        self._bits = bytearray(size)
        self._mask = size * 8 - 1

    def add(self, uuid: str) -> None:
        self._add(int(uuid.replace("-", ""), 16))

    def add_packed(self, uuids: bytes) -> None:
        """So many, of 16 bytes each."""
        for start in range(0, len(uuids), _PACKED_BYTES):
            self._add(int.from_bytes(uuids[start : start + _PACKED_BYTES]))

    def __contains__(self, uuid: str) -> bool:
        digits = int(uuid.replace("-", ""), 16)
        bits, mask = self._bits, self._mask
        at, step = digits & mask, digits >> 80 | 1
        for _ in range(_PROBES):
            if not bits[at >> 3] >> (at & 7) & 1:
                return False
            at = at + step & mask
        return True

    def _add(self, digits: int) -> None:
        # Kirsch and Mitzenmacher: two independent digests, here the UUID's last 62 bits and its first 48, do for all probes.
        bits, mask = self._bits, self._mask
        at, step = digits & mask, digits >> 80 | 1
        for _ in range(_PROBES):
            bits[at >> 3] |= 1 << (at & 7)
            at = at + step & mask
