"""Operators other than exact strings and prefixes, grouped so that a value finds those that hold for it without asking each.

A facet files buckets (whatever an index keeps) under the operators of one group. `probe` adds the buckets of all its
operators that hold for a value; it is called for strings, for other values, or both, as the class says. Operators that
share no structure (anything-but, wildcards that begin and end with `*`) are asked one by one, each distinct one once.
Next: `index_node.py`, which hangs facets at paths.
"""

from typing import Any, ClassVar, Generic, Protocol, TypeVar

from shared.matching.addresses import Address, read_address
from shared.matching.affixes import AffixIndex
from shared.matching.casefold import fold_key
from shared.matching.cidr import Cidr
from shared.matching.literals import AddressText, Constant, NumberLiteral, Text
from shared.matching.numbers import EXACT_INTEGER_MAX, LossyNumber, comparable
from shared.matching.numeric import NumericRange
from shared.matching.pattern import ValueOperator
from shared.matching.ranges import RangeIndex
from shared.matching.text import EqualsIgnoreCase, Prefix, Suffix, Wildcard

B = TypeVar("B")


class Facet(Protocol[B]):
    """See the module's docstring. `add` is for an operator that has no bucket yet, `remove` for one that has."""

    sees_texts: ClassVar[bool]
    sees_others: ClassVar[bool]
    shared_by: ClassVar[int]
    """Operators of which a value is put to one, about: what elements of arrays are reckoned to cost."""

    def add(self, operator: ValueOperator, bucket: B) -> None: ...
    def remove(self, operator: ValueOperator, bucket: B) -> None: ...
    def probe(self, value: Any, hits: list[B]) -> None: ...  # Any: a JSON scalar or a LossyNumber


class NumberFacet(Generic[B]):
    """Number literals and `numeric`."""

    __slots__ = ("_exact", "_ranges", "_tokens")
    sees_texts: ClassVar[bool] = False
    sees_others: ClassVar[bool] = True
    shared_by: ClassVar[int] = 16

    def __init__(self) -> None:
        self._exact: dict[int | float, list[B]] = {}
        self._tokens: dict[str, list[B]] = {}
        self._ranges: RangeIndex[B] = RangeIndex()

    def probe(self, value: Any, hits: list[B]) -> None:
        kind = type(value)
        if self._tokens and (kind is int or kind is LossyNumber):
            hits += self._tokens.get(value.token if kind is LossyNumber else str(value), ())
        if kind is not int and kind is not float:
            return
        for width, cells in self._ranges.grids:
            cell = value // width
            if cell in cells:
                number = (
                    value if kind is float or -EXACT_INTEGER_MAX <= value <= EXACT_INTEGER_MAX else comparable(value)
                )
                if number is not None:
                    for low, high, bounds, bucket in cells[cell]:
                        if low <= number <= high and (low < number < high or bounds.spans(number)):
                            hits.append(bucket)
        if self._exact or self._ranges.has_others:
            self._probe_others(value, hits)

    def _probe_others(self, value: int | float, hits: list[B]) -> None:
        number = comparable(value)
        if number is None:
            return
        if number in self._exact:
            hits += self._exact[number]
        if self._ranges.has_others:
            for _, _, bounds, bucket in self._ranges.others_around(number):
                if bounds.spans(number):
                    hits.append(bucket)

    def overlap(self, bounds: NumericRange) -> float:
        """A guess at the share of numbers that `bounds` holds."""
        return self._ranges.overlap(bounds)

    def add(self, operator: ValueOperator, bucket: B) -> None:
        if isinstance(operator, NumericRange) and operator.low != operator.high:
            self._ranges.add(operator, bucket)
        else:
            number = _number_of(operator)
            if isinstance(number, LossyNumber):
                self._tokens.setdefault(number.token, []).append(bucket)
            else:
                self._exact.setdefault(number, []).append(bucket)

    def remove(self, operator: ValueOperator, bucket: B) -> None:
        if isinstance(operator, NumericRange) and operator.low != operator.high:
            self._ranges.remove(operator, bucket)
        else:
            number = _number_of(operator)
            if isinstance(number, LossyNumber):
                _remove_from(self._tokens, number.token, bucket)
            else:
                _remove_from(self._exact, number, bucket)


