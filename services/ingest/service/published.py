"""Upstream services' events from an HTTP request to the log, with a result for each."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from services.ingest.core.admission import Admission, TenantAdmission
from services.ingest.service.deliveries import TooMuch
from services.ingest.settings import IngestSettings
from shared.bus import codec
from shared.bus.cloudevents_http import parse_http
from shared.bus.cloudevents_json import ParsedEvent, UnreadableEvent
from shared.bus.port import Bus
from shared.bus.published import ForeignTenant, Publisher, platform_event
from shared.bus.topics import EVENTS
from shared.domain.clock import Clock
from shared.domain.envelope import Event
from shared.domain.errors import Flaw, InvalidInput

TURN_SECONDS = 0.005
"""So long events of one request are read before others get their turn."""

KnownEvents = Callable[[str, Collection[str]], Awaitable[Collection[str]]]
"""(tenant id, event ids) -> those that the read model holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishProblem:
    kind: str
    detail: str
    flaws: tuple[Flaw, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishResult:
    """`id` is the publisher's own, `event_id` the platform's. A duplicate was taken before: nothing was appended."""

    id: str | None
    status: Literal["accepted", "duplicate", "rejected"]
    event_id: str | None = None
    problem: PublishProblem | None = None


class Published:
    """Takes batches of CloudEvents for one tenant."""

    def __init__(
        self,
        *,
        bus: Bus,
        known_events: KnownEvents,
        admission: TenantAdmission,
        settings: IngestSettings,
        clock: Clock,
    ) -> None:
        self._bus = bus
        self._known_events = known_events
        self._admission = admission
        self._settings = settings
        self._clock = clock
        self._lately: OrderedDict[str, None] = OrderedDict()

    async def take(
        self, tenant_id: str, headers: Sequence[tuple[str, str]], body: bytes, *, traceparent: str
    ) -> list[PublishResult]:
        """One result an event, in order; accepted ones are durable. Raises InvalidInput, UnknownFormat, ForeignTenant,
        TooMuch, TransientError: then nothing was taken. What cannot be read counts as what can: reading it is the work."""
        _refuse(self._admission.look(tenant_id, self._clock.monotonic()))
        publisher = Publisher(
            tenant_id=tenant_id,
            received_at=self._clock.now(),
            traceparent=traceparent,
            data_bytes_max=self._settings.event_bytes_max,
        )
        judged: list[_Judged | PublishResult] = []
        try:
            await self._judge(parse_http(headers, body), publisher, judged)
        except (InvalidInput, ForeignTenant, UnreadableEvent) as error:
            self._charge(tenant_id, len(judged) + 1)
            if isinstance(error, UnreadableEvent):
                raise InvalidInput("this is no CloudEvent", error.flaws) from None
            raise
        readable = [each for each in judged if isinstance(each, _Judged)]
        await self._append_new(tenant_id, readable)
        self._charge(tenant_id, len(judged) - len(readable))
        return [each if isinstance(each, PublishResult) else each.result() for each in judged]

    async def _judge(
        self,
        parsed: Iterable[ParsedEvent | UnreadableEvent],
        publisher: Publisher,
        judged: list["_Judged | PublishResult"],
    ) -> None:
        """Add each of them to `judged`, with others' turns in between. Raises InvalidInput where there are too many, having read
        no more."""
        turn_ends = self._clock.monotonic() + TURN_SECONDS
        for each in parsed:
            if len(judged) == self._settings.batch_events_max:
                detail = f"{len(judged)} events are the most in one request: send several"
                raise InvalidInput("the batch is too large", [Flaw(pointer="#", detail=detail)])
            judged.append(_judged(each, publisher))
            if self._clock.monotonic() >= turn_ends:
                await asyncio.sleep(0)
                turn_ends = self._clock.monotonic() + TURN_SECONDS

    def _charge(self, tenant_id: str, events: int) -> None:
        """For what was read in vain."""
        self._admission.charge(tenant_id, events, self._clock.monotonic())

    async def _append_new(self, tenant_id: str, judged: Sequence["_Judged"]) -> None:
        """Appends what is new, and marks what was taken before or stands twice in the request."""
        _refuse(self._admission.enter(tenant_id, len(judged), self._clock.monotonic()))
        try:
            asked = [each.event.id for each in judged if each.event.id not in self._lately]
            known = set(await self._known_events(tenant_id, asked)) if asked else set()
            for each in judged:
                each.duplicate = each.event.id in known or each.event.id in self._lately
                known.add(each.event.id)
            new = [each.event for each in judged if not each.duplicate]
            if new:
                await self._bus.append([codec.encode(EVENTS, event) for event in new])
            for event in new:
                self._lately[event.id] = None
            while len(self._lately) > self._settings.events_remembered_max:
                self._lately.popitem(last=False)
        finally:
            self._admission.leave(tenant_id, len(judged), self._clock.monotonic())


@dataclass(slots=True)
class _Judged:
    """An event that may be taken."""

    published_id: str
    event: Event
    duplicate: bool = False

    def result(self) -> PublishResult:
        status: Literal["accepted", "duplicate"] = "duplicate" if self.duplicate else "accepted"
        return PublishResult(id=self.published_id, status=status, event_id=self.event.id)


def _refuse(admission: Admission) -> None:
    """Raises TooMuch, where it is one."""
    if admission.retry_after_seconds is not None:
        raise TooMuch(admission.reason or "too many events", admission.retry_after_seconds)


def _judged(parsed: ParsedEvent | UnreadableEvent, publisher: Publisher) -> _Judged | PublishResult:
    """Raises ForeignTenant."""
    if isinstance(parsed, UnreadableEvent):
        return _rejected(parsed.event_id, "this is no CloudEvent", parsed.flaws)
    try:
        event = platform_event(parsed.attributes, parsed.data, publisher)
    except InvalidInput as error:
        return _rejected(parsed.attributes.get("id"), error.title, error.flaws)
    return _Judged(parsed.attributes["id"], event)


def _rejected(published_id: str | None, title: str, flaws: Sequence[Flaw]) -> PublishResult:
    problem = PublishProblem(kind="invalid-event", detail=title, flaws=tuple(flaws))
    return PublishResult(id=published_id, status="rejected", problem=problem)
