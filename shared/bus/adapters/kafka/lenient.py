"""Batches of foreign producers that aiokafka cannot read: Kafka lets a header's name be any bytes, aiokafka insists on UTF-8.

One such record would hold its partition up for ever, every reader in turn. Here its bytes read as `\\xff`, and nothing else
changes: what the record is worth is for whoever decodes it to say. This takes private parts of aiokafka, which
`tests/unit/bus/test_lenient_batches.py` holds to what they do today.
"""

import struct
from collections.abc import Iterator
from typing import Any

from aiokafka.record.default_records import _DefaultRecordBatchPy

_LENGTH = struct.Struct(">qi")
"""Base offset and length, with which every batch begins."""


def read_leniently(data: bytes, base_offset: int) -> Iterator[Any]:  # aiokafka has no types
    """The records of the batch in `data`, a fetch's answer, that begins at `base_offset`: as aiokafka's own."""
    start = 0
    while True:
        offset, length = _LENGTH.unpack_from(data, start)
        end = start + _LENGTH.size + length
        if offset == base_offset:
            return iter(_LenientBatch(data[start:end]))
        start = end


class _Text(bytes):
    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        del errors
        return super().decode(encoding, "backslashreplace")


class _Buffer(bytearray):
    def __getitem__(self, key: Any) -> Any:  # as bytearray: an int of an index, bytes of a slice
        found = super().__getitem__(key)
        return _Text(found) if isinstance(key, slice) else found


class _LenientBatch(_DefaultRecordBatchPy):  # type: ignore[misc]  # aiokafka has no types
    _buffer: Any

    def _maybe_uncompress(self) -> None:
        super()._maybe_uncompress()
        if not isinstance(self._buffer, _Buffer):
            self._buffer = _Buffer(self._buffer)
