"""Identity is derived, never drawn, wherever a fact follows from another.

Whoever dies between appending and committing derives the same ids again, and folds ignore what they have applied.
All ids are UUIDv5 in Upshot's own namespace over an unambiguous join of their parts.
"""

import hashlib
from functools import lru_cache
from uuid import UUID

_begun = hashlib.sha1(UUID("6f8d2a54-94f6-5d0b-9a0e-6b1f6b7d1c11").bytes, usedforsecurity=False).copy
"""A new digest that has taken in the namespace: half the cost of beginning one."""
_LATELY = 2_048
"""Ids that several readers of one record derive within moments of each other are derived once. More of them would fall out of
the processor's caches before they are let go."""
_LENGTHS_MAX = 100
_LENGTHS = [f"{length}:" for length in range(_LENGTHS_MAX)]
_VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}


def derive(kind: str, *parts: str | int) -> str:
    """A UUIDv5 named by `kind` and `parts`; each part is length-prefixed, so ("a", "bc") never meets ("ab", "c").

    The same text as `str(uuid5(…))` at a quarter of its cost: a dozen ids are derived for every event.
    """
    name = _LENGTHS[len(kind)] + kind
    for part in parts:
        text = part if type(part) is str else str(part)
        length = len(text)
        name += (_LENGTHS[length] if length < _LENGTHS_MAX else f"{length}:") + text
    hashed = _begun()
    hashed.update(name.encode())
    digest = hashed.hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-5{digest[13:16]}-{_VARIANT[digest[16]]}{digest[17:20]}-{digest[20:32]}"


def delivered_event_id(tenant_id: str, source_id: str, delivery_id: str, ordinal: int) -> str:
    """The `ordinal`-th platform event that one vendor delivery became."""
    return derive("delivered", tenant_id, source_id, delivery_id, ordinal)


def published_event_id(tenant_id: str, ce_source: str, ce_id: str) -> str:
    """An upstream service's event: CloudEvents names it by source and id."""
    return derive("published", tenant_id, ce_source, ce_id)


def hook_id(tenant_id: str, workflow_id: str, identity: str) -> str:
    """A workflow's own inbound URL. `identity`: the digest of what of its trigger's settings names it."""
    return derive("hook", tenant_id, workflow_id, identity)


def unnamed_delivery_id(body: bytes, received_at_seconds: float, dedup_window_seconds: int) -> str:
    """Names a delivery that brings neither id nor signed timestamp: the same bytes later than the window are news."""
    window = int(received_at_seconds // dedup_window_seconds)
    return f"{hashlib.sha256(body).hexdigest()}.{window}"


@lru_cache(maxsize=_LATELY)
def match_id(event_id: str, replay_id: str | None) -> str:
    """The one `event.matched` record of an event (below a replay: of that replay)."""
    return derive("match", event_id, replay_id or "")


def matched_run_id(match: str, workflow_id: str) -> str:
    """The run of one workflow that a match asks for."""
    return derive("run", match, workflow_id)


def elapsed_run_id(workflow_id: str, trigger: str, key: str, event_id: str) -> str:
    """The run about an event that nothing followed in time."""
    return derive("elapsed-run", workflow_id, trigger, key, event_id)


def firing_id(workflow_id: str, trigger: str, planned_at: str) -> str:
    """The event of one planned instant of one schedule."""
    return derive("firing", workflow_id, trigger, planned_at)


def window_record_id(kind: str, workflow_id: str, trigger: str, key: str, event_id: str) -> str:
    """The record of what one event did to one window."""
    return derive(kind, workflow_id, trigger, key, event_id)


def requested_run_id(tenant_id: str, workflow_id: str, idempotency_key: str) -> str:
    """A run that a person or a service asked for."""
    return derive("requested-run", tenant_id, workflow_id, idempotency_key)


@lru_cache(maxsize=_LATELY)
def attempt_id(run_id: str, step_id: str, number: int) -> str:
    """One try of a step."""
    return derive("attempt", run_id, step_id, number)


def delivery_id(run_id: str, step_id: str) -> str:
    """The `webhook-id` of a step's outgoing call, equal over its attempts: the receiver's idempotency key.

    Names the run and the step in clear, so that a receiver's log line alone leads back to the whole chain.
    """
    return f"msg_{run_id.replace('-', '')}_{step_id}"


def parse_delivery_id(text: str) -> tuple[str, str] | None:
    """(run id, step id) of a `webhook-id` of ours, or None where it is none."""
    prefix, _, rest = text.partition("_")
    run_hex, _, step_id = rest.partition("_")
    if prefix != "msg" or not step_id:
        return None
    try:
        return str(UUID(hex=run_hex)), step_id
    except ValueError:
        return None
