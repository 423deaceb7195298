"""What was added is always found, few others are; and no match is called new of which the read model may know."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID, uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.readmodel.errors import ReadModelAway
from shared.readmodel.match_ids import MatchIds
from shared.runtime.bloom import BloomFilter
from shared.runtime.former_matches import FormerMatches

SPACE = UUID("6f8d2a54-94f6-5d0b-9a0e-6b1f6b7d1c11")


def ids(first: int, count: int) -> list[str]:
    return [str(uuid5(SPACE, str(number))) for number in range(first, first + count)]


@given(st.sets(st.uuids(version=5)), st.integers(1, 64))
def test_what_was_added_is_always_found(added: set[UUID], size_bytes: int) -> None:
    one, packed = BloomFilter(size_bytes), BloomFilter(size_bytes)
    for each in added:
        one.add(str(each))
    packed.add_packed(b"".join(each.bytes for each in added))
    assert all(str(each) in one and str(each) in packed for each in added)


@pytest.mark.parametrize(("bits_an_id", "mistaken_at_most"), [(10, 0.02), (4, 0.4)])
def test_few_others_are_taken_for_added(bits_an_id: int, mistaken_at_most: float) -> None:
    size_bytes = 8_192
    noted = BloomFilter(size_bytes)
    count = size_bytes * 8 // bits_an_id
    for each in ids(0, count):
        noted.add(each)
    mistaken = sum(each in noted for each in ids(count, 5_000)) / 5_000
    assert mistaken <= mistaken_at_most


def test_a_filter_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one byte"):
        BloomFilter(0)


class Shard:
    partition = 3
    owned = True


class Past:
    """A read model that is `reached` far, may be away, and is set back for the pages of these numbers."""

    def __init__(self, known: list[str], reached: int, *, set_back_at: frozenset[int] = frozenset()) -> None:
        self.known = sorted(UUID(each).bytes for each in known)
        self.reached = reached
        self.away = False
        self.asked = 0
        self._set_back_at = set_back_at

    async def match_ids_after(self, after: bytes, limit: int) -> MatchIds:
        self.asked += 1
        if self.away:
            raise ReadModelAway("for a moment")
        set_back = self.asked in self._set_back_at
        known = [] if set_back else [each for each in self.known if each > after][:limit]
        return MatchIds(b"".join(known), {3: self.reached - set_back})


@asynccontextmanager
async def reading(past: Past) -> AsyncIterator[FormerMatches]:
    former = FormerMatches(past, size_bytes=65_536, retry_seconds=0)
    task = asyncio.create_task(former.run())
    try:
        async with asyncio.timeout(10):
            yield former
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def becomes_new(former: FormerMatches, shard: Shard, match_id: str) -> None:
    while not former.surely_new(shard, [match_id]):
        await asyncio.sleep(0)


async def test_nothing_is_new_before_the_read_model_was_read_to_its_end() -> None:
    known, (new,) = ids(0, 2_500), ids(9_000, 1)
    past, shard = Past(known, reached=7), Shard()
    async with reading(past) as former:
        assert former.surely_new(shard, [new]) == set()
        former.restored(shard, 7)
        assert former.surely_new(shard, [new]) == set()
        await becomes_new(former, shard, new)
        assert past.asked == 4
        assert former.surely_new(shard, known) == set()
        former.forgotten([new])
        assert former.surely_new(shard, [new]) == set()


async def test_a_read_model_that_is_away_or_went_back_vouches_for_nothing() -> None:
    (new,) = ids(0, 1)
    past, shard = Past([], reached=6), Shard()
    past.away = True
    async with reading(past) as former:
        former.restored(shard, 7)
        while past.asked < 3:
            await asyncio.sleep(0)
        past.away = False
        while past.asked < 6:
            await asyncio.sleep(0)
        assert former.surely_new(shard, [new]) == set()
        past.reached = 7
        await becomes_new(former, shard, new)


@pytest.mark.parametrize("page", [1, 2, 3])
async def test_a_read_model_that_is_set_back_for_one_page_only_vouches_for_nothing(page: int) -> None:
    known, (new,) = ids(0, 2_500), ids(9_000, 1)
    past, shard = Past(known, reached=7, set_back_at=frozenset({page})), Shard()
    async with reading(past) as former:
        former.restored(shard, 7)
        await becomes_new(former, shard, new)
        assert past.asked > page
        assert former.surely_new(shard, known) == set()


async def test_a_partition_that_comes_back_is_read_anew() -> None:
    (new, meanwhile) = ids(0, 2)
    past, before, after = Past([], reached=0), Shard(), Shard()
    async with reading(past) as former:
        former.restored(before, 0)
        await becomes_new(former, before, new)
        past.known = [UUID(meanwhile).bytes]  # another process had it
        former.restored(after, 0)
        assert former.surely_new(after, [new]) == set()
        await becomes_new(former, after, new)
        assert former.surely_new(after, [meanwhile]) == set()
