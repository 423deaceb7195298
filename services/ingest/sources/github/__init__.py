"""GitHub: `X-Hub-Signature-256` over the body; `github.<event>[.<action>]`.

The signature covers no timestamp and no header, so an event's name and delivery id are GitHub's word only as far as
the body is. The legacy SHA-1 header is never looked at.
"""

# ruff: noqa: ARG002  the port names the arguments; a vendor uses what it needs

from collections.abc import Sequence

from services.ingest.sources import Delivery, Refused, Source, SourceSettings, Translated, Verified
from services.ingest.sources.reading import event_type, form_fields, text, untranslated
from services.ingest.sources.signing import bound_to_body, hmac_sha256, missing, printable, secret_bytes, verify_any
from shared.domain.errors import Flaw, InvalidInput

_SIGNATURE = "x-hub-signature-256"
_DELIVERY = "x-github-delivery"
_EVENT = "x-github-event"


class Settings(SourceSettings):
    """GitHub needs no settings; the secret is the one typed in at the webhook."""


class GitHub(Source[Settings]):
    vendor = "github"
    title = "GitHub webhooks"
    settings_model = Settings
    names_types_by_source = False

    def verify(self, delivery: Delivery, secrets: Sequence[str], settings: Settings) -> Verified | Refused:
        given = delivery.headers.get(_SIGNATURE)
        if given is None:
            return missing("X-Hub-Signature-256")
        return verify_any(
            secrets,
            [given],
            lambda secret: b"sha256=" + hmac_sha256(secret_bytes(secret), delivery.body).hex().encode(),
        )

    def json_text(self, delivery: Delivery) -> bytes:
        """GitHub's web form offers form encoding first: then the JSON is the field `payload`."""
        fields = form_fields(delivery)
        if fields is None:
            return delivery.body
        if "payload" not in fields:
            raise InvalidInput("The form holds no event.", [Flaw(pointer="#/payload", detail="the field is missing")])
        return fields["payload"].encode()

    def name(self, delivery: Delivery, payload: object, settings: Settings) -> str | None:
        vendor_id = delivery.headers.get(_DELIVERY)
        return bound_to_body(vendor_id, delivery.body) if vendor_id else None

    def translate(self, delivery: Delivery, payload: object, settings: Settings) -> tuple[Translated, ...]:
        event = delivery.headers.get(_EVENT)
        action = text(payload, "action")
        return untranslated(
            event_type("github", event or "received", action),
            subject=text(payload, "repository", "full_name") or text(payload, "organization", "login"),
            event=printable(event) if event else None,
            action=action,
            note=None if event else "the header X-GitHub-Event was missing",
        )


SOURCE = GitHub()
