"""Sealing secrets: what the log and the read model hold of them is ciphertext and a key's name.

Guarantee: a sealed text opens only for the tenant and the purpose it was sealed for, and only while that tenant's data
key exists; destroying the key makes every copy of the text, in whatever log or backup, unreadable. AES-256-GCM; data
keys are wrapped under the master key and live in the keystore alone. What is only compared is kept as a keyed hash.
Next: `shared/readmodel/keystore.py`.
"""

import base64
import binascii
import hmac
from collections import OrderedDict
from dataclasses import dataclass
from typing import Protocol, TypeVar

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from shared.domain.clock import Clock, Randomness
from shared.domain.errors import PermanentError
from shared.readmodel.keystore import WrappedKey

_Name = TypeVar("_Name")

PREFIX = "sealed:v1:"

_KEY_BYTES = 32
_KEY_ID_BYTES = 8
_NONCE_BYTES = 12
_CACHED_KEYS_MAX = 10_000
KEY_CACHE_SECONDS = 60.0
"""How long a process may go on with a key that another process has destroyed."""


class Keys(Protocol):
    """Where wrapped keys are: `shared.readmodel.keystore.Keystore`."""

    async def live_key(self, tenant_id: str) -> WrappedKey | None: ...
    async def key(self, tenant_id: str, key_id: str) -> WrappedKey | None: ...
    async def add_key(self, tenant_id: str, proposed: WrappedKey) -> WrappedKey: ...
    async def destroy_keys(self, tenant_id: str) -> list[str]: ...


class CannotUnseal(PermanentError):
    """The text is none of ours, was sealed for somebody or something else, or its key has been destroyed."""


@dataclass(frozen=True, slots=True)
class _Opened:
    key_id: str
    cipher: AESGCM
    until: float


