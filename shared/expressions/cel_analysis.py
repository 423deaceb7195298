"""What can be known of a condition before any event: the paths it names, and how it could be made to grow.

Guarantee: every value that evaluation can touch lies at or below a path in `Analysis.paths`.
Next: `conditions.py` converts only those paths, and refuses what grows.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from shared.expressions.cel_paths import ITEM, Comparison, Path, Reference, convertible
from shared.expressions.cel_syntax import (
    Call,
    Comprehension,
    Const,
    Ident,
    ListLiteral,
    Node,
    Select,
    StructLiteral,
)
from shared.expressions.regex_size import regex_size

_SCALAR: Final = frozenset(
    {
        "_*_",
        "_-_",
        "_/_",
        "_%_",
        "_==_",
        "_!=_",
        "_<_",
        "_<=_",
        "_>_",
        "_>=_",
        "_&&_",
        "_||_",
        "!_",
        "-_",
        "@in",
        "size",
        "contains",
        "startsWith",
        "endsWith",
        "matches",
        "int",
        "uint",
        "double",
        "bool",
        "indexOf",
        "lastIndexOf",
        "type",
        "timestamp",
        "duration",
    }
)
"""Functions whose result does not hold what they are given."""

_COMPARING: Final = frozenset({"_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_"})

_NEVER_OUTER: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """`paths`: shortest string-only prefixes that cover all references, none a prefix of another.

    `loop_paths` are read anew in each round of a macro, so many times; `outer_items` likewise, in a macro inside the
    one that runs over them; `outer_unknowns` counts reads there of items of computed lists. `loop_depth` counts nested
    macros; `open_ranges` says that some macro runs over something other than a path, `splits` that lists are made of
    text, `builds` how many macros make a list (the library copies it in each round); `growth` bounds how many copies
    of an input `map` can build. `patterns` are the regular expressions with their offsets, None where not a literal;
    `pattern_size` is that of all of them together, `loop_pattern_size` of those inside macros; `joins_texts` says that
    some `+` may make longer texts of them to match against;
    `loop_pattern_weight` is what compiling those inside macros costs each round, in comparisons; `messages` are
    offsets of protobuf literals, `conjunctions` of the `&&` that join what must all hold; `comparisons` are those of a path
    with a literal.
    """

    references: tuple[Reference, ...]
    paths: tuple[tuple[str, ...], ...]
    loop_paths: tuple[tuple[tuple[str, ...], int], ...]
    outer_items: tuple[tuple[tuple[str, ...], int], ...]
    outer_unknowns: int
    loop_depth: int
    open_ranges: bool
    splits: bool
    builds: int
    growth: int
    patterns: tuple[tuple[str | None, int], ...]
    pattern_size: int
    loop_pattern_size: int
    loop_pattern_weight: int
    joins_texts: bool
    messages: tuple[int, ...]
    conjunctions: tuple[int, ...]
    comparisons: tuple[Comparison, ...]


def analyse(tree: Node, roots: frozenset[str]) -> Analysis:
    """Walks the tree once."""
    walk = _Walk(roots=roots)
    walk.visit(tree, {}, 0)
    return Analysis(
        references=tuple(walk.references),
        paths=_shortest({convertible(reference.path) for reference in walk.references}),
        loop_paths=tuple(walk.loop_paths.items()),
        outer_items=tuple(walk.outer_items.items()),
        outer_unknowns=walk.outer_unknowns,
        loop_depth=walk.loop_depth,
        open_ranges=walk.open_ranges,
        splits=walk.splits,
        builds=walk.builds,
        growth=walk.growth,
        patterns=tuple(walk.patterns),
        pattern_size=walk.pattern_size,
        loop_pattern_size=walk.loop_pattern_size,
        loop_pattern_weight=walk.loop_pattern_weight,
        joins_texts=walk.joins_texts,
        messages=tuple(walk.messages),
        conjunctions=tuple(sorted(_conjunctions(tree))),
        comparisons=tuple(walk.comparisons),
    )


@dataclass(frozen=True, slots=True)
class _Variable:
    """A macro's variable: the path whose elements it runs over, where there is one, and how deep its macro stands."""

    path: Path | None
    depth: int


_Scope: TypeAlias = Mapping[str, _Variable]


