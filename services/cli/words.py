"""What several commands do with their words: durations, instants, ranges; and how a command runs."""

import asyncio
from collections.abc import Coroutine
from datetime import datetime, timedelta
from typing import Any

from shared.domain import rfc3339
from shared.domain.errors import Flaw, InvalidInput


def run(main: Coroutine[Any, Any, Any]) -> Any:  # Any: each command's own result
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


def instant(text: str, now: datetime, option: str) -> datetime:
    """So long ago, or that instant."""
    if text[:-1].isdigit():
        return now - duration(text, option)
    try:
        return rfc3339.parse(text)
    except ValueError:
        detail = f"{text!r}: write 24h or 30d, or an instant such as 2026-03-01T00:00:00Z"
        raise InvalidInput("not an instant", [Flaw(pointer=option, detail=detail)]) from None


def duration(text: str, option: str = "--ttl") -> timedelta:
    units = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
    number, unit = text[:-1], text[-1:]
    if unit not in units or not number.isdigit() or not int(number):
        raise InvalidInput("not a duration", [Flaw(pointer=option, detail=f"{text!r}: write 30s, 15m, 24h or 7d")])
    return timedelta(**{units[unit]: int(number)})


def span(text: str) -> tuple[int, int] | None:
    """First and last."""
    if not text:
        return None
    first, _, last = text.partition("-")
    if not (first.isdigit() and (last or first).isdigit()):
        raise InvalidInput("not partitions", [Flaw(pointer="--partitions", detail=f"{text!r}: write 7, or 0-15")])
    return int(first), int(last or first)
