"""A workflow's own URL as a source: proved as Standard Webhooks or a generic source is, translated the same way always.

What arrives becomes one `upshot.webhook.received` about the workflow. Of its headers only those are kept that tell what was
sent; what proves a sender never enters the log.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from services.ingest.sources import AnySource, Delivery, Refused, Source, SourceSettings, Translated, Verified
from services.ingest.sources.configure import read_settings, source_of
from services.ingest.sources.generic import Settings as GenericSettings
from services.ingest.sources.reading import form_fields, identifier
from services.ingest.sources.signing import bound_to_body, printable
from shared.domain.hooks import HOOK_EVENT, Hook
from shared.domain.json_text import dump_json
from shared.workflows.hiding import Hiding

VENDOR = "webhook"
HEADERS_MAX = 40
QUERY_MAX = 100
TEXT_CHARACTERS_MAX = 1000
"""Of a header or a parameter; longer ones are cut."""

_HEADERS = frozenset(
    {"content-type", "user-agent", "webhook-id", "webhook-timestamp", "svix-id", "svix-timestamp", "x-event-key"}
)
_HEADER_ENDINGS = ("-event", "-topic", "-type", "-kind", "-action", "-delivery", "-id", "-version", "-attempt")
"""Of `x-…` headers: by what vendors name an event, a delivery, a try."""
_SECRET = Hiding()


class HookSource(Source[Any]):
    """One hook. `settings`: those of the source that proves its deliveries."""

    vendor = VENDOR
    title = "A workflow's own URL"
    settings_model = SourceSettings
    names_types_by_source = False

    def __init__(self, hook: Hook) -> None:
        self._hook = hook
        self._proof: AnySource = source_of(hook.plan.vendor)
        self.settings = read_settings(hook.plan.vendor, hook.plan.settings)

    def verify(self, delivery: Delivery, secrets: Sequence[str], settings: SourceSettings) -> Verified | Refused:
        return self._proof.verify(delivery, secrets, settings)

    def json_text(self, delivery: Delivery) -> bytes:
        """A form's fields as an object; no body at all as null: a button has nothing to say."""
        if not delivery.body:
            return b"null"
        fields = form_fields(delivery)
        return dump_json(fields) if fields is not None else delivery.body

    def name(self, delivery: Delivery, payload: object, settings: SourceSettings) -> str | None:
        """By the payload, by what the signature covers; where the sender signs nothing, by its Idempotency-Key."""
        path = self._hook.plan.id_path
        found = identifier(payload, *path.split(".")) if path is not None else None
        if found:
            return printable(found)
        key = delivery.headers.get("idempotency-key")
        if key and isinstance(settings, GenericSettings) and settings.signature is None:
            return bound_to_body(key, self.nameless(delivery))
        return self._proof.name(delivery, payload, settings)

    def nameless(self, delivery: Delivery) -> bytes:
        """The body; where no signature covers that, the parameters say as much."""
        signed = not isinstance(self.settings, GenericSettings) or self.settings.signature is not None
        if signed or not delivery.query:
            return delivery.body
        return repr(sorted(delivery.query.items())).encode("utf-8", "backslashreplace") + b"\n" + delivery.body

    def translate(self, delivery: Delivery, payload: object, settings: SourceSettings) -> tuple[Translated, ...]:
        del payload, settings
        data = {"headers": _telling(delivery.headers.by_name), "query": _parameters(delivery.query)}
        return (Translated(type=HOOK_EVENT, subject=self._hook.workflow_id, time=None, data=data),)


def _telling(headers: Mapping[str, str]) -> dict[str, str]:
    told = [(name, value) for name, value in sorted(headers.items()) if _tells(name)]
    return {name: _text(value) for name, value in told[:HEADERS_MAX]}


def _tells(name: str) -> bool:
    if name in _HEADERS:
        return True
    return name.startswith("x-") and name.endswith(_HEADER_ENDINGS) and not _SECRET.names_secret(name)


def _parameters(query: Mapping[str, str]) -> dict[str, str]:
    return {_text(name): _text(value) for name, value in list(query.items())[:QUERY_MAX]}


def _text(text: str) -> str:
    """Valid Unicode without NUL, whatever a header may hold."""
    return text[:TEXT_CHARACTERS_MAX].encode("utf-8", "replace").decode().replace("\0", "")
