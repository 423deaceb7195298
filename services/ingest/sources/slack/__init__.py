"""Slack: `X-Slack-Signature` over version, timestamp and body; answers the URL verification.

`slack.<event.type>` for event callbacks, `slack.<type>` for what else is JSON, `slack.slash_command` for commands.
"""

# ruff: noqa: ARG002  the port names the arguments; a vendor uses what it needs

from collections.abc import Sequence

import orjson

from services.ingest.sources import Delivery, HandshakeAnswer, Refused, Source, SourceSettings, Translated, Verified
from services.ingest.sources.reading import event_type, form_fields, member, moment, text, untranslated
from services.ingest.sources.signing import (
    header_bytes,
    hmac_sha256,
    malformed,
    missing,
    printable,
    refuse_stale,
    secret_bytes,
    signed_moment,
    unix_seconds,
    verify_any,
)

_SIGNATURE = "x-slack-signature"
_TIMESTAMP = "x-slack-request-timestamp"


class Settings(SourceSettings):
    """Slack needs no settings; the secret is the app's signing secret."""


class Slack(Source[Settings]):
    vendor = "slack"
    title = "Slack events, interactions and slash commands"
    settings_model = Settings
    names_types_by_source = False

    def verify(self, delivery: Delivery, secrets: Sequence[str], settings: Settings) -> Verified | Refused:
        given, signed_at = delivery.headers.get(_SIGNATURE), delivery.headers.get(_TIMESTAMP)
        if given is None:
            return missing("X-Slack-Signature")
        if signed_at is None:
            return missing("X-Slack-Request-Timestamp")
        timestamp = unix_seconds(signed_at)
        if timestamp is None:
            return malformed("X-Slack-Request-Timestamp", "an integer of unix seconds")
        content = b"v0:" + header_bytes(signed_at) + b":" + delivery.body
        verdict = verify_any(
            secrets, [given], lambda secret: b"v0=" + hmac_sha256(secret_bytes(secret), content).hex().encode()
        )
        if isinstance(verdict, Verified):
            return refuse_stale(delivery, timestamp) or verdict
        return verdict

    def json_text(self, delivery: Delivery) -> bytes:
        """Interactions come as a form with the JSON in `payload`; a slash command's fields become an object."""
        fields = form_fields(delivery)
        if fields is None:
            return delivery.body
        return fields["payload"].encode() if "payload" in fields else orjson.dumps(fields)

    def handshake(self, delivery: Delivery, payload: object, settings: Settings) -> HandshakeAnswer | None:
        if text(payload, "type") != "url_verification":
            return None
        challenge = text(payload, "challenge") or ""
        return HandshakeAnswer(status=200, content_type="text/plain; charset=utf-8", body=challenge.encode())

    def name(self, delivery: Delivery, payload: object, settings: Settings) -> str | None:
        event_id = text(payload, "event_id")
        if event_id is not None:
            return printable(event_id)
        signed_at = delivery.headers.get(_TIMESTAMP)
        return signed_moment(signed_at, delivery.body) if signed_at else None

    def translate(self, delivery: Delivery, payload: object, settings: Settings) -> tuple[Translated, ...]:
        kind = text(payload, "type")
        if kind == "event_callback":
            kind = text(payload, "event", "type")
        elif kind is None and text(payload, "command") is not None:
            kind = "slash_command"
        return untranslated(
            event_type("slack", kind or "received"),
            subject=_channel(payload) or text(payload, "team_id"),
            time=moment(payload, "event_time"),
            note=None if kind else "the payload names no type",
        )


def _channel(payload: object) -> str | None:
    """Slack names the channel as an id, as an object, or within the item that an event is about."""
    for where in (("event", "channel"), ("event", "item", "channel"), ("channel",)):
        found = member(payload, *where)
        channel = text(found, "id") if isinstance(found, dict) else found
        if isinstance(channel, str) and channel:
            return channel
    return text(payload, "channel_id")


SOURCE = Slack()
