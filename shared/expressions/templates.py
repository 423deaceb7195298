"""Templates: a JSON document whose string leaves are Liquid.

Guarantee: what `compile_template` accepts renders any JSON context in bounded time and space to a JSON value, or
raises TemplateError and nothing else. A leaf that is exactly one `{{ … }}` keeps its JSON type; a leaf without
`{{` and `{%` is a constant and costs nothing. There is no clock in it.
Rendered values may share parts with the context and the document: treat them as frozen.
Next: `template_checks.py` (what is refused on save), `liquid_dialect.py` (what a template can say).
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from shared.domain.errors import Flaw, InvalidInput, PermanentError
from shared.expressions.conditions import ROOTS
from shared.expressions.filters.values import as_text, finite
from shared.expressions.limits import LIMITS, Meter, RenderProblem
from shared.expressions.liquid_dialect import (
    BoundTemplate,
    Expression,
    LiquidError,
    MeteredContext,
    evaluate,
    render,
    written,
)
from shared.expressions.template_checks import Leaf, check_leaf, futile, is_template, pointer_to


class TemplateError(PermanentError):
    """A template that this context can't fill; `pointer` names the leaf in the document."""

    def __init__(self, pointer: str, detail: str) -> None:
        super().__init__(f"{pointer}: {detail}")
        self.pointer = pointer
        self.detail = detail


@dataclass(frozen=True, slots=True, kw_only=True)
class PartialRender:
    """`unresolved` are pointers of leaves that still stand as template text: their steps have not run."""

    value: object
    unresolved: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Placed:
    pointer: str
    leaf: Leaf


@dataclass(frozen=True, slots=True)
class _Object:
    members: tuple[tuple[str, object], ...]


