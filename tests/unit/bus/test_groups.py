"""The group assignment: given members and shares, when planned step by step, then fair, sticky and never double."""

from hypothesis import given
from hypothesis import strategies as st

from shared.bus.groups import Plan, Share, plan

_MEMBERS = st.sets(st.sampled_from("abcdefg"), max_size=7)
_SHARES = st.lists(
    st.builds(Share, owner=st.none() | st.sampled_from("abcdefg"), since=st.just(1), revoking=st.booleans()),
    min_size=1,
    max_size=33,
).map(lambda found: dict(enumerate(found)))


def applied(shares: dict[int, Share], members: set[str], step: Plan, generation: int) -> dict[int, Share]:
    """What the adapters do with a plan, with every asked-back partition released at once."""
    after = dict(shares)
    for partition, share in shares.items():
        if partition in step.revoke or share.revoking or (share.owner not in members):
            after[partition] = Share(None, share.since, False)
    for partition, member in step.assign.items():
        assert shares[partition].owner not in members, "an owned partition was given away"
        after[partition] = Share(member, generation, False)
    return after


@given(_MEMBERS, _SHARES)
def test_it_settles_on_an_even_spread_and_then_rests(members: set[str], shares: dict[int, Share]) -> None:
    for generation in range(2, 5):
        shares = applied(shares, members, plan(members, shares), generation)
    assert not plan(members, shares)
    if members:
        counts = [sum(share.owner == member for share in shares.values()) for member in members]
        assert max(counts) - min(counts) <= 1
        assert sum(counts) == len(shares)


@given(_MEMBERS.filter(bool), st.sampled_from("abcdefg"), st.integers(1, 33))
def test_a_newcomer_takes_no_more_than_its_share(members: set[str], newcomer: str, count: int) -> None:
    members = members - {newcomer} or {"z"}
    shares = {partition: Share(None, 0, False) for partition in range(count)}
    shares = applied(shares, members, plan(members, shares), 1)
    step = plan(members | {newcomer}, shares)
    assert len(step.revoke) <= count // (len(members) + 1) + 1
    assert not step.assign


def test_first_asks_back_then_gives() -> None:
    shares = {0: Share("a", 1, False), 1: Share("a", 1, False)}
    assert plan({"a", "b"}, shares) == Plan(assign={}, revoke=frozenset({1}))
    shares[1] = Share("a", 1, True)
    assert not plan({"a", "b"}, shares), "nothing more until it is released"
    shares[1] = Share(None, 1, False)
    assert plan({"a", "b"}, shares) == Plan(assign={1: "b"}, revoke=frozenset())


def test_nobody_there_is_nothing_to_do() -> None:
    assert not plan(set(), {0: Share("gone", 1, False)})
