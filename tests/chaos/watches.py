"""A tenant of a kill campaign whose triggers remember: counts, what does not follow, a schedule; and what must come of it.

What must come of it is said by a model that knows the whole log and nothing of windows: `expected`. Everything is sent more
than once, by the senders' own doing and by the kills'. Next: `campaign.py`.
"""

import asyncio
import itertools
import json
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any

from shared.domain.envelope import Event
from shared.runtime.clock import SystemClock
from shared.testing.documents import Document, cloud_event, tell
from shared.testing.receivers import Receiver
from shared.testing.tenant_client import Answer, Source, TenantClient
from shared.testing.vendor_signing import GENERIC_SIGNATURE
from shared.testing.waiting import eventually
from tests.chaos.shops import PATIENT, Tally, rest, until_taken

TIMES = 5
COUNT_SECONDS = 120
"""Within it, and as late, whatever a kill delays: so whoever is denied n times starts n // 5 runs."""
ABSENCE_SECONDS = 3
"""Within it, and as late. A kill delays more than that now and then: then the model says what that means."""
INTERVAL = timedelta(seconds=10)
DENIALS_MAX = 14
SENDERS_OF_EACH = 3
SETTLED_SECONDS = 60.0

Logged = Mapping[str, tuple[Event, datetime]]
"""By id, an event of the log with the instant at which it was first recorded."""

_CLOCK = SystemClock()


@dataclass(slots=True, kw_only=True)
class Watch:
    """`accepted`: the id of everything that was answered 2xx."""

    tenant: TenantClient
    source: Source
    counting: str
    missing: str
    scheduled: str
    since: datetime
    path: str
    accepted: set[str] = field(default_factory=set)
    tally: Tally = field(default_factory=Tally)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """`completed`: runs by who was denied; `unanswered`, `answered`: events; `planned`: each firing's event and instant."""

    denied: Mapping[str, str]
    completed: Counter[str]
    unanswered: frozenset[str]
    answered: frozenset[str]
    planned: Mapping[str, datetime]

    @property
    def runs(self) -> int:
        return self.completed.total() + len(self.unanswered) + len(self.planned)


async def open_watch(tenant: TenantClient, inbox: Receiver) -> Watch:
    """Its source, endpoint and three workflows."""
    path = f"/{tenant.tenant_id}"
    settings = {"signature": GENERIC_SIGNATURE, "type_path": "kind", "id_path": "id"}
    source = await tenant.make_source("door", "generic", settings=settings)
    await tenant.make_endpoint("sink", inbox.url(path))
    count = {
        "event": "door.denied",
        "times": TIMES,
        "within_seconds": COUNT_SECONDS,
        "lateness_seconds": COUNT_SECONDS,
        "key": "{{ event.data.raw.who }}",
    }
    absence = {
        "after": {"event": "door.opened"},
        "of": {"event": "door.closed"},
        "within_seconds": ABSENCE_SECONDS,
        "lateness_seconds": ABSENCE_SECONDS,
        "key": "{{ event.data.raw.who }}",
    }
    schedule = {"interval": {"seconds": int(INTERVAL.total_seconds())}, "overlap": "allow", "catch_up_max": 100}
    since = _CLOCK.now()
    return Watch(
        tenant=tenant,
        source=source,
        counting=await tenant.make_workflow(_telling("Denied again and again", {"count": count})),
        missing=await tenant.make_workflow(_telling("Left open", {"absence": absence})),
        scheduled=await tenant.make_workflow(_telling("Now and then", {"schedule": schedule})),
        since=since,
        path=path,
    )


def _telling(name: str, trigger: Document) -> Document:
    return {"name": name, "trigger": trigger, "steps": [tell("sink", body={"event": "{{ event.id }}"}, retry=PATIENT)]}


class Doors:
    """Whoever is denied, opens and closes: until `closing` is set, and then until the last request has its 2xx."""

    def __init__(self, watch: Watch, random: Random, closing: asyncio.Event) -> None:
        self._watch = watch
        self._random = random
        self._closing = closing
        self._numbers = itertools.count(1)

    async def send(self) -> None:
        """Returns when all that was begun has been taken."""
        async with asyncio.TaskGroup() as group:
            for _ in range(SENDERS_OF_EACH):
                group.create_task(self._until_closing(self._be_denied))
                group.create_task(self._until_closing(self._open_and_close))

    async def _until_closing(self, act: Callable[[str], Awaitable[None]]) -> None:
        while not self._closing.is_set():
            await act(f"visitor-{next(self._numbers)}")

    async def _be_denied(self, who: str) -> None:
        """Some number of times; each is told once or twice, by way of the hook or of /events."""
        for number in range(self._random.randint(1, DENIALS_MAX)):
            raw = {"kind": "denied", "id": f"{who}-{number}", "who": who}
            request = self._random.choice((self._delivering, self._publishing))(raw)
            await self._send_once_or_twice(request)
            await rest(self._closing, self._random.uniform(0.0, 0.6))

    async def _open_and_close(self, who: str) -> None:
        """Closed in time, too late, or never; now and then the closing is recorded before the opening."""
        opened = self._publishing({"kind": "opened", "id": f"{who}-opened", "who": who})
        after_seconds = self._random.choice((0.0, 0.5, 2.0, 2.0, ABSENCE_SECONDS + 1.5, None))
        if after_seconds != 0:
            await self._send_once_or_twice(opened)
        if after_seconds is not None:
            await rest(self._closing, after_seconds)
            await self._send_once_or_twice(self._publishing({"kind": "closed", "id": f"{who}-closed", "who": who}))
        if after_seconds == 0:
            await self._send_once_or_twice(opened)

    def _delivering(self, raw: Document) -> Callable[[], Awaitable[Answer]]:
        body = json.dumps(raw).encode()
        return lambda: self._watch.tenant.deliver(self._watch.source, body)

    def _publishing(self, raw: Document) -> Callable[[], Awaitable[Answer]]:
        """What happens now: a repetition says the same instant."""
        time = _CLOCK.now().isoformat()
        event = cloud_event(f"door.{raw['kind']}", {"raw": raw}, event_id=raw["id"], time=time)
        return lambda: self._watch.tenant.publish(event)

    async def _send_once_or_twice(self, request: Callable[[], Awaitable[Answer]]) -> None:
        async def send() -> None:
            body = (await until_taken(self._watch.tally, request, {202})).body
            self._watch.accepted.update(
                body["event_ids"] if "event_ids" in body else (each["event_id"] for each in body["results"])
            )

        times = self._random.choice((1, 1, 2))
        await asyncio.gather(*(send() for _ in range(times)))


