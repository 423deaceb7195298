"""What changed between two documents: a list of changes, each with its place, and the same in a line.

Guarantee: applied one after the other, in order, the changes make the old document the new one (as RFC 6902 has it);
equal documents have none; lists are compared by what their items are called (`id`), so that a step put in front of others
is one change. The cost is bounded: long lists that have little in common are compared place by place.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal

import orjson

from shared.workflows.document import Place, pointer_to

ALIGNED_CELLS_MAX = 100_000
"""Aligning two lists costs the product of their lengths, once what both begin and end with is set aside: for a whole comparison
at most this, 30 ms. Whoever saves a workflow of many long lists must not make others wait."""

_NAMED_MAX = 3
_COUNTED_MAX = 100
_POINTER_CHARACTERS_MAX = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentChange:
    """One change. `pointer` (`#/steps/0/with`) is where it is once the changes before it are made; `old` is None for
    what is added, `new` for what is removed."""

    op: Literal["add", "remove", "replace"]
    pointer: str
    old: object = None
    new: object = None


def changes_between(old: object, new: object) -> list[DocumentChange]:
    """From `old` to `new`, both JSON values. 1 and 1.0 differ: a body would be printed differently."""
    return list(_Comparison().changes(old, new, ()))


def changes_in_a_line(old: object, new: object) -> str:
    """For a list of revisions: `changed steps/0/with/body, added steps/1, and 2 more`. Counts no further than a hundred."""
    changes = list(islice(_Comparison().changes(old, new, ()), _COUNTED_MAX))
    if not changes:
        return "nothing changed"
    words = {"add": "added", "remove": "removed", "replace": "changed"}
    named = [f"{words[each.op]} {_short(each.pointer)}" for each in changes[:_NAMED_MAX]]
    if len(changes) > _NAMED_MAX:
        least = "at least " if len(changes) == _COUNTED_MAX else ""
        named.append(f"and {least}{len(changes) - _NAMED_MAX} more")
    return ", ".join(named)


def same(one: object, other: object) -> bool:
    """Whether two JSON values are printed alike, members in whatever order."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and one == other


class _Comparison:
    """One comparison, with what is left of what aligning lists may cost."""

    def __init__(self) -> None:
        self._cells_left = ALIGNED_CELLS_MAX

    def changes(self, old: object, new: object, place: Place) -> Iterator[DocumentChange]:
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            yield from self._member_changes(old, new, place)
        elif isinstance(old, list | tuple) and isinstance(new, list | tuple):
            yield from self._item_changes(old, new, place)
        elif not same(old, new):
            yield DocumentChange(op="replace", pointer=pointer_to(*place), old=old, new=new)

    def _member_changes(
        self, old: Mapping[str, object], new: Mapping[str, object], place: Place
    ) -> Iterator[DocumentChange]:
        for key, value in old.items():
            if key in new:
                yield from self.changes(value, new[key], (*place, key))
            else:
                yield DocumentChange(op="remove", pointer=pointer_to(*place, key), old=value)
        for key, value in new.items():
            if key not in old:
                yield DocumentChange(op="add", pointer=pointer_to(*place, key), new=value)

    def _item_changes(self, old: Sequence[object], new: Sequence[object], place: Place) -> Iterator[DocumentChange]:
        at = 0
        for before, after in self._aligned(old, new):
            # What stands next to each other and has no counterpart is taken for the same thing, changed.
            paired = min(len(before), len(after))
            for index in range(paired):
                yield from self.changes(before[index], after[index], (*place, at + index))
            at += paired
            for item in before[paired:]:
                yield DocumentChange(op="remove", pointer=pointer_to(*place, at), old=item)
            for item in after[paired:]:
                yield DocumentChange(op="add", pointer=pointer_to(*place, at), new=item)
                at += 1

    def _aligned(
        self, old: Sequence[object], new: Sequence[object]
    ) -> Iterator[tuple[Sequence[object], Sequence[object]]]:
        """Both lists cut into pieces that correspond: one item each where the two are of one name, else what is between."""
        one, other = list(map(_name, old)), list(map(_name, new))
        start = 0
        while start < min(len(one), len(other)) and one[start] == other[start]:
            start += 1
        end = 0
        while end < min(len(one), len(other)) - start and one[-1 - end] == other[-1 - end]:
            end += 1
        middle_old, middle_new = len(one) - end, len(other) - end
        common = self._common(one[start:middle_old], other[start:middle_new])
        yield old[:start], new[:start]
        left, right = start, start
        for index, counterpart in common:
            yield old[left : start + index], new[right : start + counterpart]
            left, right = start + index + 1, start + counterpart + 1
            yield old[left - 1 : left], new[right - 1 : right]
        yield old[left:middle_old], new[right:middle_new]
        yield old[middle_old:], new[middle_new:]

    def _common(self, one: Sequence[bytes], other: Sequence[bytes]) -> list[tuple[int, int]]:
        """Indices of a longest common subsequence; none where finding one would cost too much."""
        cells = len(one) * len(other)
        if not cells or cells > self._cells_left:
            return []
        self._cells_left -= cells
        return _longest_common(one, other)


def _longest_common(one: Sequence[bytes], other: Sequence[bytes]) -> list[tuple[int, int]]:
    lengths = [[0] * (len(other) + 1) for _ in range(len(one) + 1)]
    for i in range(len(one) - 1, -1, -1):
        for j in range(len(other) - 1, -1, -1):
            longer = max(lengths[i + 1][j], lengths[i][j + 1])
            lengths[i][j] = lengths[i + 1][j + 1] + 1 if one[i] == other[j] else longer
    found = []
    i = j = 0
    while i < len(one) and j < len(other):
        if one[i] == other[j]:
            found.append((i, j))
            i, j = i + 1, j + 1
        elif lengths[i + 1][j] >= lengths[i][j + 1]:
            i += 1
        else:
            j += 1
    return found


def _name(item: object) -> bytes:
    """What an item of a list is known by: its `id`, else all that it is."""
    name = item.get("id") if isinstance(item, Mapping) else None
    return orjson.dumps({"id": name} if isinstance(name, str) else [item], option=orjson.OPT_SORT_KEYS)


def _short(pointer: str) -> str:
    text = pointer.removeprefix("#/").replace("\n", " ")
    return text if len(text) <= _POINTER_CHARACTERS_MAX else f"{text[: _POINTER_CHARACTERS_MAX - 1]}…"
