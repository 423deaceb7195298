"""The walk of one level written out as Python source: each key a line, each nested object entered once.

It takes nearly every event: what lies in an array is seen element by element, as `index_walk.py` does. Where an event
has a key with dots or a duplicate member on the way, it says so, and `index_walk.py` answers instead; what was found by
then is found truly.
Guarantee: what it finds matches, and where it got through, nothing is missing.
Next: `index_rest.py`, what is still asked of a rule that was met.
"""

from collections.abc import Callable
from typing import Any, Final, Protocol

from shared.matching.event import EventFields
from shared.matching.index_source import Source, as_parsed
from shared.matching.index_walk import Step

Walk = Callable[[EventFields, list[Any]], bool]
"""`walk(event, found)` adds the ids of the rules that match, some maybe twice; False: this event takes the other way."""

# Up to so many keys are asked for one by one; of more, those that the event has are looked up.
_ONE_BY_ONE_MAX: Final = 8
_DEPTH_MAX: Final = 60  # Python indents at most 100 times; deeper paths take the other way


class Level(Protocol):
    """What a walk leaves to its level."""

    absent: dict[str, Any]

    def meet_absent(self, event: EventFields, found: list[Any], in_arrays: bool) -> None:
        """Add the rules that match for want of a value; called while `absent` has any."""

    def meet_in_arrays(self, event: EventFields, hits: list[Any], found: list[Any]) -> None:
        """Add the rules that match of those that values in arrays led to."""


def write_walk(top: Step[Any], level: Level) -> Walk:
    """The walk of a level whose paths begin at `top`, to be written anew when the steps change."""
    source = Source()
    source.line(0, "if type(event) is not dict: return False")
    source.line(0, "hits = []")
    source.line(0, "deep = None")  # once an array was on the way: what its elements lead to
    _Writer(source).object(top, "event", 0)
    source.line(0, "for met in hits:")
    source.line(1, "meet = met.meet")
    source.line(1, "meet(event, met, found)")
    source.line(0, f"if deep is not None: {source.bind(level.meet_in_arrays)}(event, deep, found)")
    source.line(0, f"if {source.bind(level.absent)}: {source.bind(level.meet_absent)}(event, found, deep is not None)")
    source.line(0, "return True")
    return source.function("event", "found")


class _Writer:
    """Writes what is done with the values of an event."""

    def __init__(self, source: Source) -> None:
        self._line = source.line
        self._bind = source.bind
        self._in_array = source.bind(_seen_in_array)

    def object(self, step: Step[Any], node: str, depth: int) -> None:
        """What an object at `step` leads to; the object is called `node`."""
        dotted = [key for key in step.below if "." in key]
        if len(dotted) > _ONE_BY_ONE_MAX:
            self._line(depth, f"if not {self._bind(frozenset(dotted).isdisjoint)}({node}): return False")
        elif dotted:
            there = " or ".join(f"{self._bind(key)} in {node}" for key in dotted)
            self._line(depth, f"if {there}: return False")
        ways = {key: child for key, child in step.below.items() if "." not in key}
        if len(ways) > _ONE_BY_ONE_MAX:
            self._many(ways, node, depth)
        else:
            for key, child in ways.items():
                self._one(child, node, self._bind(as_parsed(key)), depth)

    def _many(self, ways: dict[str, Step[Any]], node: str, depth: int) -> None:
        known = self._bind({as_parsed(key): _seen_at(step) for key, step in ways.items()})
        common = f"[(key, {node}[key]) for key in {known} if key in {node}]"
        self._line(depth, f"for key, value in {node}.items() if len({node}) <= {len(ways)} else {common}:")
        self._line(depth + 1, f"if key in {known}:")
        self._line(depth + 2, f"texts, cut, heads, more, step = {known}[key]")
        self._line(depth + 2, "if type(value) is str:")
        self._meet("value", "texts", depth + 3)
        self._line(depth + 3, "if heads:")
        self._line(depth + 4, "head = value[cut]")
        self._meet("head", "heads", depth + 4)
        self._line(depth + 3, "if more: more(value, event, hits, found)")
        self._line(depth + 2, f"else: deep = {self._bind(_seen_otherwise)}(step, value, hits, deep)")

    def _one(self, step: Step[Any], node: str, key: str, depth: int) -> None:
        value, kind = f"v{depth}", f"t{depth}"
        self._line(depth, f"{value} = {node}.get({key})")
        self._line(depth, f"{kind} = type({value})")
        word = "if"
        if step.below:
            self._line(depth, f"if {kind} is dict:")
            if depth < _DEPTH_MAX:
                self.object(step, value, depth + 1)
            else:
                self._line(depth + 1, "return False")
            word = "elif"
        if step.texts or step.prefixes or step.on_texts:
            self._line(depth, f"{word} {kind} is str:")
            self._text(step, value, depth + 1)
            word = "elif"
        self._line(depth, f"{word} {kind} is list: deep = {self._in_array}({self._bind(step)}, {value}, deep)")
        if step.on_others:
            self._line(
                depth, f"elif {kind} is not str and {kind} is not dict and ({value} is not None or {key} in {node}):"
            )
            self._probes(step.on_others, value, depth + 1)

    def _text(self, step: Step[Any], value: str, depth: int) -> None:
        if step.texts:
            self._meet(value, self._bind(step.met_by_text), depth)
        for length in step.prefix_lengths:
            self._line(depth, f"head = {value}[{self._bind(slice(length))}]")
            self._meet("head", self._bind(step.met_by_prefix), depth)
        self._probes(step.on_texts, value, depth)

    def _probes(self, probes: tuple[Any, ...], value: str, depth: int) -> None:
        for probe in probes:
            self._line(depth, f"{self._bind(probe)}({value}, hits)")

    def _meet(self, text: str, filed: str, depth: int) -> None:
        self._line(depth, f"if {text} in {filed}:")
        self._line(depth + 1, f"met = {filed}[{text}]")
        self._line(depth + 1, "meet = met.meet")  # not met.meet(…), which looks for a method first
        self._line(depth + 1, "meet(event, met, found)")


def _seen_in_array(step: Step[Any], value: list[Any], deep: list[Any] | None) -> list[Any]:
    deep = [] if deep is None else deep
    step.see(value, deep)
    return deep


def _seen_otherwise(step: Step[Any], value: Any, hits: list[Any], deep: list[Any] | None) -> list[Any] | None:
    """Anything but a string. Of an object that has arrays, all counts as lying in them."""
    if type(value) is not dict:
        if type(value) is list:
            return _seen_in_array(step, value, deep)
        for probe in step.on_others:
            probe(value, hits)
    elif step.below:
        inner: list[Any] = []
        if step.walk(value, inner):
            return inner + (deep or [])
        hits += inner
    return deep


_Seen = tuple[dict[str, Any], slice, dict[str, Any], Callable[..., None] | None, Step[Any]]


def _seen_at(step: Step[Any]) -> _Seen:
    """What is asked about a string at a key: exact strings, prefixes of one length, and all else there is."""
    lengths = tuple(step.prefix_lengths)
    first = slice(lengths[0]) if lengths else slice(0)
    others, probes = tuple(map(slice, lengths[1:])), step.on_texts
    prefixes = step.met_by_prefix

    def more(value: str, event: EventFields, hits: list[Any], found: list[Any]) -> None:
        for cut in others:
            met = prefixes.get(value[cut])
            if met is not None:
                met.meet(event, met, found)
        for probe in probes:
            probe(value, hits)

    return step.met_by_text, first, prefixes, more if others or probes else None, step
