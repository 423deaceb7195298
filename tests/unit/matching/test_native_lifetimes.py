"""What the compiled index holds it lets go of, and neither code that runs meanwhile nor what it cannot take harms it."""

import gc
import sys
import tracemalloc
from typing import Any

import pytest

from shared.matching import native, parse_pattern
from shared.matching.native.encode import encoded

pytestmark = pytest.mark.skipif(
    not native.IS_THERE, reason="the matching kernel is not there: python scripts/kernel.py says why"
)


def _index_of(*documents: dict[str, Any]) -> "native.Index[int]":
    index = native.Index[int]()
    for number, document in enumerate(documents):
        told = encoded(parse_pattern(document).alternatives[0].fields)
        assert told is not None
        index.add(number, told)
    return index


def test_ids_and_values_are_neither_held_nor_let_go_too_often() -> None:
    told = encoded(parse_pattern({"t": ["some text", {"prefix": "so"}]}).alternatives[0].fields)
    assert told is not None
    index = native.Index[Any]()
    rule_id, text, key = object(), "".join(["some ", "text"]), "".join(["tt"])[:1]
    before = [sys.getrefcount(each) for each in (rule_id, text, told)]
    number = index.add(rule_id, told)
    event = {key: text}
    for _ in range(50):
        assert index.find(event) == [rule_id, rule_id]
        assert index.find({"t": [text]}) is None
    del event
    index.remove(number)

    assert [sys.getrefcount(each) for each in (rule_id, text, told)] == before


def test_memory_is_given_back() -> None:
    documents = [
        {"t": [f"text {number}"], "d": {f"k{number % 50}": [{"anything-but": [f"{number}"]}]}} for number in range(600)
    ]
    # In lists that grow, as no other field tells them apart; by several operators, of which some are filed by their lengths.
    documents += [{"t": [f"same {number % 20}", {"prefix": "p" * (1 + number % 9)}]} for number in range(400)]
    rules = [encoded(parse_pattern(each).alternatives[0].fields[::-1]) for each in documents]

    def cycle() -> None:
        index = native.Index[int]()
        numbers = []
        for number, told in enumerate(rules):
            assert told is not None
            numbers.append(index.add(number, told))
        for number in range(0, 1_000, 2):  # crowded: in a level of its own
            numbers.insert(
                number,
                index.add(number, (("t", False, ((0, f"a{number % 50}"),)), (f"u{number % 9}", False, ((0, "b"),)))),
            )
        for number in numbers[::2]:
            index.remove(number)

    def held_after(cycles: int) -> int:
        for _ in range(cycles):
            cycle()
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        warmed_up = held_after(2)
        assert held_after(4) - warmed_up < 1_000  # bytes, where a thousand rules came and went four times
    finally:
        tracemalloc.stop()


def test_the_collector_sees_what_the_index_holds() -> None:
    class Rule:
        index: Any = None

    gone: list[int] = []
    rule = Rule()
    rule.index = native.Index[Rule]()
    rule.index.connect(rule.__init__, None)
    rule.index.add(rule, (("t", False, ((0, "a"),)),))
    sentinel = _Sentinel(gone)
    rule.__dict__["sentinel"] = sentinel
    del rule, sentinel
    gc.collect()
    assert gone == [1]


class _Sentinel:
    def __init__(self, gone: list[int]) -> None:
        self._gone = gone

    def __del__(self) -> None:
        self._gone.append(1)


class _Key(str):
    """A string that is not quite one: comparing it runs code, and counts as any Python code may."""

    __slots__ = ("index", "refused")

    def __hash__(self) -> int:
        return str.__hash__(self)

    def __eq__(self, other: object) -> bool:
        try:
            self.index.add(2, (("t", False, ((0, "x"),)),))
        except RuntimeError:
            self.refused = True
        assert self.index.find({"t": "a"}) is None
        return str.__eq__(self, other)


def test_code_that_runs_meanwhile_cannot_change_the_index() -> None:
    index = _index_of({"t": ["a"]})
    key = _Key("t")
    key.index, key.refused = index, False
    event = {key: "a", **{f"k{number}": number for number in range(90)}}

    assert index.find(event) == [0]  # more members than are gone through: rules' keys are looked up among them
    assert key.refused
    assert index.find({"t": "a"}) == [0]


class _Emptying(_Key):
    """As it is compared, it lets go of what is being walked."""

    __slots__ = ("outer",)
    __hash__ = _Key.__hash__

    def __eq__(self, other: object) -> bool:
        self.outer.clear()
        gc.collect()
        return str.__eq__(self, other)


