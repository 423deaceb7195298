"""Texts found by what they begin with: of many prefixes, those that a text has, one look-up per length in use.

However alike the prefixes are (`cus_…`, `arn:aws:…`), what is not filed costs no more than that. Suffixes are prefixes
of reversed texts.
Next: `facets.py`.
"""

from collections import Counter
from typing import Generic, TypeVar

T = TypeVar("T")


class AffixIndex(Generic[T]):
    """Things filed under prefixes; several may share one."""

    __slots__ = ("_filed", "_lengths")

    def __init__(self) -> None:
        self._filed: dict[str, list[T]] = {}
        self._lengths: Counter[int] = Counter()  # of distinct prefixes

    def add(self, prefix: str, thing: T) -> None:
        """File a thing."""
        if prefix not in self._filed:
            self._filed[prefix] = []
            self._lengths[len(prefix)] += 1
        self._filed[prefix].append(thing)

    def remove(self, prefix: str, thing: T) -> None:
        """Take a thing out again."""
        self._filed[prefix].remove(thing)
        if not self._filed[prefix]:
            del self._filed[prefix]
            self._lengths[len(prefix)] -= 1
            if not self._lengths[len(prefix)]:
                del self._lengths[len(prefix)]

    def prefixes_of(self, text: str) -> list[T]:
        """Everything filed under a prefix of `text`."""
        found: list[T] = []
        filed, size = self._filed, len(text)
        for length in self._lengths:
            if length <= size:
                head = text[:length]
                if head in filed:
                    found += filed[head]
        return found

    @property
    def is_empty(self) -> bool:
        """Whether nothing is filed."""
        return not self._filed
