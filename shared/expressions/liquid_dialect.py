"""Liquid as Upshot speaks it: the library with fewer tags, own filters, no clock, and a meter on everything.

Guarantee: rendering reads nothing but the context that it is given; what is undefined or null raises RenderProblem
wherever it would be written, filtered or looped over, but may be tested with `if` and answered by `default`.
Only this module and `liquid_syntax.py`, which reads and checks what is written in the dialect, import the library.
Next: `liquid_syntax.py`, then `templates.py`.
"""

from collections.abc import Callable, Mapping
from functools import partial
from io import StringIO
from typing import Final, TextIO

from liquid import Environment, RenderContext
from liquid.builtin import content, illegal, output
from liquid.builtin.tags import (
    assign_tag,
    capture_tag,
    case_tag,
    comment_tag,
    echo_tag,
    for_tag,
    if_tag,
    inline_comment_tag,
    unless_tag,
)
from liquid.exceptions import LiquidError
from liquid.expression import Expression
from liquid.limits import to_int
from liquid.output import LimitedStringIO
from liquid.template import BoundTemplate
from liquid.token import Token
from liquid.undefined import UNDEFINED, Undefined
from liquid.utils import ReadOnlyChainMap

from shared.expressions.filters import FILTERS
from shared.expressions.filters.values import as_text, kind
from shared.expressions.limits import LIMITS, Meter, RenderProblem

__all__ = ["BoundTemplate", "Expression", "LiquidError"]

TAGS: Final = ("assign", "capture", "case", "comment", "echo", "for", "if", "unless")


class ExplicitNull:
    """What `default: nil` answers: a null that its author asked for."""

    __slots__ = ()

    def __liquid__(self) -> None:
        return None


EXPLICIT_NULL: Final = ExplicitNull()


_NOT_QUICK: Final = object()


class MeteredContext(RenderContext):
    """The library's context without its `now` and `today`, with a meter."""

    __slots__ = ("meter",)

    def __init__(self, template: BoundTemplate, roots: Mapping[str, object], meter: Meter) -> None:
        super().__init__(template, globals=roots if type(roots) is dict else dict(roots))
        self.meter = meter
        self.scope = ReadOnlyChainMap(self.locals, self.globals)

    def get(self, path: list[object], *, token: Token | None, default: object = UNDEFINED) -> object:
        value = self._quick(path)
        if value is _NOT_QUICK:
            value = super().get(path, token=token, default=default)
        if isinstance(value, str):
            self.meter.spend(1 + (len(value) >> 4))
        elif self.loops and isinstance(value, dict | list):
            # In a loop, comparing large values again and again is the costly thing that no filter counts.
            self.meter.weigh(value)
        return value

    def _quick(self, path: list[object]) -> object:
        """What the library finds in a third of its time, where names lead from object to object."""
        if self.loops or self.locals:
            return _NOT_QUICK
        value: object = self.globals
        for segment in path:
            if type(value) is not dict or type(segment) is not str or segment not in value:
                return _NOT_QUICK
            value = value[segment]
        return value

    def get_item(self, obj: object, key: object) -> object:
        if isinstance(obj, dict) and key in ("first", "last") and key not in obj:
            raise KeyError(key)
        return super().get_item(obj, key)

    def filter(self, name: str, token: Token | None) -> Callable[..., object]:
        del token
        return default if name == "default" else partial(_apply, self.meter, name)

    def raise_for_loop_limit(self, length: int = 1) -> None:
        self.meter.iterate(length)


class Dialect(Environment):
    """One for the whole process: it holds no state of any rendering."""

    block_nesting_limit = LIMITS.block_nesting_max
    output_stream_limit = LIMITS.output_bytes_max

    def setup_tags_and_filters(self, *, extra: bool = False) -> None:
        del extra
        for tag in (
            content.Literal,
            WrittenOutput,
            illegal.Illegal,
            if_tag.IfTag,
            unless_tag.UnlessTag,
            case_tag.CaseTag,
            for_tag.ForTag,
            for_tag.BreakTag,
            for_tag.ContinueTag,
            assign_tag.AssignTag,
            capture_tag.CaptureTag,
            WrittenEcho,
            comment_tag.CommentTag,
            inline_comment_tag.InlineCommentTag,
        ):
            self.add_tag(tag)
        for name, function in FILTERS.items():
            self.add_filter(name, function)
        self.add_filter("default", default)


class WrittenNode(echo_tag.EchoNode):
    """Writes lists and objects as JSON, and refuses to write null."""

    __slots__ = ()

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        assert isinstance(context, MeteredContext)
        return buffer.write(written(self.expression, context))


