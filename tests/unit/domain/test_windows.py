"""Windows against a model that keeps everything for ever: what is forgotten, restored, or told again changes no verdict.

And against the definitions themselves, in whatever order events arrive within the lateness that is allowed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared.domain.absence import Absence
from shared.domain.records import (
    ScheduleFired,
    SourceEvent,
    WindowCounted,
    WindowElapsed,
    WindowFact,
    WindowFollowed,
    WindowOpened,
)
from shared.domain.seen import LONG_AGO, Seen
from shared.domain.windows import COUNT_MAX, WAITING_MAX, Count, WindowKey, Windows
from shared.readmodel.rows import WINDOW_STATES
from shared.testing.examples import examples
from shared.testing.folds import match

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
TIMES, WITHIN, LATENESS = 3, 30, 10
KEYS = ("a", "b")
KINDS = ("counted", "opened", "followed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """An event, as it does one thing to one window."""

    kind: str
    key: str
    id: str
    at: datetime
    seen_at: datetime

    def fact(self) -> WindowCounted | WindowOpened | WindowFollowed:
        common = {
            "workflow_id": "w",
            "trigger": "count" if self.kind == "counted" else "absence",
            "key": self.key,
            "at": self.at,
            "seen_at": self.seen_at,
            "within_seconds": WITHIN,
            "lateness_seconds": LATENESS,
        }
        if self.kind == "counted":
            return WindowCounted(event_id=self.id, times=TIMES, **common)
        if self.kind == "opened":
            return WindowOpened(event=source_event(self.id), **common)
        return WindowFollowed(event_id=self.id, **common)


@dataclass(slots=True)
class Model:
    """Both windows of one key, by their definition, over the whole past."""

    known: set[tuple[str, str]] = field(default_factory=set)
    counting: list[Seen] = field(default_factory=list)
    after: list[Seen] = field(default_factory=list)
    followed: list[Seen] = field(default_factory=list)
    over_until: datetime = LONG_AGO

    @property
    def opened(self) -> Seen | None:
        """The first that nothing followed, of those that lie in no other's wait."""
        free_at = self.over_until
        for each in sorted(self.after):
            if each.at < free_at:
                continue
            answers = [then for then in self.followed if _answers(each, then)]
            if not answers:
                return each
            free_at = min(answers).at
        return None

    def tell(self) -> None:
        """The wait that is open is over."""
        assert self.opened is not None
        self.over_until = self.opened.at + timedelta(seconds=WITHIN, microseconds=1)

    def take(self, told: Told) -> bool:
        if told.seen_at - told.at > timedelta(seconds=LATENESS) or (told.kind, told.id) in self.known:
            return False
        self.known.add((told.kind, told.id))
        seen = Seen(told.at, told.id)
        if told.kind == "counted":
            return self._count(seen)
        if told.kind == "opened":
            self.after.append(seen)
            return self.opened == seen
        former = self.opened
        self.followed.append(seen)
        return former is not None and _answers(former, seen)

    def _count(self, seen: Seen) -> bool:
        """The oldest events that make up a count together with this one."""
        self.counting = sorted([*self.counting, seen])
        for first in range(len(self.counting) - TIMES + 1):
            made_of = self.counting[first : first + TIMES]
            if seen in made_of and made_of[-1].at - made_of[0].at <= timedelta(seconds=WITHIN):
                self.counting = [each for each in self.counting if each not in made_of]
                return True
        return False


def _answers(first: Seen, then: Seen) -> bool:
    return timedelta() <= then.at - first.at <= timedelta(seconds=WITHIN) and then.event_id != first.event_id


def source_event(event_id: str) -> SourceEvent:
    return SourceEvent(id=event_id, source="/doors", type="door.opened", data={})


def elapsed(key: str, event_id: str) -> WindowElapsed:
    return WindowElapsed(workflow_id="w", trigger="absence", key=key, event=source_event(event_id), match=match("w"))


def restored(windows: Windows) -> Windows:
    """As another process finds them: by way of what is written of each."""
    made = Windows()
    written = [(key, type(each).__name__.lower(), each) for key, each in windows.items()]
    made.restore(
        (key, WINDOW_STATES[kind].validate_json(WINDOW_STATES[kind].dump_json(each))) for key, kind, each in written
    )
    return made


