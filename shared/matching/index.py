"""Many patterns asked at once: which of 100,000 rules an event matches, at the cost of the few that it meets.

    index = PatternIndex()
    index.add("refunds", pattern)
    index.candidates(event)      # the ids of all rules that match, no others

Every rule is in an index written in Python, which answers for any event. Where the compiled kernel is there, what it
knows of rules is in the kernel's index, too, and the rest once more in a small one in Python: for plain events, which
nearly all are, these two answer together.
Guarantee: after any adds and removes the same answer as `matches` for each rule, or `TooMuchWork`: an event's arrays cost no
more than one event may (`work.py`). Adding and removing touch one rule's
places only. Not safe for use from several threads at once.
Next: `index_node.py`, how rules are filed and met; `native/`, the kernel.
"""

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Final, Generic, TypeVar

from shared.matching import native
from shared.matching.asking import Asking
from shared.matching.evaluate import verdict
from shared.matching.event import EventFields
from shared.matching.index_bucket import Placed
from shared.matching.index_cost import PathUse
from shared.matching.index_node import Node
from shared.matching.index_rest import Rests
from shared.matching.native.encode import encoded
from shared.matching.pattern import Pattern
from shared.matching.work import WORK_MAX

R = TypeVar("R", bound=Hashable)

# What compiling costs, about 2 ms, is lost by then in slower walks. So rules that bring new paths one after the other
# never cause a compilation each.
WALKS_BEFORE_CODE: Final = 500
ALTERNATIVES_MAX: Final = 100_000
"""That are asked one by one: some 100 ms."""
_RECONSIDERED_PER_ADD = 2  # more than are queued, so the queue keeps up