def test_what_is_walked_is_held_whatever_code_does_meanwhile() -> None:
    index = _index_of({"d": {"e": {"t": ["a"], "u": ["b"]}}, "z": ["c"]})
    key = _Emptying("t")
    event: dict[str, Any] = {
        "d": {"e": {key: "a", "u": "b", **{f"k{number}": "".join(["v"]) for number in range(90)}}},
        "z": "c",
    }
    key.outer = event["d"]

    assert index.find(event) in ([0], [])
    assert index.find({"d": {"e": {"t": "a", "u": "b"}}, "z": "c"}) == [0]


class _Repeating(_Key):
    """As it is compared, it puts the members of the outer object behind those that were walked already, a few times."""

    __slots__ = ("comparisons", "outer")
    __hash__ = _Key.__hash__

    def __eq__(self, other: object) -> bool:
        self.comparisons += 1
        if self.comparisons < 50:
            for member in ("a", "d"):
                self.outer[member] = self.outer.pop(member)
        return str.__eq__(self, other)


def test_an_event_that_changes_while_it_is_walked_is_left_to_others() -> None:
    index = _index_of({"d": {"t": ["y"]}, "a": ["x"]})
    text, key = "".join(["x", "y"]), _Repeating("t")
    key.comparisons = 0
    event: dict[str, Any] = {"a": text, "d": {key: "z", **{f"k{number}": 0 for number in range(90)}}}
    key.outer = event
    before = sys.getrefcount(text)

    assert index.find(event) is None
    assert sys.getrefcount(text) == before
    assert index.find({"d": {"t": "y"}, "a": "x"}) == [0]


def test_code_that_runs_while_a_rule_is_told_cannot_take_it_out_half_made() -> None:
    index = native.Index[str]()
    refused = []

    class Meddling(str):
        __slots__ = ()

        def __hash__(self) -> int:
            with pytest.raises(KeyError):
                index.remove(1)
            refused.append(True)
            index.add("other", (("q", False, ((0, "x"),)),))
            return 1

    fields = tuple((f"k{number}", False, ((0, "y"),)) for number in range(6))
    with pytest.raises(TypeError):
        index.add("half made", (*fields, (Meddling("b"), False, ((0, "y"),))))
    assert refused == [True]
    assert (len(index), index.find({"q": "x"})) == (1, ["other"])


def test_rules_can_be_taken_out_without_memory() -> None:
    hooks = pytest.importorskip("_testcapi")  # some Pythons come without
    index = native.Index[int]()
    numbers = [
        index.add(each, (("t", False, ((0, "x"),)), (f"k{each}", False, ((0, "y"),)))) for each in range(60)
    ]  # as many fields below one: a level with a look-up of its own
    for number in numbers[:30]:
        hooks.set_nomemory(0, 0)
        try:
            index.remove(number)
        finally:
            hooks.remove_mem_hooks()
    for each in range(60):
        assert index.find({"t": "x", f"k{each}": "y"}) == ([each] if each >= 30 else [])
    for number in numbers[30:]:
        index.remove(number)
    assert index.is_bare


@pytest.mark.parametrize(
    "fields",
    [
        (),
        [],
        ("t",),
        (("t", False),),
        (("t", False, []),),
        (("t", 1, ((0, "a"),)),),
        ((7, False, ((0, "a"),)),),
        (("t", False, ((0, 7),)),),
        (("t", False, ((0,),)),),
        (("t", False, ((9, "a"),)),),
        (("t", False, ((-1, "a"),)),),
        (("t", False, ((2**70, "a"),)),),
        (("t", False, (("a", "a"),)),),
        (("t", False, ((2, 1),)),),
        (("t", False, ((2, float("nan")),)),),
        (("t", False, ((3, 1.0, "x", 3),)),),
        (("t", False, ((3, 1.0, 2.0, 9),)),),
        (("t", False, ((4, 3),)),),
        (("t", False, ((6, ("a", 7)),)),),
        (("t", False, ((7, (1.0, "a")),)),),
        (("t", False, ((5,),)),),
        (("t", True, ((0, "a"),)),),
        (("t", False, ((1, ""),)),),
        (("t", False, ((3, float("-inf"), 1.0, 3),)),),
        (("t", False, ()),),
        (("t", False, ((0, "a"), (0, 7))),),
        (("t", False, ((0, "a"),)), ("u", False, ((0, 7),))),
        ((".".join("abcdefghijklmnopqr"), False, ((0, "a"),)),),
        (("t", False, tuple((0, str(number)) for number in range(65))),),
        tuple((f"k{number}", False, ((0, "a"),)) for number in range(17)),
    ],
)
def test_what_cannot_be_is_refused_and_leaves_nothing_behind(fields: Any) -> None:
    index = native.Index[int]()

    with pytest.raises((TypeError, ValueError, OverflowError)):
        index.add(1, fields)
    assert index.is_bare
    for number in (0, 1, 2**31):
        with pytest.raises(KeyError):
            index.remove(number)
