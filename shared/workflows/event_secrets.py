"""Which texts an event's secrets went into: keys, reasons and errors that a workflow's templates and conditions make of it.

What a text is made of is known by the paths that its maker names, and whether those hold secrets by the event itself: a
filter or a macro can turn `event.data.auth` into anything, and spells none of the secrets that lie below it. So such a text
is hidden as a whole. Next: `explaining`, which asks.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Final

from shared.domain.records import Problem
from shared.expressions import Condition, Template
from shared.matching.numbers import LossyNumber
from shared.workflows.compiled import CompiledStart
from shared.workflows.hiding import HIDDEN, Hiding

SECRET_CHARACTERS_MIN: Final = 4
"""Of a secret that is looked for in a text: a shorter one stands in half of all texts."""

_QUOTE_A_KEY: Final = frozenset({"cooldown", "cooldown_key", "shared_cooldown", "shared_cooldown_key"})

Path = tuple[str, ...]


class EventSecrets:
    """What is secret in one event. `view`: the event as conditions see it."""

    def __init__(self, hiding: Hiding, view: Mapping[str, object]) -> None:
        self.hiding = hiding
        self._view = view

    def in_template(self, template: Template) -> bool:
        """Whether what the template renders to may be made of a secret."""
        return self._in(str(template.source), template.references())

    def error(self, condition: Condition, error: str) -> str:
        """Why a condition could not be evaluated, which may quote the value that it stumbled over."""
        return f"it could not be evaluated {HIDDEN}" if self._in(condition.text, condition.paths) else error

    def problem(self, problem: Problem, start: CompiledStart) -> Problem:
        """`reason`, of what stands in a run's way."""
        return replace(problem, detail=self.reason(problem.kind, problem.detail, start))

    def reason(self, kind: str | None, detail: str, start: CompiledStart | None) -> str:
        """Why a run of `start` (None: a revision that is not known) was skipped or failed, as it may be told.

        Reasons that quote a cooldown's key are hidden where it may be made of a secret. How others were made is in no
        record: they lose the secrets that stand in them word for word.
        """
        if kind in _QUOTE_A_KEY and self._in_cooldowns(start):
            return f"{HIDDEN}: the cooldown's key is made of what is secret"
        for secret in self._found[1]:
            detail = detail.replace(secret, HIDDEN)
        return detail

    def _in_cooldowns(self, start: CompiledStart | None) -> bool:
        if start is None:
            return bool(self._found[0])
        keys = (start.cooldown_key, *(each.key for each in start.shared))
        return any(key is not None and self.in_template(key) for key in keys)

    def _in(self, text: str, paths: Iterable[Path]) -> bool:
        """A secret may be above a named path (its name is in the path), at it, or below it (then the event says so)."""
        return self.hiding.names_secret(text) or any(
            self.hiding.names_secret(".".join(path[1:])) or (path[:1] == ("event",) and path[1:] in self._found[0])
            for path in paths
        )

    @cached_property
    def _found(self) -> tuple[frozenset[Path], tuple[str, ...]]:
        """(all paths at or below which a secret lies, up to the first list; the secrets' texts, longest first)."""
        holders: set[Path] = set()
        texts: set[str] = set()
        names: dict[Path, bool] = {}
        # (value, its path without indexes, the part of it that a template or a condition can name, whether it is secret)
        waiting: list[tuple[object, Path, Path, bool]] = [(self._view, (), (), False)]
        while waiting:
            value, path, named, secret = waiting.pop()
            in_list = path != named
            match value:
                case Mapping():
                    for key, member in value.items():
                        below = (*path, str(key))
                        hides = secret or self._names_secret(below, names)
                        if hides:
                            holders.update(named[:length] for length in range(len(named) + 1))
                        waiting.append((member, below, named if in_list else below, hides))
                case list() | tuple():
                    # From here on only what holds the list can be named.
                    waiting += [(item, (*path, ""), named, secret) for item in value]
                case _ if secret:
                    texts |= _spellings(value)
        return frozenset(holders), tuple(sorted(texts, key=lambda text: (-len(text), text)))

    def _names_secret(self, path: Path, known: dict[Path, bool]) -> bool:
        if path not in known:
            known[path] = self.hiding.names_secret(".".join(part for part in path if part))
        return known[path]


def _spellings(value: object) -> set[str]:
    """A scalar as text and as JSON writes it, where it is long enough to be looked for."""
    if isinstance(value, LossyNumber):
        spelt = {value.token}
    elif isinstance(value, str):
        spelt = {value, *(json.dumps(value, ensure_ascii=ascii)[1:-1] for ascii in (False, True)), repr(value)[1:-1]}
    else:
        spelt = set() if value is None or isinstance(value, bool) else {json.dumps(value, default=str)}
    return {text for text in spelt if len(text) >= SECRET_CHARACTERS_MIN}