class WrittenOutput(output.Output):
    node_class = WrittenNode


class WrittenEcho(echo_tag.EchoTag):
    node_class = WrittenNode


class BoundedEnd(Expression):
    """The end of a range, refused where it is too far from its start."""

    __slots__ = ("end", "start")

    def __init__(self, start: Expression, end: Expression) -> None:
        super().__init__(end.token)
        self.start, self.end = start, end

    def __str__(self) -> str:
        return str(self.end)

    def evaluate(self, context: RenderContext) -> object:
        end = _whole(self.end, context)
        if end - _whole(self.start, context) >= LIMITS.range_items_max:
            raise RenderProblem(f"a range has at most {LIMITS.range_items_max} numbers")
        return end

    def children(self) -> list[Expression]:
        return [self.end]


class _Wrapped(Expression):
    """An expression whose value is looked at on its way."""

    __slots__ = ("inner",)

    def __init__(self, inner: Expression) -> None:
        super().__init__(inner.token)
        self.inner = inner

    def __str__(self) -> str:
        return str(self.inner)

    def children(self) -> list[Expression]:
        return [self.inner]


class DemandedList(_Wrapped):
    """What `for` runs over: a list, an object or a range, and nothing else."""

    __slots__ = ()

    def evaluate(self, context: RenderContext) -> object:
        value = demanded(self.inner.evaluate(context), self.inner)
        if not isinstance(value, list | tuple | dict | range):
            raise RenderProblem(f"for runs over a list, not {kind(value)}")
        return value


class SearchedText(_Wrapped):
    """What `contains` looks into, which costs as much as it is long."""

    __slots__ = ()

    def evaluate(self, context: RenderContext) -> object:
        assert isinstance(context, MeteredContext)
        value = self.inner.evaluate(context)
        context.meter.weigh(value)
        return value


def evaluate(expression: Expression, context: RenderContext) -> object:
    """The JSON value of an expression, with its type."""
    value = demanded(expression.evaluate(context), expression)
    if isinstance(value, ExplicitNull):
        return None
    if isinstance(value, range | tuple):
        return list(value)
    if isinstance(value, bool | int | float | str | list | dict):
        return value
    raise RenderProblem(f"{_brief(expression)} is no JSON value")


def render(template: BoundTemplate, context: MeteredContext) -> str:
    buffer: StringIO = LimitedStringIO(limit=LIMITS.output_bytes_max)
    template.render_with_context(context, buffer)
    return buffer.getvalue()


def written(expression: Expression, context: MeteredContext) -> str:
    """How an expression's value stands in text."""
    value = evaluate(expression, context)
    return "" if value is None else as_text(context.meter, value)


def demanded(value: object, spelt: object) -> object:
    """`value`, unless it is undefined or null; `spelt` is how it is written in the template."""
    if isinstance(value, Undefined):
        raise RenderProblem(f"{_undefined_name(value)}; answer it with default, or test it with if")
    if value is None:
        raise RenderProblem(f"{_brief(spelt)} is null; answer it with default, or test it with if")
    return value


def _apply(meter: Meter, name: str, value: object, *args: object, **named: object) -> object:
    function = FILTERS[name]
    inputs = [_filterable(each, name) for each in (value, *args)]
    meter.spend(1)
    result = function(meter, *inputs, **{key: _filterable(each, name) for key, each in named.items()})
    if isinstance(result, str):
        meter.text(len(result))
    elif isinstance(result, list):
        meter.items(len(result))
    return result


def _filterable(value: object, name: str) -> object:
    value = demanded(None if isinstance(value, ExplicitNull) else value, f"what {name} is given")
    return list(value) if isinstance(value, range | tuple) else value


def default(value: object, otherwise: object = "", *, allow_false: object = False) -> object:
    """Answers undefined, null, false (unless `allow_false: true`), empty text, lists and objects."""
    if isinstance(value, Undefined) or value is None or (value is False and allow_false is not True):
        return EXPLICIT_NULL if otherwise is None else otherwise
    if isinstance(value, str | list | dict) and not value:
        return EXPLICIT_NULL if otherwise is None else otherwise
    return value


def _brief(spelt: object) -> str:
    return str(spelt)[:100] or "nil"


def _undefined_name(value: Undefined) -> str:
    hint = value.hint
    return hint if isinstance(hint, str) else f"{value.name} is undefined"


def _whole(expression: Expression, context: RenderContext) -> int:
    value = demanded(expression.evaluate(context), expression)
    try:
        return to_int(value)
    except (TypeError, ValueError) as error:
        raise RenderProblem(f"a range runs between whole numbers, not {kind(value)}") from error