class ConstantFacet(Generic[B]):
    """true, false and null."""

    __slots__ = ("_by_name",)
    sees_texts: ClassVar[bool] = False
    sees_others: ClassVar[bool] = True
    shared_by: ClassVar[int] = 1024

    def __init__(self) -> None:
        self._by_name: dict[str, B] = {}  # True and 1 would be one key

    def probe(self, value: Any, hits: list[B]) -> None:
        if value is None or value is True or value is False:
            bucket = self._by_name.get(repr(value))
            if bucket is not None:
                hits.append(bucket)

    def add(self, operator: ValueOperator, bucket: B) -> None:
        assert isinstance(operator, Constant)
        self._by_name[repr(operator.value)] = bucket

    def remove(self, operator: ValueOperator, bucket: B) -> None:
        del bucket
        assert isinstance(operator, Constant)
        del self._by_name[repr(operator.value)]


class AddressFacet(Generic[B]):
    """Strings that spell addresses, and `cidr`: by their fixed bits, one look-up per prefix length in use."""

    __slots__ = ("_filed", "_lengths")
    sees_texts: ClassVar[bool] = True
    sees_others: ClassVar[bool] = False
    shared_by: ClassVar[int] = 64

    def __init__(self) -> None:
        self._filed: dict[tuple[int, Address], list[B]] = {}  # (host bits, the address without them)
        self._lengths: dict[tuple[int, int], int] = {}  # (bits of the version, host bits): how many

    def probe(self, value: Any, hits: list[B]) -> None:
        address = read_address(value)
        if address is None:
            return
        bits, number = address
        for version_bits, host_bits in self._lengths:
            if version_bits == bits:
                hits += self._filed.get((host_bits, (bits, number >> host_bits)), ())

    def add(self, operator: ValueOperator, bucket: B) -> None:
        length, key = _address_key(operator)
        self._filed.setdefault(key, []).append(bucket)
        self._lengths[length] = self._lengths.get(length, 0) + 1

    def remove(self, operator: ValueOperator, bucket: B) -> None:
        length, key = _address_key(operator)
        _remove_from(self._filed, key, bucket)
        self._lengths[length] -= 1
        if not self._lengths[length]:
            del self._lengths[length]


class FoldedFacet(Generic[B]):
    """`equals-ignore-case`, by a key that all spellings share."""

    __slots__ = ("_filed",)
    sees_texts: ClassVar[bool] = True
    sees_others: ClassVar[bool] = False
    shared_by: ClassVar[int] = 64

    def __init__(self) -> None:
        self._filed: dict[str, list[tuple[EqualsIgnoreCase, B]]] = {}

    def probe(self, value: Any, hits: list[B]) -> None:
        for operator, bucket in self._filed.get(fold_key(value), ()):
            if operator.holds(value):
                hits.append(bucket)

    def add(self, operator: ValueOperator, bucket: B) -> None:
        assert isinstance(operator, EqualsIgnoreCase)
        self._filed.setdefault(fold_key(operator.variants.text), []).append((operator, bucket))

    def remove(self, operator: ValueOperator, bucket: B) -> None:
        assert isinstance(operator, EqualsIgnoreCase)
        _remove_from(self._filed, fold_key(operator.variants.text), (operator, bucket))


class PrefixFacet(Generic[B]):
    """Wildcards that begin with text."""

    __slots__ = ("_filed",)
    sees_texts: ClassVar[bool] = True
    sees_others: ClassVar[bool] = False
    shared_by: ClassVar[int] = 4

    def __init__(self) -> None:
        self._filed: AffixIndex[tuple[ValueOperator, B]] = AffixIndex()

    def probe(self, value: Any, hits: list[B]) -> None:
        for operator, bucket in self._filed.prefixes_of(value):
            if operator.holds(value):
                hits.append(bucket)

    def add(self, operator: ValueOperator, bucket: B) -> None:
        self._filed.add(affix_of(operator), (operator, bucket))

    def remove(self, operator: ValueOperator, bucket: B) -> None:
        self._filed.remove(affix_of(operator), (operator, bucket))


