"""A vendor's push from its bytes to durable events: verify, read, shake hands, name, translate, append; only then 202."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from services.ingest.core.admission import TenantAdmission
from services.ingest.service.rejections import Rejection, Rejections
from services.ingest.settings import IngestSettings
from services.ingest.sources import AnySource, Delivery, HandshakeAnswer, Headers, Refused, SourceSettings
from services.ingest.sources.configure import read_settings, source_of
from services.ingest.sources.platform_events import events_of
from shared.bus import codec
from shared.bus.port import Bus
from shared.bus.topics import EVENTS
from shared.domain.clock import Clock
from shared.domain.definitions import Source
from shared.domain.errors import InvalidInput, UpshotError
from shared.domain.json_text import read_json
from shared.runtime.definitions import DefinitionsFollower

Unseal = Callable[[str, str], Awaitable[str]]
"""(tenant id, sealed secret) -> the secret."""


class UnknownSource(UpshotError):
    """No source has this id."""


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


@dataclass(frozen=True, slots=True)
class _Configured:
    vendor: AnySource
    settings: SourceSettings
    secrets: tuple[str, ...]


class Deliveries:
    """Takes pushes for every source that the definitions name."""

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
        self._configured: OrderedDict[str, tuple[Source, _Configured]] = OrderedDict()

    async def take(
        self, source_id: str, body: bytes, headers: Headers, *, path_token: str | None, traceparent: str
    ) -> list[str] | HandshakeAnswer:
        """The ids of the durable events. Raises UnknownSource, NotBelieved, InvalidInput, TooMuch, TransientError."""
        source = self._definitions.definitions.source(source_id)
        if source is None:
            raise UnknownSource(source_id)
        configured = await self._configure(source)
        received_at = self._clock.now()
        delivery = Delivery(
            body=body,
            headers=headers,
            received_at=received_at.timestamp(),
            source_name=source.name,
            path_token=path_token,
        )
        verdict = configured.vendor.verify(delivery, configured.secrets, configured.settings)
        if isinstance(verdict, Refused):
            self.reject(source_id, verdict.reason, verdict.detail, len(body))
            raise NotBelieved(verdict)
        try:
            json_text = configured.vendor.json_text(delivery)
            payload = read_json(json_text)
        except InvalidInput as error:
            self.reject(source_id, "unreadable", str(error), len(body))
            raise
        handshake = configured.vendor.handshake(delivery, payload, configured.settings)
        if handshake is not None:
            return handshake
        return await self._append(source, configured, delivery, json_text, payload, received_at, traceparent)

    def reject(self, source_id: str, reason: str, detail: str, body_bytes: int) -> None:
        """Remember a refused request, for the tenant to see."""
        now = self._clock.now().astimezone(UTC)
        self._rejections.add(source_id, Rejection(at=now, reason=reason, detail=detail, body_bytes=body_bytes))

    async def _append(
        self,
        source: Source,
        configured: _Configured,
        delivery: Delivery,
        json_text: bytes,
        payload: object,
        received_at: datetime,
        traceparent: str,
    ) -> list[str]:
        events = events_of(
            source,
            configured.vendor,
            configured.settings,
            delivery,
            json_text=json_text,
            payload=payload,
            received_at=received_at,
            dedup_window_seconds=self._settings.dedup_window_seconds,
            traceparent=traceparent,
        )
        admission = self._admission.enter(source.tenant_id, len(events), self._clock.monotonic())
        if admission.retry_after_seconds is not None:
            reason = admission.reason or "too many events"
            self.reject(source.id, "too_much", reason, len(delivery.body))
            raise TooMuch(reason, admission.retry_after_seconds)
        try:
            await self._bus.append([codec.encode(EVENTS, event) for event in events])
        finally:
            self._admission.leave(source.tenant_id, len(events), self._clock.monotonic())
        return [event.id for event in events]

    async def _configure(self, source: Source) -> _Configured:
        """The vendor's plug-in with this source's settings and secrets; made anew when the definition has changed."""
        kept = self._configured.get(source.id)
        if kept is not None and kept[0] is source:
            return kept[1]
        secrets = [await self._unseal(source.tenant_id, sealed) for sealed in source.secrets]
        settings = read_settings(source.vendor, source.settings)
        made = _Configured(source_of(source.vendor), settings, tuple(secrets))
        self._configured[source.id] = (source, made)
        if len(self._configured) > self._settings.sources_kept_max:
            self._configured.popitem(last=False)
        return made
