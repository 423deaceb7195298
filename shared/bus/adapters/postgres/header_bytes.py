"""Record headers as one compact `bytea`: names that stand in nearly every record take one byte.

    format (1 byte: 1 = 16-bit lengths, 2 = 32-bit) | count (u16) | names | count lengths | values

Names are one byte each (index into `_KNOWN`, from 1), or 0 followed by a u16 length and UTF-8. Little-endian. The table
only ever grows at its end; golden bytes in the tests hold it.
"""

from struct import Struct, error, unpack_from

from shared.bus.headers import HeaderColumns, Headers, columns_of

_KNOWN = (
    *("content-type", "ce_specversion", "ce_id", "ce_source", "ce_type", "ce_tenantid", "ce_time", "ce_subject"),
    *("ce_dataschema", "ce_correlationid", "ce_causationid", "ce_causalchain", "ce_traceparent", "ce_replayid"),
    *("ce_recordversion", "recordedtime", "ce_partitionkey"),
)
_CODE_BY_NAME = {name: bytes([code]) for code, name in enumerate(_KNOWN, 1)}
_SHORT, _LONG = 1, 2
_SHAPES_CACHED = 4096  # shapes = sequences of names; a log knows a few dozen, a foreign writer could invent many

Names = tuple[str, ...]
_head_by_names: dict[Names, bytes] = {}
_names_by_head: dict[bytes, Names] = {}
_short_lengths: dict[int, Struct] = {}


def pack_headers(headers: Headers) -> bytes:
    """The bytes to store; about 1 µs."""
    columns = columns_of(headers)
    names = columns.names
    if columns.in_line is not None:
        line, lengths = columns.in_line
        values = line.encode()
    else:
        lengths = tuple(map(len, columns.values))
        values = b"".join(columns.values)
    head = _head_by_names.get(names) or _remember(names)
    if len(values) < 65_536 or max(lengths) < 65_536:
        shape = _short_lengths.get(len(lengths)) or _short_lengths.setdefault(len(lengths), Struct(f"<{len(lengths)}H"))
        return b"".join((b"\x01", head, shape.pack(*lengths), values))
    return b"".join((b"\x02", head, Struct(f"<{len(lengths)}I").pack(*lengths), values))


def unpack_headers(packed: bytes) -> HeaderColumns:
    """What `pack_headers` was given; about 2 µs. Raises ValueError for bytes that it never wrote."""
    try:
        count = packed[1] | packed[2] << 8
        end = 3 + count
        names = _names_by_head.get(packed[1:end])  # all names known: the usual case
        if names is None:
            names, end = _read_names(packed, count)
        if packed[0] == _SHORT:
            lengths = (_short_lengths.get(count) or Struct(f"<{count}H")).unpack_from(packed, end)
            end += 2 * count
        elif packed[0] == _LONG:
            lengths = Struct(f"<{count}I").unpack_from(packed, end)
            end += 4 * count
        else:
            raise ValueError(f"header format {packed[0]} is not known")
    except (error, IndexError):
        raise ValueError("the stored headers are cut short") from None
    values = tuple([packed[end : (end := end + length)] for length in lengths])
    if end != len(packed):
        raise ValueError("the stored headers do not end where they should")
    return HeaderColumns(names, values)


def _remember(names: Names) -> bytes:
    head = len(names).to_bytes(2, "little") + b"".join(_code(name) for name in names)
    if len(_head_by_names) < _SHAPES_CACHED:
        _head_by_names[names] = head
    return head


def _code(name: str) -> bytes:
    if code := _CODE_BY_NAME.get(name):
        return code
    text = name.encode()
    return b"\x00" + len(text).to_bytes(2, "little") + text


def _read_names(packed: bytes, count: int) -> tuple[Names, int]:
    names: list[str] = []
    position = 3
    for _ in range(count):
        code = packed[position]
        position += 1
        if code:
            names.append(_KNOWN[code - 1])
            continue
        (length,) = unpack_from("<H", packed, position)
        position += 2 + length
        names.append(packed[position - length : position].decode())
    if position == 3 + count and len(_names_by_head) < _SHAPES_CACHED:
        _names_by_head[packed[1:position]] = tuple(names)
    return tuple(names), position
