"""An event that somebody thought up, to try a workflow on: a CloudEvent in JSON of which only `type` has to be there. Pure."""

from collections.abc import Mapping
from datetime import datetime

from shared.domain import rfc3339
from shared.domain.envelope import JSON_CONTENT_TYPE, Event
from shared.domain.errors import Flaw, InvalidInput

_TEXTS = ("id", "source", "type", "subject", "correlationid", "causationid", "replayid")
_KNOWN = frozenset({*_TEXTS, "specversion", "tenantid", "time", "causalchain", "data", "datacontenttype"})


def given_event(given: Mapping[str, object], data: bytes | None, tenant_id: str, now: datetime) -> Event:
    """The platform event that it would be. `data`: its text as it was sent, or None; whoever parsed `given` has lost digits.
    Raises InvalidInput with every flaw, pointers below `#/event`."""
    flaws = [
        *_text_flaws(given),
        *(
            _flaw(name, "an attribute is a string")
            for name in given
            if name not in _KNOWN and not _is_text(given[name])
        ),
    ]
    if given.get("tenantid", tenant_id) != tenant_id:
        flaws.append(_flaw("tenantid", f"this is not your tenant; leave it out, or say {tenant_id!r}"))
    time = now
    chain: tuple[str, ...] = ()
    try:
        time = rfc3339.parse(str(given["time"])) if given.get("time") is not None else now
    except ValueError as error:
        flaws.append(_flaw("time", f"no RFC 3339 instant: {error}"))
    try:
        chain = _chain(given.get("causalchain"))
    except ValueError as error:
        flaws.append(_flaw("causalchain", str(error)))
    if flaws:
        raise InvalidInput("the event cannot be tried", flaws)
    texts = {name: str(given[name]) for name in _TEXTS if given.get(name)}
    event_id = texts.get("id", "an-event-to-try")
    return Event(
        id=event_id,
        source=texts.get("source", "/tried"),
        type=texts["type"],
        tenant_id=tenant_id,
        data=data,
        time=time,
        subject=texts.get("subject"),
        correlation_id=texts.get("correlationid", event_id),
        causation_id=texts.get("causationid"),
        causal_chain=chain,
        replay_id=texts.get("replayid"),
        content_type=JSON_CONTENT_TYPE if data is not None else None,
        attributes=tuple((name, str(value)) for name, value in given.items() if name not in _KNOWN),
    )


def _text_flaws(given: Mapping[str, object]) -> list[Flaw]:
    flaws = [] if given.get("type") else [_flaw("type", "say what happened, such as order.refunded")]
    for name in _TEXTS:
        value = given.get(name)
        if value is not None and not (_is_text(value) and value):
            flaws.append(_flaw(name, "a string that is not empty"))
    return flaws


def _chain(value: object) -> tuple[str, ...]:
    """Ids of workflows, as a list or, as CloudEvents has it, joined by commas."""
    if value is None or value == "":
        return ()
    parts = value.split(",") if isinstance(value, str) else value
    if isinstance(parts, list) and all(isinstance(part, str) and part for part in parts):
        return tuple(parts)
    raise ValueError("a list of workflow ids, oldest first, or such a list joined by commas")


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _flaw(name: str, detail: str) -> Flaw:
    return Flaw(pointer=f"#/event/{name}", detail=detail)
