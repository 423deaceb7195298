"""A push from its bytes to durable events: verify, read, shake hands, name, translate, append; only then 202.

To a source, or to a workflow's own URL (a hook), which is a source whose translation is fixed. Whoever cannot prove itself
learns nothing about a hook: not even that its workflow is archived.
Next: `answering.py` for callers that wait for the run.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from services.ingest.core.admission import TenantAdmission
from services.ingest.service.rejections import Rejection, Rejections
from services.ingest.settings import IngestSettings
from services.ingest.sources import AnySource, Delivery, HandshakeAnswer, Headers, Refused, SourceSettings
from services.ingest.sources.configure import read_settings, source_of
from services.ingest.sources.hooks import VENDOR, HookSource
from services.ingest.sources.platform_events import events_of
from shared.bus import codec
from shared.bus.port import Bus, Position
from shared.bus.topics import EVENTS
from shared.domain.clock import Clock
from shared.domain.definitions import Source, Workflow
from shared.domain.envelope import Event
from shared.domain.errors import InvalidInput, UpshotError
from shared.domain.hooks import Hook, hook_source
from shared.domain.json_text import read_json
from shared.runtime.definitions import DefinitionsFollower

Unseal = Callable[[str, str, Literal["source", "hook"]], Awaitable[str]]
"""(tenant id, sealed secret, whose it is) -> the secret."""


class UnknownSource(UpshotError):
    """Neither a source nor a hook has this id."""


class HookClosed(UpshotError):
    """The hook's workflow takes nothing just now (`for_good` false), or never again."""

    def __init__(self, kind: str, detail: str, *, for_good: bool) -> None:
        super().__init__(detail)
        self.kind = kind
        self.for_good = for_good


class NotBelieved(UpshotError):
    """The push is not proved to be the vendor's."""

    def __init__(self, refused: Refused) -> None:
        super().__init__(refused.detail)
        self.refused = refused


class TooMuch(UpshotError):
    """The tenant is over its rate or backlog."""

    def __init__(self, reason: str, retry_after_seconds: float) -> None:
        super().__init__(reason)
        self.retry_after_seconds = retry_after_seconds


@dataclass(slots=True, kw_only=True, unsafe_hash=True)  # a value, but freezing costs 0.1 µs a field
class Push:
    """One HTTP request to a hook's URL, as it came. `target`: what stands behind `/hooks/`."""

    target: str
    body: bytes
    headers: Headers
    path_token: str | None
    query: Mapping[str, str]
    traceparent: str


@dataclass(slots=True, kw_only=True, unsafe_hash=True)  # a value, but freezing costs 0.1 µs a field
class Accepted:
    """A push that is believed: events to append, and the workflow's URL that it came to, where it came to one."""

    tenant_id: str
    target: str
    body_bytes: int
    events: tuple[Event, ...]
    hook: Hook | None

    @property
    def event_ids(self) -> list[str]:
        return [event.id for event in self.events]


@dataclass(frozen=True, slots=True)
class _Configured:
    """`keys`: the secrets as they stand in the definition, and until when each is valid."""

    vendor: AnySource
    settings: SourceSettings
    keys: tuple[tuple[str, datetime | None], ...]

    def secrets(self, now: datetime) -> tuple[str, ...]:
        return tuple(secret for secret, until in self.keys if until is None or now < until)


