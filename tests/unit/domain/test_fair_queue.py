"""Who goes first: nothing is lost, no bound is passed, and nobody waits longer than one turn of everybody else."""

from collections import Counter, deque
from collections.abc import Hashable
from time import perf_counter

from hypothesis import given
from hypothesis import strategies as st

from shared.domain.fair_queue import Bounds, FairQueue

UNBOUNDED = Bounds(total=10**9, per_tenant=10**9, per_lane=10**9)

BOUNDS = st.builds(Bounds, total=st.integers(1, 6), per_tenant=st.integers(1, 4), per_lane=st.integers(1, 3))
TENANTS = st.sampled_from(["t1", "t2", "t3"])
LANES = st.sampled_from(["x", "y"])
ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), TENANTS, LANES), st.tuples(st.sampled_from(["take", "done"]), st.none(), st.none())
    ),
    max_size=120,
)


@given(BOUNDS, ACTIONS)
def test_nothing_is_lost_and_no_bound_is_passed(bounds: Bounds, actions: list[tuple[str, str, str]]) -> None:
    queue: FairQueue[int] = FairQueue(bounds)
    waiting: dict[tuple[str, Hashable], deque[int]] = {}
    active: list[tuple[str, Hashable]] = []
    for number, (what, tenant_id, lane) in enumerate(actions):
        if what == "put":
            queue.put(tenant_id, lane, number)
            waiting.setdefault((tenant_id, lane), deque()).append(number)
        elif what == "take":
            taken = queue.take()
            startable = may_start(bounds, waiting, active)
            assert (taken is None) == (not startable)
            if taken is not None:
                place = (taken[0], taken[1])
                assert place in startable
                # A lane is a queue: first in, first out.
                assert waiting[place].popleft() == taken[2]
                active.append(place)
        elif active:
            queue.done(*active.pop(0))
        assert queue.active == len(active)
        assert len(queue) == sum(map(len, waiting.values()))
    while active or any(waiting.values()):
        while (taken := queue.take()) is not None:
            assert waiting[taken[0], taken[1]].popleft() == taken[2]
            active.append((taken[0], taken[1]))
        assert active, "something waits, nothing is under way, and nothing may start"
        queue.done(*active.pop())
    assert queue.take() is None
    assert len(queue) == queue.active == 0
    assert not queue._tenants, "an idle tenant costs no memory"


def may_start(
    bounds: Bounds, waiting: dict[tuple[str, Hashable], deque[int]], active: list[tuple[str, Hashable]]
) -> set[tuple[str, Hashable]]:
    free = bounds.total - len(active)
    of_tenant, of_lane = Counter(tenant_id for tenant_id, _ in active), Counter(active)
    return {
        place
        for place, items in waiting.items()
        if items and of_tenant[place[0]] < min(free, bounds.per_tenant) and of_lane[place] < bounds.per_lane
    }


@given(st.lists(st.integers(1, 30), min_size=1, max_size=8), st.integers(0, 100))
def test_one_item_waits_at_most_one_turn_of_each_other_tenant(others: list[int], taken_before: int) -> None:
    queue: FairQueue[str] = FairQueue(UNBOUNDED)
    for number, count in enumerate(others):
        for _ in range(count):
            queue.put(f"busy-{number}", "x", "theirs")
    for _ in range(min(taken_before, sum(others) - 1)):
        assert queue.take() is not None
    queue.put("small", "x", "mine")
    turns = Counter[str]()
    while (taken := queue.take()) is not None and taken[2] != "mine":
        turns[taken[0]] += 1
    assert taken is not None
    assert not turns or max(turns.values()) == 1


