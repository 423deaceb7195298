"""Each trigger of a document explained, one function for each way in which a trigger can start a run.

A trigger that compiles to an event pattern is explained clause by clause; a count and an absence by the pattern of their events
and what became of their window. One that no event ever starts (`manual`) says so.
Next: `conditions.py`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from shared.expressions import Template
from shared.matching import EventFields, Explainer, Pattern
from shared.workflows.catalogue import Catalogue
from shared.workflows.check import trigger_start
from shared.workflows.compiled import CompiledAbsence, CompiledCount, CompiledStart
from shared.workflows.document import pointer_to, written_triggers
from shared.workflows.event_secrets import EventSecrets
from shared.workflows.explaining.clauses import Origin, clauses_of
from shared.workflows.explaining.values import Clause, Trigger
from shared.workflows.explaining.windows import WindowKnown, WindowsKnown, expected_of_absence, expected_of_count
from shared.workflows.hiding import HIDDEN
from shared.workflows.triggers import OnAbsence, OnCount, OnEvent, OnHook, OnSchedule
from shared.workflows.watching import LeftOut

KeyOf = Callable[[Template, int], str | LeftOut]
"""The key of the event's window by a template and a lateness in seconds, or why it is left out."""

_BY_REQUEST = "only a person or a service that asks for a run starts it"
_BY_FIRINGS = "only its own firings start it"
_TOO_MUCH = (
    "whether its pattern holds cannot be told: to look at all of the event's arrays takes more than one event may cost"
)
_BY_DELIVERIES = "only what is delivered to its own URL starts it"


