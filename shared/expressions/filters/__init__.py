"""The filters that templates may use, by name. Each is pure, takes the meter first, and asks it before it grows.

A new filter is a function in the file of its kind and a line here.
"""

from collections.abc import Callable
from typing import Final

from shared.expressions.filters import dates, lists, numbers, text
from shared.expressions.filters.values import dumps
from shared.expressions.limits import Meter


def to_json(meter: Meter, value: object) -> str:
    """Compact JSON text of any value."""
    meter.weigh(value)
    return dumps(value)


FILTERS: Final[dict[str, Callable[..., object]]] = {
    "abs": numbers.abs_,
    "append": text.append,
    "at_least": numbers.at_least,
    "at_most": numbers.at_most,
    "base64_decode": text.base64_decode,
    "base64_encode": text.base64_encode,
    "capitalize": text.capitalize,
    "ceil": numbers.ceil,
    "compact": lists.compact,
    "concat": lists.concat,
    "date": dates.date,
    "divided_by": numbers.divided_by,
    "downcase": text.downcase,
    "escape": text.escape,
    "first": lists.first,
    "floor": numbers.floor,
    "join": text.join,
    "json": to_json,
    "last": lists.last,
    "lstrip": text.lstrip,
    "map": lists.map_,
    "minus": numbers.minus,
    "modulo": numbers.modulo,
    "money": numbers.money,
    "plus": numbers.plus,
    "prepend": text.prepend,
    "remove": text.remove,
    "remove_first": text.remove_first,
    "replace": text.replace,
    "replace_first": text.replace_first,
    "reverse": lists.reverse,
    "round": numbers.round_,
    "rstrip": text.rstrip,
    "sha256": text.sha256,
    "size": lists.size,
    "slice": text.slice_,
    "sort": lists.sort,
    "split": text.split,
    "strip": text.strip,
    "strip_newlines": text.strip_newlines,
    "sum": lists.sum_,
    "times": numbers.times,
    "truncate": text.truncate,
    "truncatewords": text.truncatewords,
    "uniq": lists.uniq,
    "upcase": text.upcase,
    "url_decode": text.url_decode,
    "url_encode": text.url_encode,
    "where": lists.where,
}
"""`default` is missing here: it alone sees undefined values, and stands in `liquid_dialect.py`."""
