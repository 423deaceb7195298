"""When a failed attempt is tried again: one function, so that retry, fail and give up are decided in one place.

Pure: jitter is drawn by the caller. The default schedule of outgoing webhooks is eight attempts over 27 h 35 m 05 s.
"""

from dataclasses import dataclass

WEBHOOK_DELAYS_SECONDS = (5.0, 300.0, 1_800.0, 7_200.0, 18_000.0, 36_000.0, 36_000.0)
"""Between the first attempt, which is immediate, and the seven that follow it."""

JITTER = 0.2
THROTTLED_SECONDS_MIN = 60.0
"""A receiver that says 429 or does not answer in time is left alone for at least this long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """`delays_seconds[n]` separates attempt n + 1 from attempt n + 2; after the last one there is no more."""

    delays_seconds: tuple[float, ...]


WEBHOOK_POLICY = RetryPolicy(delays_seconds=WEBHOOK_DELAYS_SECONDS)
NO_RETRY = RetryPolicy(delays_seconds=())


def exponential(max_attempts: int, initial_seconds: float, max_seconds: float) -> RetryPolicy:
    """Each delay twice the one before, up to a bound."""
    delays = (min(initial_seconds * 2.0**n, max_seconds) for n in range(max_attempts - 1))
    return RetryPolicy(delays_seconds=tuple(delays))


def fixed(max_attempts: int, initial_seconds: float) -> RetryPolicy:
    """The same delay each time."""
    return RetryPolicy(delays_seconds=(initial_seconds,) * (max_attempts - 1))


def delay_before_next(
    policy: RetryPolicy, failed_number: int, *, unit: float, throttled: bool, retry_after_seconds: float | None
) -> float | None:
    """Seconds until the attempt after number `failed_number` (the first is 1), or None: there is none.

    `unit` in [0, 1) becomes a jitter of ±20 %. `Retry-After` is honoured within 1 to 2 times the step's own delay: a
    receiver cannot hurry us, nor put us off for ever. `throttled` (429, a time-out) waits a minute at least.
    """
    if failed_number > len(policy.delays_seconds):
        return None
    step = policy.delays_seconds[failed_number - 1]
    delay = step * (1 - JITTER + 2 * JITTER * unit)
    if retry_after_seconds is not None:
        delay = max(delay, min(max(retry_after_seconds, step), 2 * step))
    return max(delay, THROTTLED_SECONDS_MIN) if throttled else delay