class PatternIndex(Generic[R]):
    """Rules by id, each with one or several patterns of which one must match."""

    candidates: Callable[[EventFields], list[R]]
    """`candidates(event)`: the ids of the rules that match, each once, in no particular order. Raises `TooMuchWork` where the
    arrays of the event take too much of it (`asking.py`): then `in_order` says what can be said."""

    def __init__(
        self, *, walks_before_code: int = WALKS_BEFORE_CODE, use_kernel: bool = True, work_max: int = WORK_MAX
    ) -> None:
        """`walks_before_code`: events that a level answers with its paths as they are before its walk is written out.
        `use_kernel`: whether the compiled kernel answers where it is there and can."""
        self._paths: dict[str, PathUse] = {}
        self._asking = Asking(self._paths, work_max)
        rests = Rests(self._asking)
        self._root: Node[R] = Node(self._paths, rests, self._asking, None, walks_before_code)
        self._kernel: native.Index[R] | None = native.new_index() if use_kernel else None
        # what the kernel does not know
        self._beside: Node[R] = Node(self._paths, rests, self._asking, None, walks_before_code)
        self._placed: dict[R, tuple[Placed[R], ...]] = {}
        self._to_reconsider: deque[Placed[R]] = deque()
        if self._kernel is None:
            self.candidates = self._candidates_in_python
        else:
            self.candidates = self._kernel.candidates  # itself: one more call would cost a tenth of the parse
            self._note_those_beside(self._kernel)

    def __len__(self) -> int:
        return len(self._placed)

    def __contains__(self, rule_id: R) -> bool:
        return rule_id in self._placed

    @property
    def members(self) -> frozenset[str]:
        """The members of an event that some rule looks at, or into; others without a dot may be left out of what is asked."""
        return frozenset(path.partition(".")[0] for path in self._paths)

    @property
    def is_bare(self) -> bool:
        """Whether nothing of any rule is left, as before the first."""
        is_bare = not self._placed and not self._paths and self._root.is_bare and self._beside.is_bare
        return is_bare and (self._kernel is None or self._kernel.is_bare)

    def add(self, rule_id: R, *patterns: Pattern) -> None:
        """Add a rule, or put new patterns in the place of its old ones."""
        self.remove(rule_id)
        placed: list[Placed[R]] = []
        for alternative in dict.fromkeys(each for pattern in patterns for each in pattern.alternatives):
            for field in alternative.fields:
                self._paths.setdefault(field.path, PathUse(field.path)).note(field.operators)
            one = Placed(rule_id, alternative, alternative.fields)
            self._root.place(one, may_be_sure=True)
            if self._kernel is not None:
                self._tell(self._kernel, one)
            placed.append(one)
            if one.remaining:
                self._queue(one)
        self._placed[rule_id] = tuple(placed)
        for _ in range(_RECONSIDERED_PER_ADD):
            if self._to_reconsider and self._to_reconsider[0].filed_at * 2 <= len(self._placed):
                self._reconsider(self._to_reconsider.popleft())

    def remove(self, rule_id: R) -> bool:
        """Take a rule out; whether it was there."""
        placed = self._placed.pop(rule_id, None)
        if placed is None:
            return False
        for one in placed:
            one.withdraw()
            self._retract(one)
            for field in one.alternative.fields:
                use = self._paths[field.path]
                use.users -= 1
                if not use.users:
                    del self._paths[field.path]
        return True

    def in_order(self, event: EventFields, rule_ids: Iterable[R]) -> Iterator[tuple[R, bool | None]]:
        """Whether each rule matches, asked one by one in this order. None: what one event's arrays may cost was used up before
        (or it was not one of the first `ALTERNATIVES_MAX` alternatives), and nothing outside them refuses it.

        As if `evaluate.verdict` were asked of each with the same `Looked`: what is in the index, and how it is filed, plays no
        part. So whoever asks is told the same.
        """
        looked = self._asking.afresh(event)
        asked = 0
        for rule_id in rule_ids:
            alternatives = [placed.alternative for placed in self._placed[rule_id]]
            asked += len(alternatives)
            yield rule_id, verdict(alternatives, looked) if asked <= ALTERNATIVES_MAX else None

    def _candidates_in_python(self, event: EventFields) -> list[R]:
        found: list[R] = []
        try:
            self._root.collect(event, found, False)
        finally:
            self._asking.end()
        return found if len(found) < 2 else list(dict.fromkeys(found))

    def _add_those_beside(self, event: EventFields, found: list[R]) -> None:
        try:
            self._beside.collect(event, found, False)
        finally:
            self._asking.end()

    def _note_those_beside(self, kernel: "native.Index[R]") -> None:
        kernel.connect(self._candidates_in_python, self._add_those_beside if self._beside.size else None)

    def _tell(self, kernel: "native.Index[R]", placed: Placed[R]) -> None:
        """Let plain events find an alternative: in the kernel, under the same field, or else beside it."""
        assert placed.filed_under is not None
        fields = encoded((placed.filed_under, *placed.remaining))
        if fields is not None:
            placed.told = kernel.add(placed.rule_id, fields)
        else:
            placed.told = Placed(placed.rule_id, placed.alternative, placed.alternative.fields)
            self._beside.place(placed.told, may_be_sure=True)
            self._note_those_beside(kernel)

    def _retract(self, placed: Placed[R]) -> None:
        told, placed.told = placed.told, None
        if self._kernel is None or told is None:
            return
        if isinstance(told, Placed):
            told.withdraw()
            self._note_those_beside(self._kernel)
        else:
            self._kernel.remove(told)

    def _reconsider(self, placed: Placed[R]) -> None:
        """Early rules are filed knowing little: look at each again once the index has doubled since."""
        if placed.node is not None:
            before = placed.filed_under
            self._root.reconsider(placed)
            if self._kernel is not None and placed.filed_under is not before:
                self._retract(placed)
                self._tell(self._kernel, placed)
            self._queue(placed)

    def _queue(self, placed: Placed[R]) -> None:
        placed.filed_at = len(self._placed)
        self._to_reconsider.append(placed)
