"""The syntax tree of a checked CEL expression, read from the bytes that the CEL library serializes.

The library shows no tree of its own, but serializes a `cel.expr.CheckedExpr`, a published protobuf message. A few
lines of wire format read it, which spares a protobuf runtime. Macros arrive expanded, as comprehensions.
Next: `cel_analysis.py` asks the tree which paths an expression names.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """`offset`: where it stands in the text, in code points from 0."""

    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Const(Node):
    """A literal; only the kinds that analysis reads carry their value: text and whole numbers."""

    value: str | int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ident(Node):
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Select(Node):
    """`operand.field`, or `has(operand.field)`."""

    operand: Node
    field: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Node):
    """A function, method (`target` first among `args`) or operator (`_&&_`, `_[_]`, …)."""

    function: str
    args: tuple[Node, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ListLiteral(Node):
    elements: tuple[Node, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StructLiteral(Node):
    """A map literal; with `message_name`, a protobuf message."""

    message_name: str
    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comprehension(Node):
    """What `all`, `exists`, `exists_one`, `map` and `filter` expand to."""

    variable: str
    accumulator: str
    iterated: Node
    initial: Node
    condition: Node
    step: Node
    result: Node


def parse_tree(serialized: bytes) -> Node:
    """The tree of an expression that the library has checked and serialized."""
    checked = _message(_message(serialized)[2][-1])
    source_info = _message(checked[5][-1])
    offsets = {_int(entry, 1): _int(entry, 2) for entry in map(_message, source_info.get(4, []))}
    return _node(checked[4][-1], offsets)


_Fields = Mapping[int, list[bytes]]


def _node(raw: bytes, offsets: Mapping[int, int]) -> Node:
    expr = _message(raw)
    offset = offsets.get(_int(expr, 2), 0)

    def nodes(of: _Fields, number: int) -> tuple[Node, ...]:
        return tuple(_node(child, offsets) for child in of.get(number, []))

    if 4 in expr:
        return Ident(offset=offset, name=_text(_message(expr[4][-1]), 1))
    if 5 in expr:
        select = _message(expr[5][-1])
        return Select(offset=offset, operand=_node(select[1][-1], offsets), field=_text(select, 2))
    if 6 in expr:
        call = _message(expr[6][-1])
        return Call(offset=offset, function=_text(call, 2), args=nodes(call, 1) + nodes(call, 3))
    if 7 in expr:
        return ListLiteral(offset=offset, elements=nodes(_message(expr[7][-1]), 1))
    if 8 in expr:
        struct = _message(expr[8][-1])
        entries = [_message(entry) for entry in struct.get(2, [])]
        parts = tuple(part for entry in entries for part in nodes(entry, 3) + nodes(entry, 4))
        return StructLiteral(offset=offset, message_name=_text(struct, 1), parts=parts)
    if 9 in expr:
        loop = _message(expr[9][-1])
        return Comprehension(
            offset=offset,
            variable=_text(loop, 1),
            accumulator=_text(loop, 3),
            iterated=_node(loop[2][-1], offsets),
            initial=_node(loop[4][-1], offsets),
            condition=_node(loop[5][-1], offsets),
            step=_node(loop[6][-1], offsets),
            result=_node(loop[7][-1], offsets),
        )
    return Const(offset=offset, value=_constant(_message(expr[3][-1])) if 3 in expr else None)


def _constant(constant: _Fields) -> str | int | None:
    if 6 in constant:
        return _text(constant, 6)
    if 3 in constant:
        number = _int(constant, 3)
        return number - (1 << 64) if number >= 1 << 63 else number
    return None


def _message(raw: bytes) -> _Fields:
    fields: dict[int, list[bytes]] = {}
    for number, value in _fields(raw):
        fields.setdefault(number, []).append(value)
    return fields


def _fields(raw: bytes) -> Iterator[tuple[int, bytes]]:
    """(field number, payload); a varint's payload stays in its wire form."""
    at = 0
    while at < len(raw):
        key, at = _varint(raw, at)
        match key & 7:
            case 0:
                start = at
                _, at = _varint(raw, at)
                yield key >> 3, raw[start:at]
            case 1:
                yield key >> 3, raw[at : at + 8]
                at += 8
            case 2:
                length, at = _varint(raw, at)
                yield key >> 3, raw[at : at + length]
                at += length
            case 5:
                yield key >> 3, raw[at : at + 4]
                at += 4
            case wire_type:
                raise ValueError(f"wire type {wire_type} does not occur in a CheckedExpr")


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = raw[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _int(fields: _Fields, number: int) -> int:
    return _varint(fields[number][-1], 0)[0] if number in fields else 0


def _text(fields: _Fields, number: int) -> str:
    return fields[number][-1].decode() if number in fields else ""
