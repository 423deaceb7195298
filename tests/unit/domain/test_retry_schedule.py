"""When a failed attempt is tried again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.retry import (
    NO_RETRY,
    WEBHOOK_DELAYS_SECONDS,
    WEBHOOK_POLICY,
    RetryPolicy,
    delay_before_next,
    exponential,
    fixed,
)

UNITS = st.floats(0, 1, exclude_max=True)
ATTEMPTS = st.integers(1, len(WEBHOOK_DELAYS_SECONDS))


def delay(number: int, *, unit: float = 0.5, throttled: bool = False, retry_after: float | None = None) -> float | None:
    return delay_before_next(WEBHOOK_POLICY, number, unit=unit, throttled=throttled, retry_after_seconds=retry_after)


def test_the_default_is_eight_attempts_over_27_h_35_min_5_s() -> None:
    delays = [delay(number) for number in range(1, 9)]
    assert delays == [5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 10 * 3600, None]
    assert sum(each for each in delays if each is not None) == 27 * 3600 + 35 * 60 + 5


@given(ATTEMPTS, UNITS)
def test_jitter_is_a_fifth_either_way(number: int, unit: float) -> None:
    step = WEBHOOK_DELAYS_SECONDS[number - 1]
    found = delay(number, unit=unit)
    assert found is not None
    assert 0.8 * step - 1e-6 <= found <= 1.2 * step + 1e-6


def test_jitter_uses_its_whole_range() -> None:
    assert delay(2, unit=0.0) == pytest.approx(240)
    assert delay(2, unit=1.0) == pytest.approx(360)


@given(ATTEMPTS, UNITS, st.floats(0, 1e9))
def test_retry_after_counts_between_one_and_two_steps(number: int, unit: float, retry_after: float) -> None:
    step = WEBHOOK_DELAYS_SECONDS[number - 1]
    found = delay(number, unit=unit, retry_after=retry_after)
    assert found is not None
    assert step <= found <= 2 * step
    if step <= retry_after <= 2 * step:
        assert found >= retry_after


@given(ATTEMPTS, UNITS, st.one_of(st.none(), st.floats(0, 1e9)))
def test_who_is_throttled_waits_a_minute_at_least(number: int, unit: float, retry_after: float | None) -> None:
    step = WEBHOOK_DELAYS_SECONDS[number - 1]
    found = delay(number, unit=unit, throttled=True, retry_after=retry_after)
    assert found is not None
    assert 60 <= found <= max(60, 2 * step)


def test_some_delays_in_numbers() -> None:
    assert delay(1, throttled=True) == 60
    assert delay(1, throttled=True, retry_after=3_600) == 60
    assert delay(1, retry_after=3_600) == 10
    assert delay(2, retry_after=400) == 400
    assert delay(2, retry_after=3_600) == 600
    assert delay(2, retry_after=1) == 300


def test_policies() -> None:
    assert exponential(5, 5.0, 30.0) == RetryPolicy(delays_seconds=(5, 10, 20, 30))
    assert fixed(3, 7.0) == RetryPolicy(delays_seconds=(7, 7))
    assert exponential(1, 5.0, 30.0) == fixed(1, 5.0) == NO_RETRY
    assert delay_before_next(NO_RETRY, 1, unit=0.5, throttled=True, retry_after_seconds=5) is None
