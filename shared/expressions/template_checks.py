"""What is refused when a template is saved, leaf by leaf, and what a leaf becomes when nothing is.

Next: `liquid_dialect.py`.
"""

import inspect
import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache, lru_cache
from itertools import islice
from typing import Final

from shared.expressions.conditions import ROOTS
from shared.expressions.filters import FILTERS
from shared.expressions.limits import LIMITS
from shared.expressions.liquid_dialect import TAGS, BoundTemplate, Expression, LiquidError
from shared.expressions.liquid_syntax import (
    FilterUse,
    NamedPath,
    filters_used,
    names,
    parse,
    pieces,
    ranges_written_out,
    sole_output,
)

_CACHE_ENTRIES: Final = 4_096
_CACHED_CHARACTERS_MAX: Final = 1_000  # a parsed leaf takes a hundred times its length
_FLAWS_MAX: Final = 50  # of one leaf; each costs a search for what may have been meant
_BLANKS_MAX: Final = 256
_BLANKS = re.compile(rf"\{{[{{%]-?\s{{{_BLANKS_MAX}}}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """A string leaf, parsed. One of three: `expression` (exactly one output: keeps its type), `parts` (text and
    outputs in a row), or neither, for the whole `template` with its tags."""

    text: str
    template: BoundTemplate
    expression: Expression | None
    parts: tuple[str | Expression, ...] | None
    paths: tuple[NamedPath, ...]

    def steps_known(self, ran: frozenset[str]) -> bool:
        """Whether all steps that it names are among `ran`; a computed name never is."""
        fixed = [path.fixed for path in self.paths]
        return all(path[0] != "steps" or (len(path) > 1 and path[1] in ran) for path in fixed)


def is_template(text: str) -> bool:
    return "{{" in text or "{%" in text


def pointer_to(parent: str, token: str | int) -> str:
    """RFC 6901, as a fragment's reader wants it."""
    return f"{parent}/{str(token).replace('~', '~0').replace('/', '~1')}"


def check_leaf(text: str, roots: frozenset[str], known_steps: frozenset[str] | None) -> tuple[Leaf | None, list[str]]:
    """The leaf, and what is wrong with it; with anything wrong it is not to be used."""
    leaf, details = _parsed(text)
    if leaf is None:
        return None, list(details)
    found = list(details)
    for path in leaf.paths:
        root = path.segments[0]
        if root in roots and (known_steps is None or root != "steps"):
            continue
        if len(found) >= _FLAWS_MAX:
            break
        place = _place(text, path.offset)
        found += [*_root_refusals(root, roots, place), *_step_refusals(path.segments, known_steps, place)]
    return (None if found else leaf), list(dict.fromkeys(found))


def futile(leaf: Leaf) -> Iterable[str]:
    """What no context can fill: a run that gets there fails. Asked on saving alone, for what stands may never get there."""
    for each in ranges_written_out(leaf.template):
        if each.numbers > LIMITS.range_items_max:
            yield f"a range has at most {LIMITS.range_items_max} numbers ({_place(leaf.text, each.offset)})"


def _parsed(text: str) -> tuple[Leaf | None, tuple[str, ...]]:
    return _parse_once(text) if len(text) <= _CACHED_CHARACTERS_MAX else _parse(text)


def _parse(text: str) -> tuple[Leaf | None, tuple[str, ...]]:
    if unreadable := _unreadable(text):
        return None, (unreadable,)
    try:
        template = parse(text)
        refusals = (detail for used in filters_used(template) for detail in _filter_refusals(used, text))
        details = list(islice(refusals, _FLAWS_MAX))
        paths, assigned = names(template)
    except LiquidError as error:
        return None, (_syntax(error, text),)
    except RecursionError:
        return None, ("nested too deeply",)
    details += [f"{name} names a root and can't be assigned" for name in sorted(assigned & ROOTS)]
    leaf = Leaf(text=text, template=template, expression=sole_output(template), parts=pieces(template), paths=paths)
    return leaf, tuple(dict.fromkeys(details))


_parse_once = lru_cache(maxsize=_CACHE_ENTRIES)(_parse)


def _unreadable(text: str) -> str | None:
    if len(text) > LIMITS.template_characters_max:
        return f"{len(text)} characters; a text has at most {LIMITS.template_characters_max}"
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return f"half of a surrogate pair at character {error.start + 1}"
    if _BLANKS.search(text):
        return f"more than {_BLANKS_MAX} blanks after an opening brace"
    if "endraw" not in text:
        for opening, closing in (("{{", "}}"), ("{%", "%}")):
            opened = text.find(opening, text.rfind(closing) + 1 if closing in text else 0)
            if opened >= 0:
                return f"{opening} is never closed by {closing} ({_place(text, opened)})"
    return None


def _root_refusals(root: str | int | None, roots: frozenset[str], place: str) -> Iterable[str]:
    if root in roots:
        return
    if not isinstance(root, str):
        yield f"a path starts with the name of a root, not with a computed one ({place})"
        return
    close = get_close_matches(root, sorted(roots), n=1)
    mend = f"did you mean {close[0]}?" if close else f"a path starts with one of {', '.join(sorted(roots))}"
    yield f"unknown root {root}: {mend} ({place})"


def _step_refusals(segments: tuple[str | int | None, ...], known: frozenset[str] | None, place: str) -> Iterable[str]:
    if known is None or segments[0] != "steps":
        return
    step = segments[1] if len(segments) > 1 else None
    if not isinstance(step, str):
        yield f"name the step: steps.<id> ({place})"
    elif step not in known:
        yield f"steps.{step} is no step upstream of this one (those are: {', '.join(sorted(known)) or 'none'}) ({place})"


def _filter_refusals(used: FilterUse, text: str) -> Iterable[str]:
    function = FILTERS.get(used.name)
    if used.name == "default":
        if used.positional > 1 or set(used.named) - {"allow_false"}:
            yield f"default takes one value, and allow_false ({_place(text, used.offset)})"
    elif function is None:
        close = get_close_matches(used.name, sorted([*FILTERS, "default"]), n=1)
        mend = f": did you mean {close[0]}?" if close else ""
        yield f"unknown filter {used.name}{mend} ({_place(text, used.offset)})"
    else:
        try:
            _signature(used.name).bind(None, None, *[None] * used.positional, **dict.fromkeys(used.named))
        except TypeError as error:
            yield f"{used.name}: {error} ({_place(text, used.offset)})"


@cache
def _signature(name: str) -> inspect.Signature:
    return inspect.signature(FILTERS[name])


def _syntax(error: LiquidError, text: str) -> str:
    reason = str(error.message).rstrip(".")
    if tag := re.match(r"unexpected tag '(.*)'$", reason):
        reason = f"tag {tag[1]} is not available here; those are {', '.join(TAGS)}"
    if word := re.match(r"expected an identifier, found ([a-z]+)$", reason):
        reason = f"{word[1]} is a word of Liquid: as a name, write ['{word[1]}'] for .{word[1]}"
    if reason.startswith("unexpected liquid parsing error"):
        return "malformed, or nested too deeply"
    token = error.token
    if token is None or token.source != text or token.start_index < 0:
        return reason
    return f"{reason} ({_place(text, token.start_index)})"


def _place(text: str, offset: int) -> str:
    before = text[: max(offset, 0)]
    return f"line {before.count(chr(10)) + 1}, column {len(before) - (before.rfind(chr(10)) + 1) + 1}"