def explain_triggers(
    start: CompiledStart,
    catalogue: Catalogue,
    fields: EventFields,
    secrets: EventSecrets,
    windows: WindowsKnown,
    key_of: KeyOf,
) -> tuple[Trigger, ...]:
    """In the document's order. `windows`: what is known of those that the event was counted or waited for in."""
    document = start.revision.document
    patterns, counts, absences = iter(start.patterns), iter(start.counts), iter(start.absences)
    schedules = iter(start.schedules)
    explainer = Explainer(fields)
    found = []
    for place, trigger in written_triggers(document):
        asking = _Asking(pointer_to(*place), trigger, document, catalogue, fields, explainer, secrets, key_of)
        match trigger_start(trigger, catalogue, zone=start.limits.zone):
            case OnEvent():
                found.append(asking.event(next(patterns)))
            case OnHook():
                found.append(asking.own_event(next(patterns), _BY_DELIVERIES))
            case OnCount():
                count = next(counts)
                found.append(asking.count(count, windows.get(count.trigger)))
            case OnAbsence():
                absence = next(absences)
                found.append(asking.absence(absence, windows.get(absence.trigger)))
            case OnSchedule():
                found.append(asking.own_event(next(schedules).firing, _BY_FIRINGS))
            case _:
                found.append(asking.without_events())
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Asking:
    """One trigger of a document, asked of one event: a method for each way in which a trigger can start a run."""

    pointer: str
    trigger: Mapping[str, object]
    document: Mapping[str, object]
    catalogue: Catalogue
    fields: EventFields
    explainer: Explainer
    secrets: EventSecrets
    key_of: KeyOf

    @property
    def kind(self) -> str:
        return "+".join(self.trigger)

    def event(self, pattern: Pattern) -> Trigger:
        return self._pattern(pattern, self._origins(self.pointer, self.trigger))

    def count(self, count: CompiledCount, known: WindowKnown | None) -> Trigger:
        base = f"{self.pointer}/count"
        if known is None and self.explainer.verdict(count.pattern):
            known = self._left_out(count.key, count.on.lateness_seconds)
        found = self._pattern(count.pattern, self._origins(base, self._settings("count")))
        window = self._window(f"{base}/times", "count", count.on.times, expected_of_count(count), known)
        return _with_window(found, window, known, f"it counts towards {window.expected_in_words}")

    def absence(self, absence: CompiledAbsence, known: WindowKnown | None) -> Trigger:
        base = f"{self.pointer}/absence"
        settings = self._settings("absence")
        after = self._pattern(absence.after, self._origins(f"{base}/after", _mapping(settings.get("after"))))
        is_of = self.explainer.verdict(absence.of)
        if known is None and is_of:
            known = self._left_out(absence.of_key, absence.on.lateness_seconds)
        if known is None and after.holds:
            known = self._left_out(absence.after_key, absence.on.lateness_seconds)
        expected = self.secrets.hiding.shown(f"{base}/of", settings.get("of"))
        window = self._window(f"{base}/of", "absence", expected, expected_of_absence(absence), known)
        found = _with_window(after, window, known, f"it begins a wait, with {window.expected_in_words}")
        if known is None and is_of:
            return replace(found, in_words="it is what a wait of this workflow is for: it ends one, and starts nothing")
        return found

    def own_event(self, pattern: Pattern, note: str) -> Trigger:
        """What an event of its own is recognised by is nobody's to write, so no clause tells it, but the note does."""
        if not self.explainer.verdict(pattern):
            return self._without_clauses(note)
        return Trigger(pointer=self.pointer, kind=self.kind, holds=True, clauses=(), held=1, total=1)

    def without_events(self) -> Trigger:
        return self._without_clauses(_BY_REQUEST)

    def _without_clauses(self, note: str) -> Trigger:
        return Trigger(pointer=self.pointer, kind=self.kind, holds=False, clauses=(), held=0, total=0, note=note)

    def _left_out(self, key: Template, lateness_seconds: int) -> WindowKnown | None:
        found = self.key_of(key, lateness_seconds)
        if not isinstance(found, LeftOut):
            return None
        why = f"its key cannot be used {HIDDEN}" if self.secrets.in_template(key) else found.why
        return WindowKnown(started=False, actual="left out", said=f"is left out: {why}")

    def _pattern(self, pattern: Pattern, origins: Mapping[str, Origin]) -> Trigger:
        explanation = self.explainer.explain(pattern)
        clauses, left_out = clauses_of(explanation, origins, self.document, self.fields, self.secrets.hiding)
        nearest = explanation.nearest.clauses
        return Trigger(
            pointer=self.pointer,
            kind=self.kind,
            holds=explanation.matches,
            clauses=clauses,
            held=sum(clause.holds for clause in nearest),
            total=len(nearest),
            note=f"{left_out} more clauses are not shown" if left_out else None,
            in_words=_TOO_MUCH if explanation.is_open else None,
        )

    def _window(self, pointer: str, path: str, expected: object, in_words: str, known: WindowKnown | None) -> Clause:
        started = known is not None and known.started
        said = known.said if known is not None else "is not told by the records at hand"
        return Clause(
            pointer=pointer,
            path=path,
            expected=expected,
            expected_in_words=in_words,
            actual=(known.actual,) if known is not None else (),
            actual_left_out=0,
            actual_in_words=said,
            holds=started,
            reasons=() if started else (f"it {said}",),
            counted=True,
        )

    def _settings(self, key: str) -> Mapping[str, object]:
        return _mapping(self.trigger.get(key))

    def _origins(self, base: str, selecting: Mapping[str, object]) -> dict[str, Origin]:
        """Per top-level field of the pattern that `event`, `pattern` and their like at `base` make, where it is written."""
        origins = {}
        for key, value in selecting.items():
            kind = self.catalogue.triggers.get(key)
            said = kind.start(value, zone="UTC") if kind is not None else None
            if isinstance(said, OnEvent):
                for field in said.pattern:
                    origins[field] = Origin(f"{base}{pointer_to(key).removeprefix('#')}", said.pattern == value)
        return origins


def _with_window(found: Trigger, window: Clause, known: WindowKnown | None, does: str) -> Trigger:
    """The pattern's clauses and the window's. `does`: what an event of this pattern does, where no record tells more."""
    started = found.holds and window.holds
    in_words = found.in_words
    if not started and known is not None:
        in_words = f"it {known.said}"
    elif not started and found.holds:
        in_words = does
    return replace(
        found,
        holds=started,
        clauses=(*found.clauses, window),
        held=found.held + window.holds,
        total=found.total + 1,
        in_words=in_words,
        window=window,
    )


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}