class Fold:
    """The windows under test, which forget after every fact. `offset`: where the next fact lies."""

    def __init__(self) -> None:
        self.windows = Windows()
        self.offset = 0
        self.forgotten = 0

    def apply(self, fact: WindowFact, now: datetime) -> bool:
        self.offset += 1
        changed = self.windows.apply("acme", fact, now, self.offset)
        self.forgotten += len(self.windows.expire())
        return changed


STEPS = st.lists(
    st.tuples(
        st.sampled_from((*KINDS, *KINDS, "beat", "repeated", "read again", "over", "restored")),
        st.sampled_from(KEYS),
        st.integers(0, WITHIN + LATENESS),  # seconds since the step before
        st.integers(0, LATENESS + 2),  # seconds from its happening to its recording
        st.integers(0, 12),  # how far back, where something is repeated
    ),
    max_size=60,
)


@settings(max_examples=examples(400), deadline=None)
@example(
    steps=[("opened", "a", 0, 0, 0), ("opened", "a", 30, 0, 0), ("over", "a", 10, 0, 0), ("repeated", "a", 0, 0, 0)]
)
@given(steps=STEPS)
def test_what_is_forgotten_restored_or_told_again_changes_no_verdict(
    steps: Sequence[tuple[str, str, int, int, int]],
) -> None:
    fold, models, now, past = Fold(), {key: Model() for key in KEYS}, START, list[Told]()
    for number, (step, key, pause, delay, back) in enumerate(steps):
        now += timedelta(seconds=pause)
        if step == "restored":
            fold.windows = restored(fold.windows)
        elif step == "over":
            for each, model in models.items():
                for early, changed in _told_of_over(fold, each, model, now):
                    assert changed is not early
        else:
            for told in _events(step, key, f"e{number}", now, delay, back, past):
                assert fold.apply(told.fact(), told.seen_at) is models[told.key].take(told), told
        for each, model in models.items():
            window = fold.windows.get(WindowKey("acme", "w", "absence", each))
            opened = window.opened if isinstance(window, Absence) else None
            assert (opened and Seen(opened.at, opened.event_id)) == model.opened


def _events(step: str, key: str, name: str, now: datetime, delay: int, back: int, past: list[Told]) -> Iterator[Told]:
    """What a step tells; what is told for the first time is added to the past."""
    at = now - timedelta(seconds=delay)
    if step == "repeated" and past:
        first = past[-1 - back % len(past)]
        yield Told(kind=first.kind, key=first.key, id=first.id, at=first.at, seen_at=now)
    elif step == "read again":
        yield from past[-back:] if back else ()
    elif step in KINDS or step == "beat":
        kinds = ("followed", "opened") if step == "beat" else (step,)
        made = [Told(kind=kind, key=key, id=name, at=at, seen_at=now) for kind in kinds]
        past += made
        yield from made


def _told_of_over(fold: Fold, key: str, model: Model, now: datetime) -> Iterator[tuple[bool, bool]]:
    """An open wait told of too early; then, once it is over, by two who both think they own it: (too early, changed)."""
    if model.opened is None:
        return
    due_at = model.opened.at + timedelta(seconds=WITHIN + LATENESS)
    fact = elapsed(key, model.opened.event_id)
    yield True, fold.apply(fact, due_at - timedelta(microseconds=1))
    if now >= due_at:
        model.tell()
        yield False, fold.apply(fact, now)
        yield True, fold.apply(fact, now)


@given(delays=st.lists(st.tuples(st.integers(0, WITHIN), st.integers(0, LATENESS)), max_size=20), again=st.booleans())
def test_whatever_happened_close_together_completes_as_many_counts_in_whatever_order_it_arrives(
    delays: Sequence[tuple[int, int]], again: bool
) -> None:
    fold = Fold()
    happened = [(START + timedelta(seconds=at), f"e{number}", delay) for number, (at, delay) in enumerate(delays)]
    arriving = [
        Told(kind="counted", key="a", id=name, at=at, seen_at=at + timedelta(seconds=delay))
        for at, name, delay in happened
        for _ in range(2 if again else 1)
    ]
    arriving.sort(key=lambda told: told.seen_at)
    completed = sum(fold.apply(told.fact(), told.seen_at) for told in arriving)
    assert completed == len(happened) // TIMES


