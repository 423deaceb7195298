"""Kafka drops the offsets of a group without members: the past is not matched against the workflows of today."""

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.bus.codec import RECORDED_TIME
from shared.bus.port import NewRecord
from shared.domain import rfc3339
from shared.testing.waiting import eventually
from tests.contract.matcher_stream.conftest import AT, PARTITIONS, event
from tests.contract.matcher_stream.faust_alone import Alone, alone

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.xdist_group("kafka-stream")]


def recorded_days_ago(record: NewRecord, days: float) -> NewRecord:
    return recorded_at(record, rfc3339.render(AT + timedelta(days=1) - timedelta(days=days)))


def recorded_at(record: NewRecord, text: str) -> NewRecord:
    others = [header for header in record.headers if header[0] != RECORDED_TIME]
    return replace(record, origin=None, headers=[*others, (RECORDED_TIME, text.encode())])


async def test_where_the_place_is_gone_the_past_is_not_matched_and_what_is_new_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with alone(monkeypatch) as it:
        await owns_nothing(it)
        it.bus.offsets = {}
        await it.bus.append([recorded_days_ago(event(0), 8)])
        await it.bus.append([recorded_days_ago(event(1), 0.5), *(event(number) for number in range(2, PARTITIONS))])
        await it.begin_rebalance()
        await it.end_rebalance(3)
        await it.matched(range(1, PARTITIONS))
        await stands_still(it, 0, "first event was recorded 8.0 days ago")


async def test_a_place_is_all_that_is_needed_however_old_the_events_are(monkeypatch: pytest.MonkeyPatch) -> None:
    async with alone(monkeypatch) as it:
        await owns_nothing(it)
        it.bus.offsets = dict.fromkeys(range(PARTITIONS), 0)
        await it.bus.append([recorded_days_ago(event(number), 8) for number in range(PARTITIONS)])
        await it.begin_rebalance()
        await it.end_rebalance(3)
        await it.matched(range(PARTITIONS))


async def test_a_first_event_whose_time_nobody_understands_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async with alone(monkeypatch) as it:
        await owns_nothing(it)
        it.bus.offsets = {}
        await it.bus.append([recorded_at(event(0), "yesterday"), *(event(number) for number in range(1, PARTITIONS))])
        await it.begin_rebalance()
        await it.end_rebalance(3)
        await it.matched(range(1, PARTITIONS))
        assert it.stream.halted == {}


async def owns_nothing(it: Alone) -> None:
    await it.begin_rebalance()
    await it.end_rebalance(2, partitions=())

    async def gave_up_all() -> bool:
        return not it.stream.handling.owned

    await eventually(gave_up_all, "another member has all", interval_seconds=0.01)


async def stands_still(it: Alone, partition: int, why: str) -> None:
    async def is_told() -> bool:
        return list(it.stream.halted) == [partition] and why in it.stream.halted[partition]

    await eventually(is_told, "it says why", explain=lambda: str(it.stream.halted), interval_seconds=0.02)
