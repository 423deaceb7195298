"""Who owns what in a Kafka group, from what its members say when they come together."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.bus.adapters.kafka.assigning import (
    Claims,
    Part,
    assigned,
    pack_claims,
    pack_part,
    unpack_claims,
    unpack_part,
)

PARTITIONS = 12
offsets = st.dictionaries(st.integers(0, PARTITIONS - 1), st.integers(0, 50), max_size=PARTITIONS)
members = st.dictionaries(
    st.sampled_from("abcde"), st.builds(Claims, held=offsets, releasing=offsets), min_size=1, max_size=5
)


def held_by(parts: Mapping[str, Part], partition: int) -> list[str]:
    return [name for name, part in parts.items() if partition in part.owned or partition in part.asked_back]


@given(members)
def test_whatever_members_claim_no_partition_has_two_and_none_is_lost(claims: Mapping[str, Claims]) -> None:
    parts = assigned(claims, PARTITIONS, 51)
    assert all(len(held_by(parts, partition)) == 1 for partition in range(PARTITIONS))


@given(members)
def test_nobody_is_given_what_another_may_still_be_acting_on(claims: Mapping[str, Claims]) -> None:
    claimed = {partition for each in claims.values() for partition in (*each.held, *each.releasing)}
    for part in assigned(claims, PARTITIONS, 51).values():
        assert all(since == 51 for partition, since in part.owned.items() if partition not in claimed)
        assert all(since <= 50 for partition, since in part.owned.items() if partition in claimed)


@given(members)
def test_of_two_claims_the_later_one_stands(claims: Mapping[str, Claims]) -> None:
    parts = assigned(claims, PARTITIONS, 51)
    for partition in range(PARTITIONS):
        latest = max(
            (
                since
                for each in claims.values()
                for kind in (each.held, each.releasing)
                if (since := kind.get(partition))
            ),
            default=None,
        )
        if latest is not None:
            (owner,) = held_by(parts, partition)
            part = parts[owner]
            assert {**part.owned, **part.asked_back}[partition] == latest


@given(st.lists(st.sampled_from("abcdefg"), min_size=1, max_size=6, unique=True), st.integers(0, 6))
def test_releasing_what_is_asked_back_ends_in_an_even_spread(names: list[str], before: int) -> None:
    claims = {name: Claims() for name in names[: before + 1]}
    for generation in range(1, 5):
        parts = assigned(claims, PARTITIONS, generation)
        claims = {name: Claims(held=parts[name].owned if name in parts else {}) for name in names}
    sizes = [len(parts[name].owned) for name in names]
    assert max(sizes) - min(sizes) <= 1
    assert assigned(claims, PARTITIONS, 9) == parts


def test_who_comes_and_who_goes_moves_no_more_than_fairness_asks() -> None:
    first = assigned({"a": Claims(), "b": Claims()}, PARTITIONS, 1)
    told = assigned({**{n: Claims(held=p.owned) for n, p in first.items()}, "c": Claims()}, PARTITIONS, 2)
    assert [len(told[name].asked_back) for name in "abc"] == [2, 2, 0]
    assert all(told[name].owned.items() <= first[name].owned.items() for name in "ab")
    left = assigned({"a": Claims(held=told["a"].owned, releasing=told["a"].asked_back)}, PARTITIONS, 3)
    assert left["a"].owned.items() >= told["a"].owned.items()


@given(offsets, offsets)
def test_what_is_told_comes_back(first: dict[int, int], second: dict[int, int]) -> None:
    claims, part = Claims(held=first, releasing=second), Part(owned=first, asked_back=second)
    assert unpack_claims(pack_claims(claims)) == claims
    assert unpack_part(pack_part(part)) == part


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"held":{"a":1},"releasing":{}}', b"\xff\xff"])
def test_what_no_member_says_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        unpack_claims(data)
