"""The stream's share of partitions through rebalances: what stays, what is restored, where fetching goes on."""

import pytest

from services.matcher.stream.share import RETRY_SECONDS, Fetched, Share
from shared.bus.port import Record
from shared.runtime.clock import SystemClock

NOW = SystemClock().now()


def records(partition: int, *offsets: int) -> list[Record]:
    return [
        Record(topic="t", partition=partition, offset=each, recorded_at=NOW, key=b"", headers=(), value=None)
        for each in offsets
    ]


def brought(partition: int, *offsets: int, began: int, position: int) -> Fetched:
    return Fetched(
        began={partition: began}, records={partition: records(partition, *offsets)}, positions={partition: position}
    )


class Group:
    def __init__(self) -> None:
        self.time = 0.0
        self.offsets: dict[int, int] = {}
        self.share = Share(session_timeout_seconds=6, monotonic=lambda: self.time, committed=self.committed)

    async def committed(self) -> dict[int, int]:
        return self.offsets

    async def rebalance(self, *partitions: int, generation: int, finished: bool = True) -> None:
        self.share.begin_rebalance()
        self.share.end_rebalance(partitions, generation, finished=finished)

    async def take(self, *partitions: int, generation: int, finished: bool = True) -> tuple[set[int], set[int]]:
        """What was assigned anew, and what was revoked; the former is read from its beginning."""
        await self.rebalance(*partitions, generation=generation, finished=finished)
        change = await self.share.next_assignment(timeout_seconds=0)
        assert change is not None and change.partitions == set(partitions)
        kept = change.partitions - change.assigned
        self.share.assign({each: at for each, at in self.share.positions().items() if each in kept})
        self.share.assign({**self.share.positions(), **dict.fromkeys(change.assigned, 0)})
        return set(change.assigned), set(change.revoked)


@pytest.fixture
def group() -> Group:
    return Group()


async def test_what_comes_back_in_the_next_generation_is_not_restored(group: Group) -> None:
    assert await group.take(0, 1, 2, generation=5) == ({0, 1, 2}, set())
    assert await group.take(1, 2, 3, generation=6) == ({3}, {0})


async def test_what_may_have_been_anothers_meanwhile_is_restored(group: Group) -> None:
    await group.take(0, 1, generation=5)
    assert await group.take(0, 1, generation=7) == ({0, 1}, {0, 1})


async def test_what_went_and_came_back_before_it_was_taken_over_is_restored(group: Group) -> None:
    await group.take(0, 1, generation=5)
    await group.rebalance(1, generation=6)
    assert await group.take(0, 1, generation=7) == ({0}, {0})


async def test_what_was_in_hand_for_too_long_is_restored(group: Group) -> None:
    await group.take(0, 1, generation=5)
    assert await group.take(0, 1, generation=6, finished=False) == ({0, 1}, {0, 1})


async def test_nothing_is_acted_on_from_the_beginning_of_a_rebalance_until_its_outcome_is_taken_over(
    group: Group,
) -> None:
    share = group.share
    await group.take(0, generation=5)
    (carrier,) = share.accept(brought(0, 0, began=0, position=1), share.epoch)
    assert share.assignment.partitions == {0} and share.wanted([0]) == {0: 1} and set(share.take([carrier])) == {0}
    share.begin_rebalance()
    assert share.assignment.partitions == frozenset() and share.wanted([0]) == {} and share.take([carrier]) == {}
    share.end_rebalance([0], 6, finished=True)
    assert share.assignment.partitions == frozenset() and share.wanted([0]) == {}
    await share.next_assignment(timeout_seconds=0)
    assert share.assignment.partitions == {0} and share.take([carrier]) == {} and share.wanted([0]) == {0: 0}


async def test_nothing_is_acted_on_where_the_next_rebalance_begins_before_the_last_ones_outcome_is_taken_over(
    group: Group,
) -> None:
    share = group.share
    await group.take(0, generation=5)
    await group.rebalance(0, generation=6)
    share.begin_rebalance()
    await share.next_assignment(timeout_seconds=0)
    assert share.assignment.partitions == frozenset() and share.wanted([0]) == {}
    share.end_rebalance([0], 7, finished=True)
    assert await share.next_assignment(timeout_seconds=0)
    assert share.assignment.partitions == {0} and share.wanted([0]) == {0: 0}


async def test_what_was_fetched_and_not_handled_is_fetched_again_after_a_rebalance(group: Group) -> None:
    share = group.share
    await group.take(0, generation=5)
    epoch = share.epoch
    assert [each.partition for each in share.accept(brought(0, 0, 1, began=0, position=2), epoch)] == [0]
    share.accept(brought(0, 2, 3, began=2, position=4), epoch)
    share.handled({0: 2}, epoch)
    assert share.wanted([0]) == {0: 4} and share.positions() == {0: 2}
    await group.take(0, generation=6)
    assert share.wanted([0]) == {0: 2}