@given(st.integers(1, 5), st.lists(TENANTS, min_size=2, max_size=60))
def test_tenants_that_always_want_get_equal_shares(total: int, arrivals: list[str]) -> None:
    queue: FairQueue[int] = FairQueue(Bounds(total=total, per_tenant=total, per_lane=total))
    wanting = sorted(set(arrivals))
    for tenant_id in arrivals:
        queue.put(tenant_id, "x", 0)
    for tenant_id in wanting:
        for _ in range(40):
            queue.put(tenant_id, "x", 0)
    shares = Counter[str]()
    under_way: deque[tuple[str, Hashable]] = deque()
    for _ in range(30):
        while (taken := queue.take()) is not None:
            under_way.append((taken[0], taken[1]))
            shares[taken[0]] += 1
        queue.done(*under_way.popleft())
    assert max(shares[each] for each in wanting) - min(shares[each] for each in wanting) <= 1


def test_a_hanging_endpoint_fills_its_own_lane_only() -> None:
    queue: FairQueue[int] = FairQueue(Bounds(total=100, per_tenant=10, per_lane=2))
    for number in range(1_000):
        queue.put("acme", "hanging", number)
    queue.put("acme", "healthy", 1_000)
    lanes = []
    while (taken := queue.take()) is not None:
        lanes.append(taken[1])
    assert lanes == ["hanging", "healthy", "hanging"]
    queue.done("acme", "healthy")
    queue.put("acme", "healthy", 1_001)
    assert queue.take() == ("acme", "healthy", 1_001)


@given(st.integers(1, 8), st.integers(2, 300))
def test_however_many_hold_their_places_for_ever_there_is_one_for_the_next(hostile: int, total: int) -> None:
    if hostile >= total:
        return
    queue: FairQueue[int] = FairQueue(Bounds(total=total, per_tenant=total, per_lane=total))
    for number in range(hostile):
        for item in range(total):
            queue.put(f"hostile-{number}", item % 4, item)
    held = Counter[str]()
    while (taken := queue.take()) is not None:
        held[taken[0]] += 1
    assert len(held) == hostile
    assert max(held.values()) - min(held.values()) <= 1
    assert total - queue.active >= max(1, min(held.values()) - 1)
    queue.put("small", "x", 0)
    assert queue.take() == ("small", "x", 0)


def test_a_tenant_at_its_bound_makes_room_for_others_and_comes_back_at_the_end() -> None:
    queue: FairQueue[str] = FairQueue(Bounds(total=10, per_tenant=1, per_lane=1))
    for item in ("a1", "a2"):
        queue.put("a", item, item)
    for item in ("b1", "b2"):
        queue.put("b", item, item)
    assert [queue.take(), queue.take(), queue.take()] == [("a", "a1", "a1"), ("b", "b1", "b1"), None]
    queue.done("b", "b1")
    queue.done("a", "a1")
    assert [queue.take(), queue.take()] == [("b", "b2", "b2"), ("a", "a2", "a2")]


def test_the_cost_does_not_grow_with_what_waits() -> None:
    def seconds_for(tenants: int, each: int) -> float:
        queue: FairQueue[int] = FairQueue(Bounds(total=4, per_tenant=2, per_lane=1))
        for tenant in range(tenants):
            for item in range(each):
                queue.put(f"t{tenant}", item % 10, item)
        best = 1.0
        for _ in range(5):
            began = perf_counter()
            for _ in range(200):
                taken = queue.take()
                assert taken is not None
                queue.done(taken[0], taken[1])
                queue.put(*taken)
            best = min(best, perf_counter() - began)
        return best

    # A thousand times as much waits; what is O(n) would be hundreds of times slower.
    assert seconds_for(1_000, 100) < 20 * seconds_for(10, 10)


def test_to_ask_in_vain_costs_the_same_however_many_tenants_wait() -> None:
    def seconds_for(tenants: int) -> float:
        queue: FairQueue[int] = FairQueue(Bounds(total=4, per_tenant=2, per_lane=1))
        for tenant in range(tenants):
            queue.put(f"t{tenant}", "lane", tenant)
        while queue.take() is not None:
            pass
        best = 1.0
        for _ in range(5):
            began = perf_counter()
            for _ in range(50):
                assert queue.take() is None
            best = min(best, perf_counter() - began)
        return best

    assert seconds_for(20_000) < 20 * seconds_for(20)
