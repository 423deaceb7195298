"""Conditions: CEL predicates over `event`, `steps`, `inputs`, `workflow`, `run` and `tenant`.

Guarantee: what `compile_condition` accepts can be evaluated on any JSON context in bounded time and never raises; an
error that nothing absorbs makes the condition false and is told in `Outcome.error`. There is no clock in it.
Only the paths that an expression names are handed to the library, whose cost grows with what it is handed.
Next: `cel_analysis.py` (what an expression names), `schema_paths.py` (whether that can exist).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from cel_expr_python import cel
from cel_expr_python.ext import ext_strings

from shared.domain.errors import Flaw, InvalidInput
from shared.expressions.cel_analysis import Analysis, analyse
from shared.expressions.cel_errors import compile_refusals, evaluation_error
from shared.expressions.cel_paths import Comparison, Reference, spell
from shared.expressions.cel_syntax import Call, Comprehension, ListLiteral, Node, Select, StructLiteral, parse_tree
from shared.expressions.picking import Measure, PathTree, TooHeavyError, as_tree, heaviest, measure, pick
from shared.expressions.schema_paths import Schema, absent_segment, may_hold, suggestion

ROOTS: Final = frozenset({"event", "steps", "inputs", "workflow", "run", "tenant"})
CONDITION_CHARACTERS_MAX: Final = 4_096
CONDITION_WORK_MAX: Final = 2_000_000
"""Comparisons that the macros of one evaluation may come to, about 60 ms at worst."""
CONDITION_PATTERN_WORK_MAX: Final = 8_000_000
"""States times characters that the patterns of one evaluation may come to, up to 20 ns each."""
CONDITION_GROWTH_MAX: Final = 64
"""How many copies of an input a chain of `map` may build: `.map(x, x + x)` thirty times over is 2^30."""
CONDITION_CACHE_ENTRIES: Final = 4_096

_ROUNDS_MAX: Final = 10_000  # the library's own bound on the rounds of all macros
_GROWING: Final = frozenset({"replace", "join", "format", "strings.quote", "reverse"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """`error` says why a condition that could not be evaluated counts as false."""

    value: bool
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A compiled condition; equal texts share one. `paths` are all that evaluation looks at in the context."""

    text: str
    paths: tuple[tuple[str, ...], ...]
    _analysis: Analysis
    _tree: PathTree
    # Any: the library ships no types
    _expression: Any

    @property
    def conjunctions(self) -> tuple[int, ...]:
        """Where, in code points, the `&&` stand that join what must all hold: `conjuncts.py` takes it apart there."""
        return self._analysis.conjunctions

    def evaluate(self, context: Mapping[str, object]) -> Outcome:
        """`context` maps roots to JSON values; a root that is not there is an empty object."""
        try:
            activation = {
                root: pick(below, value) if (value := context.get(root)) is not None else {}
                for root, below in self._tree.items()
            }
            if self._analysis.loop_depth:
                self._refuse_heavy_loops(context)
            if self._analysis.pattern_size:
                self._refuse_heavy_patterns(context)
            outcome = self._expression.eval(data=activation)
        except TooHeavyError as heavy:
            return Outcome(value=False, error=str(heavy))
        except (RuntimeError, ValueError, TypeError, OverflowError) as error:
            return self._failed(str(error), context)
        value = outcome.value()
        if value is True:
            return _TRUE
        if value is False:
            return _FALSE
        kind = outcome.type()
        if kind == cel.Type.ERROR:
            return self._failed(str(value), context)
        return Outcome(value=False, error=f"the result is {kind.name().lower()}, not true or false")

    def _failed(self, message: str, context: Mapping[str, object]) -> Outcome:
        missing = (spell(path) for path in self.paths if not _exists(context, path))
        return Outcome(value=False, error=evaluation_error(message, missing))

    def _refuse_heavy_loops(self, context: Mapping[str, object]) -> None:
        """Bounds the rounds of all macros, times what each round reads anew and the list it copies to add to it."""
        analysis = self._analysis
        in_rounds = analysis.loop_pattern_weight
        in_rounds += sum(count * measure(_value_at(context, path)).weight for path, count in analysis.loop_paths)
        in_rounds += sum(count * heaviest(_value_at(context, path)) for path, count in analysis.outer_items)
        if not (analysis.builds or analysis.outer_unknowns) and in_rounds * _ROUNDS_MAX <= CONDITION_WORK_MAX:
            return
        measures = [measure(_value_at(context, path)) for path in self.paths]
        in_rounds += analysis.outer_unknowns * analysis.growth * sum(found.weight for found in measures)
        longest = self._longest_range(measures)
        rounds = min(_ROUNDS_MAX, longest**analysis.loop_depth)
        if rounds * (in_rounds + 2 * longest * analysis.builds) > CONDITION_WORK_MAX:
            raise TooHeavyError("its macros would compare too much: name a smaller list")

    def _longest_range(self, measures: Sequence[Measure]) -> int:
        """How many rounds one macro may take."""
        analysis = self._analysis
        longest = max((found.longest for found in measures), default=0)
        if analysis.splits:
            longest = max(longest, *(found.longest_text for found in measures), 0)
        if analysis.open_ranges:
            longest = max(longest * analysis.growth, len(self.text) // 2)
        return longest

    def _refuse_heavy_patterns(self, context: Mapping[str, object]) -> None:
        """Bounds the states of all patterns, times the characters that each of them may have to be matched against."""
        analysis = self._analysis
        measures = [measure(_value_at(context, path)) for path in self.paths]
        characters = len(self.text) + max((found.longest_text for found in measures), default=0)
        if analysis.joins_texts:
            characters *= max(1, len(analysis.references)) * analysis.growth
        rounds = 1
        if analysis.loop_pattern_size:
            rounds = min(_ROUNDS_MAX, self._longest_range(measures) ** analysis.loop_depth)
        size = analysis.pattern_size + max(rounds - 1, 0) * analysis.loop_pattern_size
        if size * characters > CONDITION_PATTERN_WORK_MAX:
            raise TooHeavyError("its patterns would be too costly on a text this long: shorten their repetitions")


def compile_condition(
    text: str,
    *,
    pointer: str = "#/if",
    roots: frozenset[str] = ROOTS,
    data_schemas: Sequence[Schema] = (),
    known_steps: frozenset[str] | None = None,
) -> Condition:
    """Checks and compiles; raises InvalidInput with a flaw at `pointer` for each thing found.

    `data_schemas` are the JSON Schemas of `event.data`, one for each event type of the trigger: a path below
    `event.data` must have a place in one of them, except below `data.raw`, and be compared with literals of its type only.
    `known_steps` are the steps that stand upstream, None where any may be named.
    """
    if error := _unreadable(text):
        raise InvalidInput(_TITLE, [Flaw(pointer=pointer, detail=error)])
    condition, refusals = _compile(text, roots)
    details = list(refusals)
    for reference in condition._analysis.references if condition else ():
        details += _schema_refusals(reference, data_schemas, text)
        details += _step_refusals(reference, known_steps, text)
    for comparison in condition._analysis.comparisons if condition else ():
        details += _clash_refusals(comparison, data_schemas, text)
    if details or condition is None:
        raise InvalidInput(_TITLE, [Flaw(pointer=pointer, detail=detail) for detail in dict.fromkeys(details)])
    return condition


_TITLE: Final = "the condition can't be used"
_TRUE: Final = Outcome(value=True)
_FALSE: Final = Outcome(value=False)


def _unreadable(text: str) -> str | None:
    if len(text) > CONDITION_CHARACTERS_MAX:
        return f"{len(text)} characters; a condition has at most {CONDITION_CHARACTERS_MAX}"
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return f"half of a surrogate pair at character {error.start + 1}"
    return None


@lru_cache(maxsize=8)
def _environment(roots: frozenset[str]) -> Any:  # Any: the library ships no types
    an_object = cel.Type.Map(cel.Type.STRING, cel.Type.DYN)
    return cel.NewEnv(variables=dict.fromkeys(roots, an_object), extensions=[ext_strings.ExtStrings()])


@lru_cache(maxsize=CONDITION_CACHE_ENTRIES)
def _compile(text: str, roots: frozenset[str]) -> tuple[Condition | None, tuple[str, ...]]:
    """The condition, and what makes it unusable; None where the library does not even take it."""
    try:
        expression = _environment(roots).compile(text)
        serialized = expression.serialize()
    except RuntimeError as error:
        return None, compile_refusals(str(error), text, roots)
    tree = parse_tree(serialized)
    analysis = analyse(tree, roots)
    refusals = list(_refusals(tree, analysis, text))
    kind = expression.return_type()
    if kind not in (cel.Type.BOOL, cel.Type.DYN):
        refusals.append(f"the result is {kind.name().lower()}, not true or false: compare it with something")
    condition = Condition(
        text=text, paths=analysis.paths, _analysis=analysis, _tree=as_tree(analysis.paths), _expression=expression
    )
    return condition, tuple(refusals)


def _refusals(tree: Node, analysis: Analysis, text: str) -> Iterable[str]:
    for offset in analysis.messages:
        yield f"protobuf messages are not part of conditions ({_place(text, offset)})"
    for call in _calls(tree):
        if call.function in _GROWING:
            yield f"{call.function}() can make text grow without bound ({_place(text, call.offset)})"
    if analysis.growth > CONDITION_GROWTH_MAX:
        yield f"its chain of map() can copy a value {analysis.growth} times; at most {CONDITION_GROWTH_MAX}"
    for pattern, offset in analysis.patterns:
        if pattern is None:
            yield f"matches() takes a pattern written out, not a computed one ({_place(text, offset)})"
        elif error := _pattern_error(pattern):
            yield f"{error} ({_place(text, offset)})"


@lru_cache(maxsize=1)
def _pattern_probe() -> Any:  # Any: the library ships no types
    return cel.NewEnv(variables={"pattern": cel.Type.STRING}).compile("''.matches(pattern)")


def _pattern_error(pattern: str) -> str | None:
    outcome = _pattern_probe().eval(data={"pattern": pattern})
    return None if outcome.type() != cel.Type.ERROR else evaluation_error(str(outcome.value()), ())


def _schema_refusals(reference: Reference, schemas: Sequence[Schema], text: str) -> Iterable[str]:
    path = reference.path
    if not schemas or path[:2] != ("event", "data") or path[2:3] == ("raw",):
        return
    absent = [(absent_segment(schema, path[2:]), schema) for schema in schemas]
    indexes = [index for index, _ in absent if index is not None]
    if len(indexes) < len(schemas):
        return
    deepest = max(indexes)
    close = next((s for i, schema in absent if i == deepest and (s := suggestion(schema, path[2:], i))), None)
    mend = f"did you mean {close}?" if close else "only event.data.raw holds what the schema does not name"
    named = spell(path[: deepest + 3])
    yield f"{named} is not in the schema of the event type: {mend} ({_place(text, reference.offset)})"


def _clash_refusals(comparison: Comparison, schemas: Sequence[Schema], text: str) -> Iterable[str]:
    path = comparison.path
    if not schemas or path[:2] != ("event", "data") or path[2:3] == ("raw",):
        return
    having = [schema for schema in schemas if absent_segment(schema, path[2:]) is None]
    kind, kinds = ("text", ["string"]) if isinstance(comparison.literal, str) else ("a number", ["integer", "number"])
    if having and not any(may_hold(schema, path[2:], kinds) for schema in having):
        place = _place(text, comparison.offset)
        yield f"{spell(path)} is never {kind} by the schema of the event type: compare it with what it is ({place})"


def _step_refusals(reference: Reference, known: frozenset[str] | None, text: str) -> Iterable[str]:
    if known is None or reference.path[0] != "steps" or len(reference.path) < 2 or reference.path[1] in known:
        return
    choice = ", ".join(sorted(known)) or "none"
    named = spell(reference.path[:2])
    yield f"{named} is no step upstream of this one (those are: {choice}) ({_place(text, reference.offset)})"


def _calls(node: Node) -> Iterable[Call]:
    match node:
        case Call(args=parts):
            yield node
        case Select(operand=operand):
            parts = (operand,)
        case ListLiteral(elements=parts) | StructLiteral(parts=parts):
            pass
        case Comprehension():
            parts = (node.iterated, node.initial, node.condition, node.step, node.result)
        case _:
            parts = ()
    for part in parts:
        yield from _calls(part)


def _place(text: str, offset: int) -> str:
    before = text[:offset]
    return f"line {before.count(chr(10)) + 1}, column {len(before) - (before.rfind(chr(10)) + 1) + 1}"


def _value_at(context: Mapping[str, object], path: tuple[str, ...]) -> object:
    """The value there, or None: for weighing, what is missing is as light as null."""
    value: object = context
    for segment in path:
        if not isinstance(value, Mapping) or segment not in value:
            return None
        value = value[segment]
    return value


def _exists(context: Mapping[str, object], path: tuple[str, ...]) -> bool:
    *parents, last = path
    holder = _value_at(context, tuple(parents))
    return isinstance(holder, Mapping) and last in holder
