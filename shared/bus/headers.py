"""A record's headers: names and values, in order; a name may stand more than once.

Anything that is a sequence of (name, value) pairs will do. What Upshot itself writes and stores comes as `HeaderColumns`:
records name nearly always the same headers, so the names are one tuple that they share, and a record costs no pair a header;
nor a value of its own where all are written in ASCII, as nearly always: some twenty objects less to make, keep and let go
again, four times an event.
"""

from collections.abc import Iterator, Sequence
from typing import overload

Headers = Sequence[tuple[str, bytes]]
"""Not to be changed once a record has them; equal to any other sequence of the same pairs where both are tuples or columns."""


class HeaderColumns(Sequence[tuple[str, bytes]]):
    """Headers as two columns of one length; the pairs are made for whoever asks for them.

    `in_line`: all values one behind the other, and the length of each, where they came that way.
    """

    __slots__ = ("_values", "in_line", "names")

    def __init__(self, names: tuple[str, ...], values: tuple[bytes, ...]) -> None:
        self.names = names
        self._values: tuple[bytes, ...] | None = values
        self.in_line: tuple[str, tuple[int, ...]] | None = None

    @classmethod
    def of_texts(cls, names: tuple[str, ...], texts: Sequence[str]) -> "HeaderColumns":
        """Of values that are texts; they stand as UTF-8. Raises ValueError where one has half of a surrogate pair."""
        line = "".join(texts)
        if not line.isascii():
            return cls(names, tuple([text.encode() for text in texts]))
        columns = cls(names, ())
        columns._values, columns.in_line = None, (line, tuple(map(len, texts)))
        return columns

    @property
    def values(self) -> tuple[bytes, ...]:
        if self._values is None:
            assert self.in_line is not None  # one of the two always is there
            line, lengths = self.in_line
            text, at = line.encode(), 0
            self._values = tuple([text[at : (at := at + length)] for length in lengths])
        return self._values

    def followed_by(self, name: str, value: bytes) -> "HeaderColumns":
        """These and one more behind them."""
        return HeaderColumns((*self.names, name), (*self.values, value))

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        return zip(self.names, self.values, strict=True)

    @overload
    def __getitem__(self, index: int) -> tuple[str, bytes]: ...

    @overload
    def __getitem__(self, index: slice) -> "HeaderColumns": ...

    def __getitem__(self, index: int | slice) -> "tuple[str, bytes] | HeaderColumns":
        if isinstance(index, slice):
            return HeaderColumns(self.names[index], self.values[index])
        return self.names[index], self.values[index]

    def __eq__(self, other: object) -> bool:
        if isinstance(other, HeaderColumns):
            return self.names == other.names and self.values == other.values
        if isinstance(other, tuple):
            return tuple(self) == other
        return NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self))  # as the tuple of pairs that it equals

    def __repr__(self) -> str:
        return repr(tuple(self))


def columns_of(headers: Headers) -> HeaderColumns:
    """The same headers as columns."""
    if type(headers) is HeaderColumns:
        return headers
    return HeaderColumns(tuple([name for name, _ in headers]), tuple([value for _, value in headers]))