@dataclass(frozen=True, slots=True)
class _List:
    items: tuple[object, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A compiled document."""

    source: object
    pointer: str
    _tree: object
    _leaves: tuple[_Placed, ...]

    @property
    def is_constant(self) -> bool:
        return not self._leaves

    def references(self) -> frozenset[tuple[str, ...]]:
        """The paths that its leaves name, each up to its first computed segment or index."""
        return frozenset(path.fixed for placed in self._leaves for path in placed.leaf.paths)

    def render(self, context: Mapping[str, object]) -> object:
        """`context` maps roots to JSON values. Raises TemplateError."""
        if not self._leaves:
            return self.source
        return _Rendering(context).document(self)

    def render_partial(self, context: Mapping[str, object], meter: Meter | None = None) -> PartialRender:
        """As far as known: leaves that name a step that `context` has no result of stay template text.

        `meter`: one that several documents share (`shared_meter`); when it runs out, `TooMuchTogether`.
        """
        steps = context.get("steps")
        ran = frozenset(steps) if isinstance(steps, Mapping) else frozenset[str]()
        waiting = frozenset(placed.pointer for placed in self._leaves if not placed.leaf.steps_known(ran))
        value = _Rendering(context, waiting, meter).document(self) if self._leaves else self.source
        return PartialRender(value=value, unresolved=tuple(p.pointer for p in self._leaves if p.pointer in waiting))


def compile_template(
    value: object,
    *,
    pointer: str = "#",
    roots: frozenset[str] = ROOTS,
    known_steps: frozenset[str] | None = None,
) -> Template:
    """Checks and compiles a JSON document; raises InvalidInput with a flaw for each thing found, at its leaf.

    `pointer` is where the document itself stands; `known_steps` are the steps upstream, None where any may be named.
    """
    flaws: list[Flaw] = []
    leaves: list[_Placed] = []

    def compiled(part: object, at: str, depth: int) -> object:
        if depth > LIMITS.document_depth_max:
            flaws.append(Flaw(pointer=at, detail=f"nested deeper than {LIMITS.document_depth_max} levels"))
        elif isinstance(part, str) and is_template(part):
            leaf, found = check_leaf(part, roots, known_steps)
            flaws.extend(Flaw(pointer=at, detail=detail) for detail in found)
            if leaf is not None:
                leaves.append(_Placed(pointer=at, leaf=leaf))
                return leaves[-1]
        elif isinstance(part, dict):
            return _object(part, at, depth)
        elif isinstance(part, list):
            items = tuple(compiled(item, pointer_to(at, index), depth + 1) for index, item in enumerate(part))
            return part if all(a is b for a, b in zip(items, part, strict=True)) else _List(items)
        elif error := _not_json(part):
            flaws.append(Flaw(pointer=at, detail=error))
        return part

    def _object(part: dict[object, object], at: str, depth: int) -> object:
        members = []
        for name, below in part.items():
            if not isinstance(name, str) or is_template(name) or _not_json(name):
                flaws.append(Flaw(pointer=at, detail="a name is fixed text: only values can be templates"))
                continue
            members.append((name, compiled(below, pointer_to(at, name), depth + 1)))
        unchanged = len(members) == len(part) and all(a is b for (_, a), b in zip(members, part.values(), strict=True))
        return part if unchanged else _Object(tuple(members))

    tree = compiled(value, pointer, 0)
    if flaws:
        raise InvalidInput(_TITLE, flaws)
    return Template(source=value, pointer=pointer, _tree=tree, _leaves=tuple(leaves))


def check_template(
    value: object, *, pointer: str = "#", roots: frozenset[str] = ROOTS, known_steps: frozenset[str] | None = None
) -> None:
    """What saving demands: that it compiles, and that a run can get through it. Raises as `compile_template` does."""
    template = compile_template(value, pointer=pointer, roots=roots, known_steps=known_steps)
    flaws = [Flaw(pointer=each.pointer, detail=detail) for each in template._leaves for detail in futile(each.leaf)]
    if flaws:
        raise InvalidInput(_TITLE, flaws)


def render_text(template: Template, context: Mapping[str, object]) -> str:
    """The text of a template that is one string: a cooldown's key, a subject. Other values are written as text."""
    value = template.render(context)
    if isinstance(value, str):
        return value
    try:
        return "" if value is None else as_text(Meter(), value)
    except RenderProblem as problem:
        raise TemplateError(template.pointer, str(problem)) from problem


_TITLE: Final = "the template can't be used"
_SURROGATE: Final = "text with half of a surrogate pair"
_LIBRARY_ERRORS: Final = (LiquidError, ValueError, ArithmeticError, TypeError, LookupError, RecursionError)
"""What the Liquid library is known to let through: its own errors and those of odd arguments (`limit: "x"`)."""


class _Rendering:
    """One pass over a document: its leaves share a meter, and those without assignments a context."""

    __slots__ = ("meter", "roots", "shared", "waiting")

    def __init__(
        self, context: Mapping[str, object], waiting: frozenset[str] = frozenset(), meter: Meter | None = None
    ) -> None:
        self.roots = context
        self.waiting = waiting
        self.meter = meter or Meter()
        self.shared: MeteredContext | None = None

    def document(self, template: Template) -> object:
        return self.part(template._tree)

    def part(self, part: object) -> object:
        if isinstance(part, _Placed):
            return self.leaf(part)
        if isinstance(part, _Object):
            return {name: self.part(below) for name, below in part.members}
        if isinstance(part, _List):
            return [self.part(item) for item in part.items]
        return part

    def leaf(self, placed: _Placed) -> object:
        leaf = placed.leaf
        if placed.pointer in self.waiting:
            return leaf.text
        try:
            value = self.value(leaf)
            self.meter.put_out(_size(value))
        except RenderProblem as problem:
            raise TemplateError(placed.pointer, str(problem)) from problem
        except UnicodeError as error:
            raise TemplateError(placed.pointer, _SURROGATE) from error
        except _LIBRARY_ERRORS as error:
            raise TemplateError(placed.pointer, _reason(error)) from error
        return value

    def value(self, leaf: Leaf) -> object:
        if leaf.expression is not None:
            return evaluate(leaf.expression, self.context(leaf.template))
        if leaf.parts is not None:
            context = self.context(leaf.template)
            return "".join([self.piece(piece, context) for piece in leaf.parts])
        return render(leaf.template, MeteredContext(leaf.template, self.roots, self.meter))

    def piece(self, piece: str | Expression, context: MeteredContext) -> str:
        return piece if isinstance(piece, str) else written(piece, context)

    def context(self, template: BoundTemplate) -> MeteredContext:
        if self.shared is None:
            self.shared = MeteredContext(template, self.roots, self.meter)
        return self.shared


def _size(value: object, depth: int = 0) -> int:
    """About the bytes of a value as JSON; raises for what JSON can't hold."""
    if isinstance(value, str):
        return len(value) if value.isascii() else len(value.encode())
    if isinstance(value, float):
        finite(value)
    if isinstance(value, dict | list):
        if depth > LIMITS.document_depth_max:
            raise RenderProblem(f"a value nested deeper than {LIMITS.document_depth_max} levels")
        return 2 + sum(_size(below, depth + 1) + 1 for below in _below(value))
    return 8


def _not_json(value: object) -> str | None:
    """What keeps a constant from being JSON."""
    if isinstance(value, str):
        return None if value.isascii() or value.encode(errors="replace").decode() == value else _SURROGATE
    if isinstance(value, float):
        return None if math.isfinite(value) else "a number that is not finite"
    return None if value is None or isinstance(value, bool | int) else f"{type(value).__name__} is not JSON"


def _below(value: dict[object, object] | list[object]) -> Iterator[object]:
    if isinstance(value, dict):
        yield from value
        yield from value.values()
    else:
        yield from value


def _reason(error: Exception) -> str:
    if isinstance(error, LiquidError):
        return str(error.message).rstrip(".")
    return f"{type(error).__name__}: {error}"[:200]
