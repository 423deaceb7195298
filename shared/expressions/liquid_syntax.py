"""Reads templates in Upshot's dialect of Liquid, and tells what is in them without rendering.

Guarantee: what `parse` returns is hardened: ranges and loops carry their bounds.
Next: `template_checks.py` judges what is told here.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from liquid import RenderContext
from liquid.ast import Node
from liquid.builtin.content import ContentNode
from liquid.builtin.expressions import FilteredExpression, KeywordArgument, LoopExpression
from liquid.builtin.expressions.logical import ContainsExpression
from liquid.builtin.expressions.primitive import IntegerLiteral, RangeLiteral
from liquid.builtin.output import OutputNode
from liquid.token import TOKEN_OUTPUT
from liquid.undefined import FalsyStrictUndefined

from shared.expressions.liquid_dialect import BoundedEnd, BoundTemplate, DemandedList, Dialect, Expression, SearchedText


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedPath:
    """A path that is not assigned in the template; None stands for a computed segment. Offsets are in characters."""

    segments: tuple[str | int | None, ...]
    offset: int

    @property
    def fixed(self) -> tuple[str, ...]:
        """Up to the first index or computed segment."""
        end = next((i for i, segment in enumerate(self.segments) if not isinstance(segment, str)), len(self.segments))
        return tuple(str(segment) for segment in self.segments[:end])


@dataclass(frozen=True, slots=True, kw_only=True)
class FilterUse:
    """A filter with the number of its positional arguments and the names of the others."""

    name: str
    positional: int
    named: tuple[str, ...]
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenRange:
    """`(1..10)`: ten numbers."""

    numbers: int
    offset: int


def parse(text: str) -> BoundTemplate:
    """Raises LiquidError."""
    template = _dialect().from_string(text)
    for expression in _expressions(template):
        _harden(expression)
    return template


def sole_output(template: BoundTemplate) -> Expression | None:
    """The expression of a template that is exactly one `{{ … }}`."""
    if len(template.nodes) == 1 and isinstance(node := template.nodes[0], OutputNode):
        return node.expression if node.token.kind == TOKEN_OUTPUT else None
    return None


def pieces(template: BoundTemplate) -> tuple[str | Expression, ...] | None:
    """Text and outputs in a row; None where there are tags."""
    found: list[str | Expression] = []
    for node in template.nodes:
        if isinstance(node, ContentNode):
            found.append(node.text)
        elif isinstance(node, OutputNode):
            found.append(node.expression)
        else:
            return None
    return tuple(found)


def names(template: BoundTemplate) -> tuple[tuple[NamedPath, ...], frozenset[str]]:
    """(the paths that a context must answer, the names that the template assigns)."""
    analysis = template.analyze(include_partials=False)
    paths = tuple(
        NamedPath(
            segments=tuple(segment if isinstance(segment, str | int) else None for segment in variable.segments),
            offset=variable.span.index,
        )
        for variables in analysis.globals.values()
        for variable in variables
    )
    return paths, frozenset(analysis.locals)


def filters_used(template: BoundTemplate) -> Iterator[FilterUse]:
    for expression in _expressions(template):
        yield from _filters(expression)


def ranges_written_out(template: BoundTemplate) -> Iterator[WrittenRange]:
    """Those whose ends are both numbers in the text."""
    for expression in _expressions(template):
        yield from _ranges(expression)


@cache
def _dialect() -> Dialect:
    return Dialect(undefined=FalsyStrictUndefined)


def _expressions(template: BoundTemplate) -> Iterator[Expression]:
    context = RenderContext(template)
    for node in template.nodes:
        for part in _nodes(node, context):
            yield from part.expressions()


def _nodes(node: Node, context: RenderContext) -> Iterator[Node]:
    yield node
    for child in node.children(context, include_partials=False):
        yield from _nodes(child, context)


def _harden(expression: Expression) -> None:
    """Puts bounds into a parsed expression, in place: the library's own parser offers no seam for them."""
    for child in expression.children():
        _harden(child)
    if isinstance(expression, RangeLiteral):
        expression.stop = BoundedEnd(expression.start, expression.stop)
    elif isinstance(expression, LoopExpression):
        expression.iterable = DemandedList(expression.iterable)
    elif isinstance(expression, ContainsExpression):
        expression.left = SearchedText(expression.left)


def _filters(expression: Expression) -> Iterator[FilterUse]:
    if isinstance(expression, FilteredExpression):
        for used in expression.filters or ():
            named = tuple(argument.name for argument in used.args if isinstance(argument, KeywordArgument))
            yield FilterUse(
                name=used.name,
                positional=len(used.args) - len(named),
                named=named,
                offset=used.token.start_index,
            )
    for child in expression.children():
        yield from _filters(child)


def _ranges(expression: Expression) -> Iterator[WrittenRange]:
    if isinstance(expression, RangeLiteral) and isinstance(expression.stop, BoundedEnd):
        start, end = expression.start, expression.stop.end
        if isinstance(start, IntegerLiteral) and isinstance(end, IntegerLiteral):
            yield WrittenRange(numbers=max(0, end.value - start.value + 1), offset=expression.token.start_index)
    for child in expression.children():
        yield from _ranges(child)