@given(
    delay=st.integers(0, LATENESS),
    thens=st.lists(st.tuples(st.integers(-WITHIN, 2 * WITHIN), st.integers(0, LATENESS + 2)), max_size=6),
    restores=st.sets(st.integers(0, 6)),
)
def test_a_wait_is_over_exactly_where_nothing_followed_in_time_in_whatever_order_it_is_recorded(
    delay: int, thens: Sequence[tuple[int, int]], restores: set[int]
) -> None:
    fold, due_at = Fold(), START + timedelta(seconds=WITHIN + LATENESS)
    recorded = [
        Told(
            kind="followed",
            key="a",
            id=f"then{number}",
            at=START + timedelta(seconds=at),
            seen_at=START + timedelta(seconds=at + late),
        )
        for number, (at, late) in enumerate(thens)
    ]
    recorded.append(Told(kind="opened", key="a", id="first", at=START, seen_at=START + timedelta(seconds=delay)))
    recorded.sort(key=lambda told: told.seen_at)
    for number, told in enumerate(each for each in recorded if each.seen_at <= due_at):
        fold.apply(told.fact(), told.seen_at)
        if number in restores:
            fold.windows = restored(fold.windows)
    over = fold.apply(elapsed("a", "first"), due_at)
    for told in (each for each in recorded if each.seen_at > due_at):
        fold.apply(told.fact(), told.seen_at)
    answered = any(0 <= at <= WITHIN and late <= LATENESS for at, late in thens)
    assert over is not answered
    assert not fold.apply(elapsed("a", "first"), due_at + timedelta(days=1))


HAPPENED = st.lists(
    st.tuples(
        st.sampled_from(("opened", "followed", "beat")),
        st.integers(0, 6 * WITHIN),
        st.integers(0, LATENESS),
        st.booleans(),
    ),
    max_size=14,
)


@settings(max_examples=examples(400), deadline=None)
@example(happened=[("opened", 0, 0, False), ("opened", 15, 0, False), ("followed", 10, 10, False)])
@example(happened=[("beat", 0, 0, False), ("beat", 34, 0, False)])
@example(happened=[("opened", 35, 0, False), ("opened", 30, 9, False), ("followed", 62, 0, False)])
@given(happened=HAPPENED)
def test_exactly_those_are_told_of_that_nothing_followed_whatever_order_they_are_recorded_in(
    happened: Sequence[tuple[str, int, int, bool]],
) -> None:
    fold, told_of = Fold(), set[str]()
    recorded = sorted(
        (
            (START + timedelta(seconds=at + delay), START + timedelta(seconds=at), kind, f"e{number}", restore)
            for number, (kind, at, delay, restore) in enumerate(happened)
        ),
    )
    for seen_at, at, kind, name, restore in recorded:
        _tell_what_is_due(fold, seen_at, told_of)
        for each in ("followed", "opened") if kind == "beat" else (kind,):
            fold.apply(Told(kind=each, key="a", id=name, at=at, seen_at=seen_at).fact(), seen_at)
        if restore:
            fold.windows = restored(fold.windows)
    _tell_what_is_due(fold, START + timedelta(days=1), told_of)
    assert told_of == _unfollowed(happened)


def _tell_what_is_due(fold: Fold, now: datetime, told_of: set[str]) -> None:
    while due := [(due_at, key) for due_at, key in fold.windows.waiting() if due_at < now]:
        window = fold.windows.get(due[0][1])
        assert isinstance(window, Absence) and window.opened is not None
        event_id = window.opened.event_id
        assert event_id not in told_of
        told_of.add(event_id)
        assert fold.apply(elapsed("a", event_id), due[0][0])


