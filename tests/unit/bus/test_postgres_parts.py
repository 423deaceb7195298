"""The PostgreSQL adapter's pure parts: stored headers, the tail in memory, known ends, notifications."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.bus.adapters.postgres.header_bytes import pack_headers, unpack_headers
from shared.bus.adapters.postgres.heads import Heads
from shared.bus.adapters.postgres.tail import Tail
from shared.bus.adapters.postgres.watching import parse_payload, render_payloads
from shared.bus.headers import Headers
from shared.bus.port import Record

_NAMES = st.sampled_from(["ce_id", "content-type", "ce_partitionkey"]) | st.text(
    st.characters(codec="utf-8"), max_size=8
)
_HEADERS = st.lists(st.tuples(_NAMES, st.binary(max_size=12)), max_size=8).map(tuple)


class TestStoredHeaders:
    @given(_HEADERS)
    def test_unpack_undoes_pack(self, headers: Headers) -> None:
        assert unpack_headers(pack_headers(headers)) == headers

    def test_long_values_take_the_wide_form(self) -> None:
        headers = (("ce_id", b"x" * 65_536), ("ce_type", b""))
        assert unpack_headers(pack_headers(headers)) == headers

    def test_golden_bytes(self) -> None:
        """What is on disk; every known name, in the order of the table, then one that is not known."""
        names = [
            *("content-type", "ce_specversion", "ce_id", "ce_source", "ce_type", "ce_tenantid", "ce_time"),
            *("ce_subject", "ce_dataschema", "ce_correlationid", "ce_causationid", "ce_causalchain", "ce_traceparent"),
            *("ce_replayid", "ce_recordversion", "recordedtime", "ce_partitionkey", "ce_shop"),
        ]
        packed = pack_headers(tuple((name, b"%d" % (number % 3)) for number, name in enumerate(names)))
        assert packed == (
            b"\x01\x12\x00" + bytes(range(1, 18)) + b"\x00\x07\x00ce_shop" + b"\x01\x00" * 18 + b"012" * 6
        )

    @given(st.binary(max_size=40))
    def test_other_bytes_are_refused_or_read_but_never_break(self, packed: bytes) -> None:
        try:
            unpack_headers(packed)
        except ValueError as error:
            assert str(error)

    @pytest.mark.parametrize("cut", range(1, 20))
    def test_cut_bytes_are_refused(self, cut: int) -> None:
        packed = pack_headers((("ce_id", b"12"), ("x", b"345")))
        with pytest.raises(ValueError, match=r"."):
            unpack_headers(packed[:-cut])


def records(partition: int, first: int, count: int) -> list[Record]:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return [
        Record(topic="t", partition=partition, offset=first + n, recorded_at=at, key=b"", headers=(), value=None)
        for n in range(count)
    ]


class TestTail:
    def test_hands_out_the_very_records(self) -> None:
        tail, added = Tail(1_000), records(0, 5, 3)
        tail.add(added, 30)
        assert tail.take("t", 0, 6, 10)[0] is added[1]
        assert tail.take("t", 0, 5, 2) == added[:2]
        assert tail.take("t", 0, 4, 10) == ()
        assert tail.take("t", 0, 8, 10) == ()
        assert tail.take("t", 1, 5, 10) == ()

    def test_starts_anew_behind_a_gap(self) -> None:
        tail = Tail(1_000)
        tail.add(records(0, 0, 3), 30)
        tail.add(records(0, 5, 2), 20)
        assert not tail.holds("t", 0, 2)
        assert tail.holds("t", 0, 5)
        assert tail.end("t", 0) == 7

    def test_takes_nothing_twice(self) -> None:
        tail = Tail(1_000)
        tail.add(records(0, 0, 3), 30)
        tail.add(records(0, 2, 3), 30)
        assert tail.end("t", 0) == 3

    @given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(1, 4)), max_size=30))
    def test_never_outgrows_its_bound_and_never_has_a_hole(self, additions: list[tuple[int, int, int]]) -> None:
        tail, ends = Tail(100), {0: 0, 1: 0, 2: 0}
        for partition, gap, count in additions:
            first = ends[partition] + gap
            tail.add(records(partition, first, count), count * 10)
            ends[partition] = first + count
            kept = [
                tail.take("t", p, offset, 99) for p in ends for offset in range(ends[p]) if tail.holds("t", p, offset)
            ]
            assert all([r.offset for r in run] == list(range(run[0].offset, run[-1].offset + 1)) for run in kept)
            assert sum(tail.holds("t", p, offset) for p in ends for offset in range(ends[p])) <= 10
            assert tail.holds("t", partition, ends[partition] - 1)

    def test_stays_exact_while_thousands_come_and_go(self) -> None:
        tail = Tail(100)
        for number in range(2_000):
            tail.add(records(0, number, 1), 1)
            lowest = max(0, number - 99)
            assert [r.offset for r in tail.take("t", 0, lowest, 999)] == list(range(lowest, number + 1))
            assert not tail.holds("t", 0, lowest - 1)


class Follower:
    def __init__(self) -> None:
        self.news: list[tuple[int, int]] = []
        self.woken = 0

    def advanced(self, partition: int, high: int) -> None:
        self.news.append((partition, high))

    def wake(self) -> None:
        self.woken += 1


def test_ends_never_fall_and_only_news_wakes() -> None:
    heads, follower = Heads(), Follower()
    heads.follow("t", follower)
    heads.advance("t", [(0, 5), (1, 1)])
    heads.advance("t", [(0, 4), (1, 1)])
    heads.advance("other", [(0, 9)])
    assert (heads.high("t", 0), heads.high("t", 7)) == (5, 0)
    assert follower.news == [(0, 5), (1, 1)]
    assert follower.woken == 1
    heads.unfollow("t", follower)
    assert heads.followed_topics() == []
    heads.advance("t", [(0, 6)])
    assert follower.woken == 1


@given(
    st.dictionaries(
        st.sampled_from(["upshot.events", "a.b"]),
        st.dictionaries(st.integers(0, 1023), st.integers(0, 2**62), min_size=1, max_size=900),
    )
)
def test_notifications_say_what_was_meant_within_postgresqls_limit(ends: dict[str, dict[int, int]]) -> None:
    told: dict[str, dict[int, int]] = {}
    for payload in render_payloads(ends):
        assert len(payload.encode()) < 8_000
        for topic, by_partition in parse_payload(payload).items():
            told.setdefault(topic, {}).update(by_partition)
    assert told == ends


@given(st.text(max_size=40))
def test_a_foreign_notification_does_no_harm(payload: str) -> None:
    parse_payload(payload)