@dataclass(slots=True, kw_only=True)
class _Walk:
    roots: frozenset[str]
    references: list[Reference] = field(default_factory=list)
    loop_paths: Counter[tuple[str, ...]] = field(default_factory=Counter)
    outer_items: Counter[tuple[str, ...]] = field(default_factory=Counter)
    outer_unknowns: int = 0
    loop_depth: int = 0
    open_ranges: bool = False
    splits: bool = False
    builds: int = 0
    growth: int = 1
    patterns: list[tuple[str | None, int]] = field(default_factory=list)
    pattern_size: int = 0
    loop_pattern_size: int = 0
    loop_pattern_weight: int = 0
    joins_texts: bool = False
    messages: list[int] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)

    def visit(self, node: Node, scope: _Scope, depth: int, *, as_range: bool = False) -> None:
        path = self.trace(node, scope)
        if path is not None and not isinstance(node, Comprehension):
            base = _base(node)
            self.references.append(Reference(path=path, offset=base.offset))
            # What a macro runs over is counted by its rounds, and so are its items, but not in a macro inside it.
            variable = scope.get(base.name) if isinstance(base, Ident) else None
            if depth and not as_range:
                if variable is None:
                    self.loop_paths[convertible(path)] += 1
                elif variable.depth < depth:
                    self.outer_items[convertible(path)] += 1
            if isinstance(base, Comprehension):
                self.visit(base, scope, depth)
            return
        match node:
            case Ident(name=name) if name in scope and scope[name].depth < depth:
                self.outer_unknowns += 1
            case Select(operand=operand):
                self.visit(operand, scope, depth)
            case Call(function=function, args=args):
                if function in _COMPARING:
                    self.note_comparison(args, scope)
                if function == "matches" and args:
                    self.note_pattern(args[-1], depth)
                self.splits = self.splits or function == "split"
                self.joins_texts = self.joins_texts or function == "_+_"
                for arg in args:
                    self.visit(arg, scope, depth)
            case ListLiteral(elements=elements):
                for element in elements:
                    self.visit(element, scope, depth)
            case StructLiteral(message_name=name, parts=parts):
                if name:
                    self.messages.append(node.offset)
                for part in parts:
                    self.visit(part, scope, depth)
            case Comprehension():
                self.visit_loop(node, scope, depth)
            case _:
                pass

    def visit_loop(self, loop: Comprehension, scope: _Scope, depth: int) -> None:
        iterated = self.trace(loop.iterated, scope)
        self.open_ranges = self.open_ranges or iterated is None
        self.visit(loop.iterated, scope, depth, as_range=True)
        inner = {
            **scope,
            loop.accumulator: _Variable(None, _NEVER_OUTER),
            loop.variable: _Variable(None if iterated is None else (*iterated, ITEM), depth + 1),
        }
        self.loop_depth = max(self.loop_depth, depth + 1)
        for part in (loop.initial, loop.condition, loop.step, loop.result):
            self.visit(part, inner, depth + 1)
        if isinstance(loop.initial, ListLiteral):
            self.builds += 1
            if not _is_filter(loop):
                self.growth *= max(1, _copies(loop.step, loop.accumulator))

    def trace(self, node: Node, scope: _Scope) -> Path | None:
        """The path that a node denotes, or None where it computes something."""
        match node:
            case Ident(name=name):
                if name in scope:
                    return scope[name].path
                return (name,) if name in self.roots else None
            case Select(operand=operand, field=name):
                path = self.trace(operand, scope)
                return None if path is None else (*path, name)
            case Call(function="_[_]", args=(operand, Const(value=str() | int() as key))):
                path = self.trace(operand, scope)
                # A negative literal index is an error at evaluation; here it must not look like ITEM.
                return None if path is None else (*path, max(key, 0) if isinstance(key, int) else key)
            case Comprehension() if _is_filter(node):
                return self.trace(node.iterated, scope)
            case _:
                return None

    def note_comparison(self, args: tuple[Node, ...], scope: _Scope) -> None:
        for one, other in (args, args[::-1]):
            path = self.trace(one, scope)
            if path is not None and isinstance(other, Const) and other.value is not None:
                self.comparisons.append(Comparison(path=path, literal=other.value, offset=_base(one).offset))

    def note_pattern(self, node: Node, depth: int) -> None:
        if isinstance(node, Const) and isinstance(node.value, str):
            self.patterns.append((node.value, node.offset))
            size = regex_size(node.value)
            self.pattern_size += size
            if depth:
                self.loop_pattern_size += size
                self.loop_pattern_weight += 32 + 8 * max(size, len(node.value))
        else:
            self.patterns.append((None, node.offset))


def _conjunctions(node: Node) -> Iterator[int]:
    match node:
        case Call(function="_&&_", args=args):
            yield node.offset
            for arg in args:
                yield from _conjunctions(arg)
        case _:
            return


def _is_filter(loop: Comprehension) -> bool:
    """Its list holds elements of what it runs over, unchanged: `cond ? acc + [x] : acc`."""
    match loop.step:
        case Call(function="_?_:_", args=(_, Call(function="_+_", args=(_, ListLiteral(elements=(kept,)))), _)):
            return isinstance(kept, Ident) and kept.name == loop.variable and isinstance(loop.initial, ListLiteral)
        case _:
            return False


def _copies(node: Node, accumulator: str) -> int:
    """How many values of any size the value of `node` can hold side by side."""
    match node:
        case Ident(name=name):
            return 0 if name == accumulator else 1
        case Select() | Call(function="_[_]"):
            return 1
        case Call(function="_?_:_", args=(_, first, second)):
            return max(_copies(first, accumulator), _copies(second, accumulator))
        case Call(function=function) if function in _SCALAR:
            return 0
        case Call(args=parts) | ListLiteral(elements=parts) | StructLiteral(parts=parts):
            return sum(_copies(part, accumulator) for part in parts)
        case Comprehension():
            return max(1, _copies(node.step, node.accumulator))
        case _:
            return 0


def _base(node: Node) -> Node:
    """What a chain of selections starts from: a root, a macro's variable, or a filter."""
    while True:
        match node:
            case Select(operand=inner) | Call(function="_[_]", args=(inner, _)):
                node = inner
            case _:
                return node


def _shortest(paths: set[tuple[str, ...]]) -> tuple[tuple[str, ...], ...]:
    kept: list[tuple[str, ...]] = []
    for path in sorted(paths):
        if not kept or path[: len(kept[-1])] != kept[-1]:
            kept.append(path)
    return tuple(kept)