def _unfollowed(happened: Sequence[tuple[str, int, int, bool]]) -> set[str]:
    """By the definition, along the events' own times."""
    begins = sorted((at, f"e{number}") for number, (kind, at, _, _) in enumerate(happened) if kind != "followed")
    follows = sorted((at, f"e{number}") for number, (kind, at, _, _) in enumerate(happened) if kind != "opened")
    unfollowed, over_until = set[str](), -1.0
    for at, name in begins:
        if at <= over_until:
            continue
        answers = [then for then, other in follows if at <= then <= at + WITHIN and other != name]
        if not answers:
            unfollowed.add(name)
        over_until = (
            at + WITHIN if not answers else min(answers) - 0.5
        )  # whole seconds: one at that instant begins another
    return unfollowed


@given(seconds=st.lists(st.integers(0, 50), max_size=12))
def test_a_schedules_cursor_only_moves_on(seconds: Sequence[int]) -> None:
    fold, newest = Fold(), LONG_AGO
    for each in seconds:
        planned_at = START + timedelta(seconds=each)
        fact = ScheduleFired(workflow_id="w", trigger="schedule", planned_at=planned_at, event_id=f"e{each}")
        assert fold.apply(fact, START) is (planned_at > newest)
        newest = max(newest, planned_at)
        fold.windows = restored(fold.windows)


def test_what_no_event_can_concern_any_more_is_forgotten() -> None:
    fold = Fold()
    for number in range(50):
        now = START + timedelta(seconds=number * (WITHIN + LATENESS + 1))
        for kind in KINDS:
            fold.apply(Told(kind=kind, key=f"key{number}", id=f"e{number}", at=now, seen_at=now).fact(), now)
    # The same event neither follows itself nor ends anything: each key left a count, which expires, and an open wait.
    assert fold.forgotten == 49
    assert sum(1 for _ in fold.windows.items()) == 51
    assert sum(1 for _ in fold.windows.waiting()) == 50


NEIGHBOURS = st.lists(
    st.tuples(
        st.sampled_from(("acme", "globex")),
        st.sampled_from(KINDS),
        st.sampled_from(KEYS),
        st.integers(0, WITHIN),  # seconds since the same tenant's event before
    ),
    max_size=40,
)


def test_what_waits_in_a_count_is_bounded_and_its_newest_still_complete_it() -> None:
    def seen(number: int, at: datetime) -> Seen:
        return Seen(at, f"e{number}")

    def often(every: timedelta, numbers: range, since: datetime) -> list[bool]:
        times = [(number, since + every * place) for place, number in enumerate(numbers)]
        return [count.add(seen(number, at), COUNT_MAX, at) for number, at in times]

    count = Count(within_seconds=10, lateness_seconds=86_400)
    rarely, closely = timedelta(milliseconds=20), timedelta(milliseconds=1)
    assert not any(often(rarely, range(2 * WAITING_MAX), START))
    assert len(count.waiting) == WAITING_MAX
    later = START + timedelta(hours=1)
    assert often(closely, range(10_000, 10_000 + COUNT_MAX), later) == [False] * (COUNT_MAX - 1) + [True]
    assert len(count.used) == COUNT_MAX
    assert not count.knows("e0", later)


@settings(max_examples=examples(200), deadline=None)
@given(NEIGHBOURS)
def test_whoever_else_lies_in_the_partition_a_tenants_windows_are_the_same(
    steps: list[tuple[str, str, str, int]],
) -> None:
    """Each tenant's events come in order; between tenants there is none, as in a log that was copied to fewer partitions."""
    together, apart = Windows(), {"acme": Windows(), "globex": Windows()}
    clocks = dict.fromkeys(apart, START)
    for number, (tenant_id, kind, key, seconds) in enumerate(steps):
        clocks[tenant_id] += timedelta(seconds=seconds)
        at = clocks[tenant_id]
        fact = Told(kind=kind, key=key, id=f"{number}", at=at, seen_at=at).fact()
        changed = together.apply(tenant_id, fact, at, number)
        assert changed == apart[tenant_id].apply(tenant_id, fact, at, number)
        assert together.expire() == apart[tenant_id].expire()
    everything = {key: window for each in apart.values() for key, window in each.items()}
    assert dict(together.items()) == everything
