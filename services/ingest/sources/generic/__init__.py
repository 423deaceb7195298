"""Any sender that is no vendor of ours: an HMAC header, or a secret in the URL, by the tenant's settings.

Types are `<source name>.<what type_path finds, else received>`.
"""

# ruff: noqa: ARG002  the port names the arguments; a vendor uses what it needs

import base64
import hmac
from collections.abc import Sequence
from typing import Self

from pydantic import Field, model_validator

from services.ingest.sources import Delivery, Refused, Source, SourceSettings, Translated, Verified
from services.ingest.sources.reading import event_type, identifier, untranslated
from services.ingest.sources.signing import missing, printable, secret_bytes, verify_any
from shared.workflows.webhook import HmacSignature


class Settings(SourceSettings):
    """How to believe and name what the sender sends. Give `signature` or `path_token`, not both."""

    signature: HmacSignature | None = Field(None, description="The sender signs the body with the source's secret.")
    path_token: bool = Field(
        False, description="The sender cannot sign: the source's secret is the last segment of the URL instead."
    )
    type_path: str | None = Field(
        None,
        min_length=1,
        max_length=200,
        description="Where the payload names its type: keys joined by dots, numbers index arrays.",
        examples=["event.kind"],
    )
    id_path: str | None = Field(
        None,
        min_length=1,
        max_length=200,
        description="Where the payload names itself, equal for every retry; without it equal bytes within the "
        "de-duplication window are one delivery.",
        examples=["event.id"],
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.signature is not None and self.path_token:
            raise ValueError("give signature or path_token, not both")
        return self

    @property
    def secret_required(self) -> bool:
        return self.signed

    @property
    def signed(self) -> bool:
        return self.signature is not None or self.path_token


class Generic(Source[Settings]):
    vendor = "generic"
    title = "Any JSON webhook"
    settings_model = Settings
    names_types_by_source = True

    def verify(self, delivery: Delivery, secrets: Sequence[str], settings: Settings) -> Verified | Refused:
        if settings.signature is not None:
            return _verify_signature(delivery, secrets, settings.signature)
        if settings.path_token:
            return _verify_token(delivery, secrets)
        return Verified(secret_index=None)

    def name(self, delivery: Delivery, payload: object, settings: Settings) -> str | None:
        found = identifier(payload, *settings.id_path.split(".")) if settings.id_path else None
        return printable(found) if found else None

    def translate(self, delivery: Delivery, payload: object, settings: Settings) -> tuple[Translated, ...]:
        kind = identifier(payload, *settings.type_path.split(".")) if settings.type_path else None
        lacking = settings.type_path is not None and kind is None
        return untranslated(
            event_type(delivery.source_name, kind or "received"),
            note=f"no short text or number lies at {settings.type_path}" if lacking else None,
        )


def _verify_signature(delivery: Delivery, secrets: Sequence[str], scheme: HmacSignature) -> Verified | Refused:
    given = delivery.headers.get(scheme.header.lower())
    if given is None:
        return missing(scheme.header)

    def expect(secret: str) -> bytes:
        digest = hmac.digest(secret_bytes(secret), delivery.body, scheme.algorithm)
        printed = digest.hex().encode() if scheme.encoding == "hex" else base64.b64encode(digest)
        return scheme.prefix.encode() + printed

    return verify_any(secrets, [given], expect)


def _verify_token(delivery: Delivery, secrets: Sequence[str]) -> Verified | Refused:
    if not delivery.path_token:
        return Refused(reason="missing_token", detail="the URL ends without the source's secret")
    verdict = verify_any(secrets, [delivery.path_token], secret_bytes)
    if isinstance(verdict, Refused) and verdict.reason == "signature_mismatch":
        return Refused(reason="token_mismatch", detail="the URL does not end with the source's secret")
    return verdict


SOURCE = Generic()
