"""Filters that make text of text."""

import base64
import binascii
import hashlib
import html
from urllib.parse import quote_plus, unquote_plus

from shared.expressions.filters.values import as_integer, as_list, as_text
from shared.expressions.limits import Meter, RenderProblem


def upcase(meter: Meter, value: object) -> str:
    return as_text(meter, value).upper()


def downcase(meter: Meter, value: object) -> str:
    return as_text(meter, value).lower()


def capitalize(meter: Meter, value: object) -> str:
    return as_text(meter, value).capitalize()


def strip(meter: Meter, value: object) -> str:
    return as_text(meter, value).strip()


def lstrip(meter: Meter, value: object) -> str:
    return as_text(meter, value).lstrip()


def rstrip(meter: Meter, value: object) -> str:
    return as_text(meter, value).rstrip()


def strip_newlines(meter: Meter, value: object) -> str:
    return as_text(meter, value).replace("\r", "").replace("\n", "")


def append(meter: Meter, value: object, suffix: object) -> str:
    left, right = as_text(meter, value), as_text(meter, suffix)
    meter.text(len(left) + len(right))
    return left + right


def prepend(meter: Meter, value: object, prefix: object) -> str:
    return append(meter, prefix, value)


def replace(meter: Meter, value: object, old: object, new: object = "") -> str:
    return _replace(meter, value, old, new, -1)


def replace_first(meter: Meter, value: object, old: object, new: object = "") -> str:
    return _replace(meter, value, old, new, 1)


def remove(meter: Meter, value: object, old: object) -> str:
    return _replace(meter, value, old, "", -1)


def remove_first(meter: Meter, value: object, old: object) -> str:
    return _replace(meter, value, old, "", 1)


def _replace(meter: Meter, value: object, old: object, new: object, times: int) -> str:
    text, before, after = as_text(meter, value), as_text(meter, old), as_text(meter, new)
    meter.spend(len(text))
    count = text.count(before) if times < 0 else min(times, text.count(before))
    meter.text(len(text) + count * (len(after) - len(before)))
    return text.replace(before, after, times)


def slice_(meter: Meter, value: object, start: object, length: object = 1) -> object:
    """Characters of text or items of a list, from `start` (negative: from the end)."""
    whole = value if isinstance(value, list) else as_text(meter, value)
    first, count = as_integer(start, "slice"), as_integer(length, "slice")
    first = max(first + len(whole), 0) if first < 0 else first
    return whole[first : first + max(count, 0)]


def truncate(meter: Meter, value: object, length: object = 50, ellipsis: object = "...") -> str:
    """At most `length` characters, the ellipsis among them."""
    text, end = as_text(meter, value), as_text(meter, ellipsis)
    longest = as_integer(length, "truncate")
    return text if len(text) <= longest else text[: max(longest - len(end), 0)] + end


def truncatewords(meter: Meter, value: object, count: object = 15, ellipsis: object = "...") -> str:
    text = as_text(meter, value)
    longest = max(as_integer(count, "truncatewords"), 1)
    words = text.split(None, longest)
    return text if len(words) <= longest else " ".join(words[:longest]) + as_text(meter, ellipsis)


def split(meter: Meter, value: object, separator: object) -> list[object]:
    """An empty separator gives characters; empty text gives no items."""
    text, between = as_text(meter, value), as_text(meter, separator)
    meter.spend(len(text))
    if not text:
        return []
    meter.items(text.count(between) + 1 if between else len(text))
    return list(text.split(between) if between else text)


def join(meter: Meter, value: object, separator: object = " ") -> str:
    between = as_text(meter, separator)
    parts = ["" if item is None else as_text(meter, item) for item in as_list(meter, value, "join")]
    meter.text(sum(map(len, parts)) + len(between) * max(len(parts) - 1, 0))
    return between.join(parts)


def escape(meter: Meter, value: object) -> str:
    """For HTML."""
    return html.escape(as_text(meter, value))


def url_encode(meter: Meter, value: object) -> str:
    return quote_plus(as_text(meter, value))


def url_decode(meter: Meter, value: object) -> str:
    return unquote_plus(as_text(meter, value))


def base64_encode(meter: Meter, value: object) -> str:
    return base64.b64encode(as_text(meter, value).encode()).decode()


def base64_decode(meter: Meter, value: object) -> str:
    try:
        return base64.b64decode(as_text(meter, value), validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise RenderProblem("base64_decode takes the base64 of UTF-8 text") from error


def sha256(meter: Meter, value: object) -> str:
    """Lower-case hex of the SHA-256 of the text's UTF-8."""
    return hashlib.sha256(as_text(meter, value).encode()).hexdigest()
