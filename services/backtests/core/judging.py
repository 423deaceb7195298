"""Whether events of the past match the candidate, and whether they match the live revision: the stream's own steps, twice.

Most events are refused early, by what the patterns demand of a part of them: of three attributes, before anything is parsed
(`may_match`), then of the data too, before there is an event (`may_match_with`). The rest goes through `fields_of`,
`TenantRules.watching` and `decide_among`, which is what `decide` does. Pure.
Next: `report.py`.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from services.backtests.core.candidate import BUDGET, Candidate
from shared.domain.envelope import Event
from shared.domain.records import EventMatched
from shared.domain.windows import Windows
from shared.matching import EventFields, Pattern, PatternIndex, event_of, narrowed
from shared.workflows.decide import decide_among, fields_of

ATTRIBUTES = ("type", "source", "subject")
"""What an envelope says in plain text, and patterns mostly ask for."""

_VERDICTS_KEPT = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """An event that one of the two matches, or both. `live` None: there is nothing to compare with."""

    event: Event
    matched: EventMatched | None
    live: bool | None


class Judge:
    """Asks the candidate, and the live revision where there is one, about one event after the other."""

    def __init__(self, candidate: Candidate, live: Candidate | None) -> None:
        self._candidate = candidate
        self._live = live
        asked = [*_patterns(candidate), *(_patterns(live) if live is not None else ())]
        paths = {path for pattern in asked for path in pattern.paths}
        self.attributes = tuple(name for name in ATTRIBUTES if name in paths)
        """Those that the two looks are handed."""
        in_data = {path for path in paths if path == "data" or path.startswith("data.")}
        self._first_look = _look(asked, self.attributes)
        self._second_look = _look(asked, {*self.attributes, *in_data}) if in_data else None
        self._windows, self._live_windows = Windows(), Windows()
        self._verdicts: dict[tuple[bytes | None, ...], bool] = {}

    def may_match(self, values: tuple[bytes | None, ...]) -> bool:
        """False: an event with these values of `attributes` (in their order, UTF-8; None: absent) matches neither."""
        if self._first_look is None:
            return True
        verdict = self._verdicts.get(values)
        if verdict is None:
            if len(self._verdicts) >= _VERDICTS_KEPT:
                self._verdicts.clear()
            verdict = self._verdicts[values] = bool(self._first_look.candidates(EventFields(self._seen(values))))
        return verdict

    def may_match_with(self, values: tuple[bytes | None, ...], data: bytes | None) -> bool:
        """The same, asked with the event's data. Raises InvalidInput where that is no JSON."""
        if self._second_look is None:
            return True
        return bool(self._second_look.candidates(event_of(self._seen(values), data)))

    def judge(self, event: Event, recorded_at: datetime) -> Judgement | None:
        """None: neither matches. `recorded_at`: its append time. Raises InvalidInput where the event's data is no JSON."""
        fields = fields_of(event)
        matched = _decided(self._candidate, event, fields, recorded_at, self._windows)
        live = None
        if self._live is not None:
            live = _decided(self._live, event, fields, recorded_at, self._live_windows) is not None
        return Judgement(event=event, matched=matched, live=live) if matched is not None or live else None

    def _seen(self, values: tuple[bytes | None, ...]) -> dict[str, str]:
        return {name: value.decode() for name, value in zip(self.attributes, values, strict=True) if value}


def _look(patterns: Sequence[Pattern], paths: Collection[str]) -> PatternIndex[None] | None:
    """What all of them together demand of these paths; None: one of them demands nothing."""
    index: PatternIndex[None] = PatternIndex()
    narrow = [narrowed(pattern, paths) for pattern in patterns]
    known = [each for each in narrow if each is not None]
    index.add(None, *known)
    return index if len(known) == len(narrow) else None


def _patterns(candidate: Candidate) -> list[Pattern]:
    """All that make the candidate look at an event."""
    return [*candidate.start.patterns, *(count.pattern for count in candidate.start.counts)]


def _decided(
    candidate: Candidate, event: Event, fields: EventFields, recorded_at: datetime, windows: Windows
) -> EventMatched | None:
    watches = candidate.rules.watching(fields)
    if not watches:
        return None
    decided = decide_among(watches, candidate.tenant, candidate.rules, event, recorded_at, windows, BUDGET, lambda: 0.0)
    if decided.windows:
        windows.expire()
    return decided.matched if decided.matched is not None and decided.matched.matches else None