class Deliveries:
    """Takes pushes for every source and every hook that the definitions name."""

    def __init__(
        self,
        *,
        bus: Bus,
        definitions: DefinitionsFollower,
        unseal: Unseal,
        admission: TenantAdmission,
        rejections: Rejections,
        settings: IngestSettings,
        clock: Clock,
    ) -> None:
        self._bus = bus
        self._definitions = definitions
        self._unseal = unseal
        self._admission = admission
        self._rejections = rejections
        self._settings = settings
        self._clock = clock
        self._configured: OrderedDict[str, tuple[Source | Hook, _Configured]] = OrderedDict()

    def knows(self, target: str) -> bool:
        """Whether there is a source or a hook of this id."""
        definitions = self._definitions.definitions
        return definitions.source(target) is not None or definitions.hook(target) is not None

    async def accept(self, push: Push) -> Accepted | HandshakeAnswer:
        """Verified, read and translated; nothing is appended yet.

        Raises UnknownSource, NotBelieved, HookClosed, InvalidInput, TransientError.
        """
        target = self._target(push.target)
        configured = await self._configure(target.definition)
        now = self._clock.now()
        delivery = Delivery(
            body=push.body,
            headers=push.headers,
            received_at=now.timestamp(),
            source_name=target.source.name,
            path_token=push.path_token,
            query=push.query,
        )
        verdict = configured.vendor.verify(delivery, configured.secrets(now), configured.settings)
        if isinstance(verdict, Refused):
            self.reject(push.target, verdict.reason, verdict.detail, len(push.body))
            raise NotBelieved(verdict)
        if target.closed is not None:
            self.reject(push.target, target.closed.kind, str(target.closed), len(push.body))
            raise target.closed
        try:
            json_text = configured.vendor.json_text(delivery)
            payload = read_json(json_text)
        except InvalidInput as error:
            self.reject(push.target, "unreadable", str(error), len(push.body))
            raise
        handshake = configured.vendor.handshake(delivery, payload, configured.settings)
        if handshake is not None:
            return handshake
        events = events_of(
            target.source,
            configured.vendor,
            configured.settings,
            delivery,
            origin=hook_source(target.hook.id) if target.hook is not None else None,
            json_text=json_text,
            payload=payload,
            received_at=now,
            dedup_window_seconds=self._settings.dedup_window_seconds,
            traceparent=push.traceparent,
        )
        return Accepted(
            tenant_id=target.source.tenant_id,
            target=push.target,
            body_bytes=len(push.body),
            events=events,
            hook=target.hook,
        )

    async def append(self, accepted: Accepted) -> Sequence[Position]:
        """Where its events are, durably. Raises TooMuch, TransientError."""
        tenant_id, count = accepted.tenant_id, len(accepted.events)
        admission = self._admission.enter(tenant_id, count, self._clock.monotonic())
        if admission.retry_after_seconds is not None:
            reason = admission.reason or "too many events"
            self.reject(accepted.target, "too_much", reason, accepted.body_bytes)
            raise TooMuch(reason, admission.retry_after_seconds)
        try:
            return await self._bus.append([codec.encode(EVENTS, event) for event in accepted.events])
        finally:
            self._admission.leave(tenant_id, count, self._clock.monotonic())

    def reject(self, target: str, reason: str, detail: str, body_bytes: int) -> None:
        """Remember a refused request, for the tenant to see."""
        now = self._clock.now().astimezone(UTC)
        self._rejections.add(target, Rejection(at=now, reason=reason, detail=detail, body_bytes=body_bytes))

    def _target(self, target: str) -> "_Target":
        source = self._definitions.definitions.source(target)
        if source is not None:
            return _Target(definition=source, source=source, hook=None, closed=None)
        found = self._definitions.definitions.hook(target)
        if found is None:
            raise UnknownSource(target)
        workflow, hook = found
        as_source = Source(
            id=hook.id,
            tenant_id=hook.tenant_id,
            name=workflow.name,
            vendor=VENDOR,
            settings=hook.plan.settings,
            secrets=(),
            created_at=hook.made_at,
        )
        return _Target(definition=hook, source=as_source, hook=hook, closed=_closed(workflow, hook))

    async def _configure(self, definition: Source | Hook) -> _Configured:
        """The plug-in with this definition's settings and secrets; made anew when the definition has changed."""
        kept = self._configured.get(definition.id)
        if kept is not None and kept[0] is definition:
            return kept[1]
        tenant_id = definition.tenant_id
        if isinstance(definition, Source):
            vendor, settings = source_of(definition.vendor), read_settings(definition.vendor, definition.settings)
            keys = [(await self._unseal(tenant_id, sealed, "source"), None) for sealed in definition.secrets]
            made = _Configured(vendor, settings, tuple(keys))
        else:
            hook = HookSource(definition)
            valid = [(await self._unseal(tenant_id, each.sealed, "hook"), each.until) for each in definition.secrets]
            made = _Configured(hook, hook.settings, tuple(valid))
        self._configured[definition.id] = (definition, made)
        if len(self._configured) > self._settings.sources_kept_max:
            self._configured.popitem(last=False)
        return made


@dataclass(frozen=True, slots=True, kw_only=True)
class _Target:
    """What a URL leads to. `closed`: why it takes nothing."""

    definition: Source | Hook
    source: Source
    hook: Hook | None
    closed: HookClosed | None


def _closed(workflow: Workflow, hook: Hook) -> HookClosed | None:
    if workflow.archived:
        return HookClosed("hook-gone", f"the workflow {workflow.name!r} is archived; stop sending", for_good=True)
    if not hook.live:
        detail = f"the workflow {workflow.name!r} has no such trigger any more; stop sending"
        return HookClosed("hook-gone", detail, for_good=True)
    if not workflow.enabled:
        detail = f"the workflow {workflow.name!r} is disabled and takes nothing just now; send it again later"
        return HookClosed("hook-disabled", detail, for_good=False)
    return None
