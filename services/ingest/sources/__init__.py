"""The port of a source: what one vendor's integration must be able to do. This docstring is its specification.

A vendor is one folder beside this file: `<vendor>/__init__.py` exports `SOURCE`, `samples/*.json` hold real deliveries.
`discover()` finds it, and `tests/contract/test_sources_contract.py` proves it, sample by sample, signed as
`shared/testing/vendor_signing.py` says. No other file is edited.

Ingest calls, in this order, and stops at the first refusal:

1. `verify` judges the raw bytes as they came, in constant time, with every secret that is valid during a rotation.
   Whatever headers come, the answer is `Verified` or `Refused`, never an exception; `Refused` is a 401.
2. `json_text` gives the JSON that the body carries: mostly the body itself; `InvalidInput` is a 400.
   The caller parses it with `shared.domain.json_text.read_json`, whose result is the `payload` below.
3. `handshake` answers a vendor's question whether this URL is ours; the answer is sent, and nothing is appended.
4. `name` names the delivery, equal for every retry of it. It prefers what the signature covers. None: the delivery
   has no name of its own, and the caller names it by its bytes (`shared.domain.ids.unnamed_delivery_id`).
   So stripping a header that the signature does not cover never switches de-duplication off. A made-up id over a
   captured body does pass as news where a scheme signs neither id nor time (GitHub, Shopify): no receiver can tell.
5. `translate` says which platform events the delivery is: at least one, in a fixed order, the same for the same input.
   What lacks the fields of its platform type becomes `<vendor>.<type>` with a `note` that says why; nothing is lost,
   nothing raises. A header's text goes into `data` through `signing.printable`: it may hold lone surrogates.
   `Translated.data` leaves out `raw`: the caller splices the bytes of step 2 in under `raw`
   (`shared.domain.json_text.with_member`), so that no digit is lost. No `data` has a key `raw` of its own.

Sources are pure: no clock, no I/O; time comes in with the delivery.
Next: `signing.py` and `reading.py` for what vendors share, `github/` for the simplest vendor, `configure.py` for how
settings are checked.
"""

import importlib
import pkgutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from types import MappingProxyType
from typing import Any, Literal, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict

Vendor = str
"""The name of a vendor: its folder here, and the first word of the event types that have no translation."""


@dataclass(frozen=True, slots=True)
class Headers:
    """HTTP headers, by lower-case name. Several of one name are joined as RFC 9110 §5.3 lets a proxy join them."""

    by_name: Mapping[str, str]

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, str]]) -> "Headers":
        """From (name, value) pairs as they came, repeated names included."""
        by_name: dict[str, str] = {}
        for name, value in pairs:
            lower = name.lower()
            by_name[lower] = f"{by_name[lower]}, {value}" if lower in by_name else value
        return cls(MappingProxyType(by_name))

    def get(self, *names: str) -> str | None:
        """The value of the first of these (lower-case) names that is there."""
        for name in names:
            value = self.by_name.get(name)
            if value is not None:
                return value
        return None


@dataclass(slots=True, kw_only=True, unsafe_hash=True)  # a value, but freezing costs 0.1 µs a field
class Delivery:
    """One push of a vendor, untouched.

    `received_at` is unix seconds by ingest's clock; None only where recorded signatures are checked without a clock
    (`upshot conformance signatures`): then no timestamp is too old. `source_name` is the tenant's name for the source.
    `path_token` is what stood in the URL after the source's id, `query` what stood behind that.
    """

    body: bytes
    headers: Headers
    received_at: float | None
    source_name: str
    path_token: str | None = None
    query: Mapping[str, str] = field(default_factory=dict)


RefusalReason = Literal[
    "no_secret",
    "missing_header",
    "malformed_header",
    "stale_timestamp",
    "signature_mismatch",
    "missing_token",
    "token_mismatch",
    "empty_body",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Why a delivery is not believed. `detail` helps the tenant mend it and holds no secret and no signature."""

    reason: RefusalReason
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """`secret_index`: which of the secrets, current first, vouched for it (None: the source has none)."""

    secret_index: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HandshakeAnswer:
    """What to answer, as it is, to a vendor that asks whether this URL is ours."""

    status: int
    content_type: str
    body: bytes


@dataclass(slots=True, kw_only=True, unsafe_hash=True)  # a value, but freezing costs 0.1 µs a field
class Translated:
    """One platform event: `time` is when it happened by the vendor's clock, aware, where the vendor says so."""

    type: str
    subject: str | None
    time: datetime | None
    data: Mapping[str, object]


class SourceSettings(BaseModel):
    """What a tenant sets for a source; each vendor's `Settings` adds its own fields. Most need none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @property
    def secret_required(self) -> bool:
        """Whether a source with these settings is useless without a secret."""
        return True

    @property
    def signed(self) -> bool:
        """Whether deliveries are authenticated at all."""
        return True


SettingsT_contra = TypeVar("SettingsT_contra", bound=SourceSettings, contravariant=True)


class Source(Protocol[SettingsT_contra]):
    """One vendor. See the module's docstring; the methods with a body here are what most vendors want."""

    vendor: Vendor
    title: str
    settings_model: type[SourceSettings]
    names_types_by_source: bool
    """Whether event types begin with the tenant's name for the source instead of the vendor's name."""

    def check_secret(self, secret: str) -> str | None:
        """What is wrong with the form of a secret, asked when a source is configured; None: nothing."""
        del secret
        return None

    def verify(self, delivery: Delivery, secrets: Sequence[str], settings: SettingsT_contra) -> Verified | Refused: ...

    def json_text(self, delivery: Delivery) -> bytes:
        """The JSON that the body carries. Raises InvalidInput."""
        return delivery.body

    def handshake(self, delivery: Delivery, payload: object, settings: SettingsT_contra) -> HandshakeAnswer | None:
        del delivery, payload, settings
        return None

    def name(self, delivery: Delivery, payload: object, settings: SettingsT_contra) -> str | None: ...

    def nameless(self, delivery: Delivery) -> bytes:
        """What a delivery without a name is told apart by."""
        return delivery.body

    def translate(self, delivery: Delivery, payload: object, settings: SettingsT_contra) -> tuple[Translated, ...]: ...


AnySource = Source[Any]  # Any: each source brings its own settings model, and `configure.py` pairs the two


@cache
def discover() -> Mapping[Vendor, AnySource]:
    """Every vendor that has a folder here, by name."""
    found: dict[Vendor, AnySource] = {}
    for module in pkgutil.iter_modules(__path__):
        if module.ispkg:
            source: AnySource = importlib.import_module(f"{__name__}.{module.name}").SOURCE
            if source.vendor != module.name:
                raise ImportError(f"the source in {module.name}/ calls itself {source.vendor!r}")
            found[source.vendor] = source
    return MappingProxyType(found)