class Sealer:
    """Seals and unseals; one a process."""

    def __init__(self, keys: Keys, master_key: bytes, randomness: Randomness, clock: Clock) -> None:
        # Whatever the master key's length and use elsewhere, what wraps data keys is 256 bits of its own.
        self._wrapping = AESGCM(hmac.digest(master_key, b"upshot data key wrapping", "sha256"))
        self._fingerprinting = hmac.digest(master_key, b"upshot fingerprints of requests", "sha256")
        self._keys = keys
        self._randomness = randomness
        self._clock = clock
        self._live: OrderedDict[str, _Opened] = OrderedDict()
        self._known: OrderedDict[tuple[str, str], _Opened] = OrderedDict()

    async def seal(self, tenant_id: str, plaintext: str, purpose: str) -> str:
        """`sealed:v1:<key id>:<base64 of nonce and ciphertext>`. The tenant's key is made on first use.

        `purpose` names what it is (`endpoint-secret`); unsealing must name the same. Raises ReadModelAway.
        """
        opened = await self._live_key(tenant_id)
        nonce = self._randomness.token_bytes(_NONCE_BYTES)
        sealed = opened.cipher.encrypt(nonce, plaintext.encode(), _bound_to(tenant_id, purpose, opened.key_id))
        return f"{PREFIX}{opened.key_id}:{base64.b64encode(nonce + sealed).decode()}"

    async def unseal(self, tenant_id: str, text: str, purpose: str) -> str:
        """The plaintext. Raises CannotUnseal (PermanentError), ReadModelAway (TransientError)."""
        key_id, payload = _parsed(text)
        opened = await self._known_key(tenant_id, key_id)
        nonce, sealed = payload[:_NONCE_BYTES], payload[_NONCE_BYTES:]
        try:
            return opened.cipher.decrypt(nonce, sealed, _bound_to(tenant_id, purpose, key_id)).decode()
        except (InvalidTag, ValueError):
            raise CannotUnseal(f"a secret under key {key_id} was not sealed for this tenant and purpose") from None

    def fingerprint(self, tenant_id: str, content: bytes) -> str:
        """A hash (64 hex digits) that may stand in the log: equal for equal content in every process under this master key, and
        of no use to whoever would test guesses of a weak secret without that key."""
        return hmac.digest(self._fingerprinting, orjson.dumps(tenant_id) + content, "sha256").hex()

    async def destroy(self, tenant_id: str) -> list[str]:
        """Destroy the tenant's key: nothing sealed with it can be read any more. Returns what was destroyed.

        Other processes notice within `KEY_CACHE_SECONDS`. What is sealed afterwards is sealed with a new key.
        """
        destroyed = await self._keys.destroy_keys(tenant_id)
        self._live.pop(tenant_id, None)
        for key_id in destroyed:
            self._known.pop((tenant_id, key_id), None)
        return destroyed

    async def _live_key(self, tenant_id: str) -> _Opened:
        cached = self._live.get(tenant_id)
        if cached is not None and self._clock.monotonic() < cached.until:
            return cached
        key = await self._keys.live_key(tenant_id)
        if key is None:
            key = await self._keys.add_key(tenant_id, self._propose_key(tenant_id))
        opened = self._open(tenant_id, key)
        _remember(self._live, tenant_id, opened)
        return opened

    async def _known_key(self, tenant_id: str, key_id: str) -> _Opened:
        cached = self._known.get((tenant_id, key_id))
        if cached is not None and self._clock.monotonic() < cached.until:
            return cached
        key = await self._keys.key(tenant_id, key_id)
        if key is None:
            raise CannotUnseal(f"this tenant has no key {key_id}")
        opened = self._open(tenant_id, key)
        _remember(self._known, (tenant_id, key_id), opened)
        return opened

    def _propose_key(self, tenant_id: str) -> WrappedKey:
        key_id = self._randomness.token_bytes(_KEY_ID_BYTES).hex()
        nonce = self._randomness.token_bytes(_NONCE_BYTES)
        data_key = self._randomness.token_bytes(_KEY_BYTES)
        wrapped = self._wrapping.encrypt(nonce, data_key, _bound_to(tenant_id, "", key_id))
        return WrappedKey(key_id=key_id, wrapped=nonce + wrapped)

    def _open(self, tenant_id: str, key: WrappedKey) -> _Opened:
        if key.wrapped is None:
            raise CannotUnseal(f"key {key.key_id} has been destroyed")
        nonce, wrapped = key.wrapped[:_NONCE_BYTES], key.wrapped[_NONCE_BYTES:]
        try:
            data_key = self._wrapping.decrypt(nonce, wrapped, _bound_to(tenant_id, "", key.key_id))
        except InvalidTag:
            raise CannotUnseal(f"key {key.key_id} is wrapped under another master key") from None
        return _Opened(key.key_id, AESGCM(data_key), self._clock.monotonic() + KEY_CACHE_SECONDS)


def is_sealed(text: str) -> bool:
    """Whether a text has the form of a sealed one."""
    return text.startswith(PREFIX)


def _parsed(text: str) -> tuple[str, bytes]:
    key_id, separator, encoded = text.removeprefix(PREFIX).partition(":")
    if not text.startswith(PREFIX) or not separator or not key_id:
        raise CannotUnseal("this is no sealed text")
    try:
        payload = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise CannotUnseal("this sealed text is damaged") from None
    if len(payload) <= _NONCE_BYTES:
        raise CannotUnseal("this sealed text is cut short")
    return key_id, payload


def _bound_to(tenant_id: str, purpose: str, key_id: str) -> bytes:
    """Associated data: JSON, so that no two triples read the same."""
    return orjson.dumps(["upshot sealed v1", tenant_id, purpose, key_id])


def _remember(cache: OrderedDict[_Name, _Opened], key: _Name, opened: _Opened) -> None:
    cache[key] = opened
    cache.move_to_end(key)
    if len(cache) > _CACHED_KEYS_MAX:
        cache.popitem(last=False)