@pytest.mark.parametrize("generation", [6, 5], ids=["the next generation", "the same generation again"])
async def test_what_a_fetch_brings_behind_a_rebalance_is_let_go(group: Group, generation: int) -> None:
    share = group.share
    await group.take(0, generation=5)
    epoch = share.epoch
    (carrier,) = share.accept(brought(0, 0, began=0, position=1), epoch)
    await group.take(0, generation=generation)
    assert share.accept(brought(0, 1, began=1, position=2), epoch) == []
    assert share.take([carrier]) == {}
    share.handled({0: 1}, epoch)
    assert share.wanted([0]) == {0: 0}


async def test_a_fetch_that_began_elsewhere_is_let_go(group: Group) -> None:
    share = group.share
    await group.take(0, generation=5)
    assert share.accept(brought(0, 1, began=1, position=2), share.epoch) == []
    assert share.wanted([0]) == {0: 0}


async def test_with_nothing_in_hand_the_position_is_behind_markers(group: Group) -> None:
    share = group.share
    await group.take(0, generation=5)
    first = share.accept(brought(0, 0, 1, began=0, position=4), share.epoch)
    assert share.positions() == {0: 0}
    share.handled({0: 2}, share.epoch)
    assert share.positions() == {0: 4}
    assert share.accept(Fetched(began={0: 4}, records={}, positions={0: 7}), share.epoch) == []
    assert share.positions() == {0: 7}
    second = share.accept(brought(0, 7, began=7, position=8), share.epoch)
    assert (first[0].follows, second[0].follows) == (0, 2), "markers leave no gap between carriers"
    assert set(share.take(second)) == {0}


async def test_a_carrier_behind_a_missing_one_is_let_go_and_all_is_fetched_again(
    group: Group, caplog: pytest.LogCaptureFixture
) -> None:
    share = group.share
    await group.take(0, 1, generation=5)
    epoch = share.epoch
    share.accept(brought(0, 0, 1, began=0, position=2), epoch)
    behind = share.accept(brought(0, 2, began=2, position=3), epoch)
    other = share.accept(brought(1, 0, began=0, position=1), epoch)
    assert share.take([*other, *behind]) == {}
    assert share.wanted([0, 1]) == {0: 0, 1: 0}
    assert "reading again from (by partition) {0: 0}" in caplog.text
    late = share.take(other)
    assert late == {}, "of an epoch that is over: it comes again"


async def test_what_is_awaited_in_vain_is_fetched_again(group: Group) -> None:
    share = group.share
    await group.take(0, generation=5)
    share.accept(brought(0, 0, 1, began=0, position=2), share.epoch)
    assert share.awaited == {0: 2}
    share.begin_again()
    assert share.awaited == {} and share.wanted([0]) == {0: 0}


async def test_what_cannot_be_read_is_tried_again_after_a_while_and_told_until_it_can(
    group: Group, caplog: pytest.LogCaptureFixture
) -> None:
    share = group.share
    await group.take(0, 1, generation=5)
    share.halt({0, 7}, "t/0 is gone")
    assert share.halted == {0: "t/0 is gone"} and share.wanted([0, 1]) == {1: 0}
    group.time += RETRY_SECONDS
    assert share.halted == {0: "t/0 is gone"} and share.wanted([0, 1]) == {0: 0, 1: 0}
    share.halt({0}, "t/0 is gone")
    assert caplog.text.count("nothing of partition 0 is matched: t/0 is gone") == 1
    group.time += RETRY_SECONDS
    share.accept(Fetched(began={0: 0, 1: 0}, records={1: records(1, 0)}, positions={0: 0, 1: 1}), share.epoch)
    assert share.halted, "nobody knows yet"
    share.accept(brought(0, 0, began=0, position=1), share.epoch)
    assert share.halted == {}
    share.halt({0}, "t/0 is gone")
    await group.take(1, generation=6)
    assert share.halted == {}


async def test_whoever_hears_nothing_for_the_session_timeout_is_not_alive(group: Group) -> None:
    group.share.heard_now()
    group.time = 5.9
    assert group.share.alive()
    group.time = 6.0
    assert not group.share.alive()
    group.share.heard(2.0)
    group.time = 7.9
    assert group.share.alive()


async def test_what_is_committed_is_told_of_its_own_partitions(group: Group) -> None:
    await group.take(0, 1, generation=5)
    group.offsets = {0: 4, 2: 9}
    assert await group.share.committed() == {0: 4}


async def test_a_share_that_is_closed_fetches_nothing_any_more(group: Group) -> None:
    await group.take(0, generation=5)
    carriers = group.share.accept(brought(0, 0, began=0, position=1), group.share.epoch)
    group.share.close()
    assert group.share.wanted([0]) == {} and group.share.take(carriers) == {}