class SuffixFacet(Generic[B]):
    """`suffix`, and wildcards that only end with text."""

    __slots__ = ("_filed",)
    sees_texts: ClassVar[bool] = True
    sees_others: ClassVar[bool] = False
    shared_by: ClassVar[int] = 4

    def __init__(self) -> None:
        self._filed: AffixIndex[tuple[ValueOperator, B]] = AffixIndex()

    def probe(self, value: Any, hits: list[B]) -> None:
        for operator, bucket in self._filed.prefixes_of(value[::-1]):
            if type(operator) is Suffix or operator.holds(value):
                hits.append(bucket)

    def add(self, operator: ValueOperator, bucket: B) -> None:
        self._filed.add(affix_of(operator)[::-1], (operator, bucket))

    def remove(self, operator: ValueOperator, bucket: B) -> None:
        self._filed.remove(affix_of(operator)[::-1], (operator, bucket))


class ScannedFacet(Generic[B]):
    """Everything that has to be asked, value by value; `exists: true` among them."""

    __slots__ = ("_filed",)
    sees_texts: ClassVar[bool] = True
    sees_others: ClassVar[bool] = True
    shared_by: ClassVar[int] = 1

    def __init__(self) -> None:
        self._filed: dict[ValueOperator, B] = {}

    def probe(self, value: Any, hits: list[B]) -> None:
        for operator, bucket in self._filed.items():
            if operator.holds(value):
                hits.append(bucket)

    def add(self, operator: ValueOperator, bucket: B) -> None:
        self._filed[operator] = bucket

    def remove(self, operator: ValueOperator, bucket: B) -> None:
        del bucket
        del self._filed[operator]


def facet_type(operator: ValueOperator) -> type[Facet[Any]] | None:  # Any: whatever buckets are
    """The facet that files an operator; None for exact strings and prefixes, which are dictionaries of their own."""
    match operator:
        case Text() | Prefix():
            return None
        case NumberLiteral() | NumericRange():
            return NumberFacet
        case Constant():
            return ConstantFacet
        case AddressText() | Cidr():
            return AddressFacet
        case EqualsIgnoreCase():
            return FoldedFacet
        case Suffix():
            return SuffixFacet
        case Wildcard(_, pieces) if pieces.pieces[0]:
            return PrefixFacet
        case Wildcard(_, pieces) if pieces.pieces[-1]:
            return SuffixFacet
        case _:
            return ScannedFacet


def affix_of(operator: ValueOperator) -> str:
    """The text that every string an operator holds for begins with (or ends with, if filed by that); maybe empty."""
    match operator:
        case Prefix(text) | Suffix(text):
            return text
        case Wildcard(_, pieces):
            return pieces.pieces[0] or pieces.pieces[-1]
        case _:
            return ""


def _number_of(operator: ValueOperator) -> int | float | LossyNumber:
    if isinstance(operator, NumericRange):
        return operator.low
    assert isinstance(operator, NumberLiteral)
    return operator.number


def _address_key(operator: ValueOperator) -> tuple[tuple[int, int], tuple[int, Address]]:
    if isinstance(operator, AddressText):
        bits, number = operator.address
        return (bits, 0), (0, (bits, number))
    assert isinstance(operator, Cidr)
    bits, low = operator.low
    host_bits = (low ^ operator.high[1]).bit_length()
    return (bits, host_bits), (host_bits, (bits, low >> host_bits))


K = TypeVar("K")
V = TypeVar("V")


def _remove_from(filed: dict[K, list[V]], key: K, thing: V) -> None:
    filed[key].remove(thing)
    if not filed[key]:
        del filed[key]