# ------------------------------------------------------------ afterwards


async def stop_schedule(watch: Watch) -> None:
    """Once an instant has been fired that lies after this call; no further one is planned then."""
    asked_at = _CLOCK.now()

    async def fired() -> bool:
        shown = await watch.tenant.every("/api/v1/events?type=upshot.schedule.fired")
        return any(_instant(each["time"]) > asked_at for each in shown)

    await eventually(fired, "the schedule goes on", timeout_seconds=SETTLED_SECONDS, interval_seconds=0.5)
    (await watch.tenant.command("POST", f"/api/v1/workflows/{watch.scheduled}/disable")).expect(200)


def expected(logged: Logged) -> Expected:
    """What the log asks for: each event taken by its first record, and by its own time where that is no later."""
    denied: dict[str, str] = {}
    sides: dict[str, dict[str, list[tuple[datetime, str]]]] = {kind: defaultdict(list) for kind in ("opened", "closed")}
    planned: dict[str, datetime] = {}
    times: dict[str, list[datetime]] = defaultdict(list)
    for event_id, (event, recorded_at) in logged.items():
        data = json.loads(event.data)
        at = min(event.time or recorded_at, recorded_at)
        kind = event.type.rpartition(".")[2]
        if kind == "fired":
            planned[event_id] = _instant(data["planned_at"])
        elif kind == "denied":
            denied[event_id] = data["raw"]["who"]
            times[data["raw"]["who"]] += (at, recorded_at)
        elif recorded_at - at <= timedelta(seconds=ABSENCE_SECONDS):
            sides[kind][data["raw"]["who"]].append((at, event_id))
    for who, instants in times.items():
        assert max(instants) - min(instants) < timedelta(seconds=COUNT_SECONDS), f"{who} waited too long to be judged"
    answered = {
        event_id
        for who, opened in sides["opened"].items()
        for at, event_id in opened
        if any(timedelta() <= then - at <= timedelta(seconds=ABSENCE_SECONDS) for then, _ in sides["closed"][who])
    }
    return Expected(
        denied=denied,
        completed=+Counter({who: denials // TIMES for who, denials in Counter(denied.values()).items()}),
        unanswered=frozenset(each for opened in sides["opened"].values() for _, each in opened) - answered,
        answered=frozenset(answered),
        planned=planned,
    )


async def until_settled(watch: Watch, wanted: Expected) -> None:
    """All waits are over by the clock, and there are as many runs as the log asks for, all ended."""
    over = _CLOCK.now() + timedelta(seconds=2 * ABSENCE_SECONDS + 1)
    told = ""

    async def settled() -> bool:
        nonlocal told
        runs = await watch.tenant.every("/api/v1/runs")
        open_runs = [run["id"] for run in runs if run["ended_at"] is None]
        told = f"{len(runs)} runs of {wanted.runs}, open: {open_runs[:5]}"
        return len(runs) >= wanted.runs and not open_runs and _CLOCK.now() > over

    await eventually(
        settled, "every watch has settled", timeout_seconds=SETTLED_SECONDS, interval_seconds=0.5, explain=lambda: told
    )


async def check_watch(watch: Watch, logged: Logged, wanted: Expected) -> None:
    """Each thing remembered started what it had to, once, and nothing else did."""
    assert watch.accepted <= logged.keys()
    runs = await watch.tenant.every("/api/v1/runs")
    assert {run["status"] for run in runs} == {"succeeded"}, Counter(run["status"] for run in runs)
    about = _about(runs)
    completed = Counter(wanted.denied[event_id] for event_id in about[watch.counting])
    assert completed == wanted.completed, f"counts: {completed - wanted.completed}, {wanted.completed - completed}"
    missed = set(about[watch.missing])
    assert missed == wanted.unanswered, f"told {missed - wanted.unanswered}, not told {wanted.unanswered - missed}"
    assert set(about[watch.scheduled]) == wanted.planned.keys()
    instants = sorted(wanted.planned.values())
    assert instants[0] - watch.since <= INTERVAL + timedelta(seconds=5)
    odd = [(str(first), str(then)) for first, then in itertools.pairwise(instants) if then - first != INTERVAL]
    assert not odd, f"an instant twice, or missing, between {odd}"


async def check_told(watch: Watch, inbox: Receiver, wanted: Expected) -> None:
    """Each run told of itself under one webhook-id."""
    told = {each.webhook_id for each in inbox.received(watch.path)}
    assert len(told) == wanted.runs, f"{len(told)} deliveries of {wanted.runs} runs"


def _about(runs: Iterable[Any]) -> Mapping[str, list[str]]:
    """By workflow, the events that runs are about: none twice."""
    found: dict[str, list[str]] = defaultdict(list)
    for run in runs:
        assert run["event_id"] not in found[run["workflow_id"]], f"event {run['event_id']} has two runs"
        found[run["workflow_id"]].append(run["event_id"])
    return found


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)
