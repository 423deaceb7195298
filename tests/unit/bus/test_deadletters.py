"""Dead letters: everything of the record comes back, however it looked, and none is too large to be kept."""

from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from shared.bus.deadletters import (
    CARRIED_BYTES_MAX,
    DeadLetter,
    Redriven,
    dead_letter,
    omitted_bytes,
    read_letter,
    redriven_note,
)
from shared.bus.port import NewRecord, Record
from shared.domain.errors import Flaw

AT = datetime(2026, 3, 2, 9, 0, 0, 123000, UTC)
TOLD = datetime(2026, 3, 2, 9, 0, 1, tzinfo=UTC)
SICK = Record(
    topic="upshot.events",
    partition=7,
    offset=1234,
    recorded_at=AT,
    key=b"\xffacme",
    headers=(("ce_id", b"\xff"), ("upshot_redriven", b"x")),
    value=b"not JSON",
)


def told(new: NewRecord, *behind: tuple[str, bytes]) -> Record:
    headers = (*new.headers, *behind)
    return Record(
        topic=new.topic, partition=1, offset=0, recorded_at=TOLD, key=new.key, headers=headers, value=new.value
    )


_NAMES = st.text(max_size=8) | st.sampled_from(
    ["upshot_reason", "upshot_headers", "upshot_topic", "upshot_redriven", "upshot_omitted_bytes"]
)


@given(
    st.lists(st.tuples(_NAMES, st.binary(max_size=8)), max_size=12).map(tuple),
    st.none() | st.binary(max_size=20),
    st.text(max_size=30),
    st.lists(
        st.builds(Flaw, pointer=st.just("#/id"), detail=st.text(st.characters(codec="utf-8"), max_size=9)), max_size=3
    ),
)
def test_a_letter_gives_back_the_record_and_why(
    headers: tuple[tuple[str, bytes], ...], value: bytes | None, reason: str, flaws: list[Flaw]
) -> None:
    record = replace(SICK, headers=headers, value=value)
    letter = read_letter(told(dead_letter(record, reason, flaws)))
    assert isinstance(letter, DeadLetter)
    assert letter.original() == record
    assert read_letter(told(dead_letter(record, reason, flaws), ("recordedtime", b"2026"), ("other", b""))) == letter
    assert letter.reason == reason.encode(errors="replace").decode()
    assert (letter.id, list(letter.flaws), letter.omitted_bytes) == ("upshot.events/7/1234", flaws, 0)


def test_letters_of_one_partition_lie_in_one_order_with_the_notes_about_them() -> None:
    letter = read_letter(told(dead_letter(SICK, "no")))
    assert isinstance(letter, DeadLetter)
    note = redriven_note(letter, "e-1")
    assert note.key == dead_letter(SICK, "no").key == b"upshot.events/7"
    assert (
        read_letter(told(note))
        == read_letter(told(note, ("recordedtime", b"2026")))
        == Redriven(letter_id="upshot.events/7/1234", event_id="e-1", at=TOLD)
    )


def test_letters_of_a_copied_log_are_named_by_the_log_that_they_were_told_in() -> None:
    first = (("recordedtime", b"2025-01-02T03:04:05Z"), ("copiedfrom", b"one/0/9"))
    again = (("copiedfrom", b"one/0/9"), ("recordedtime", b"2025-01-02T03:04:05Z"), ("copiedfrom", b"two/3/1"))
    sick = replace(SICK, headers=(*SICK.headers, ("copiedfrom", b"its-own/7/7")))
    for behind in (first, again):
        letter = read_letter(told(dead_letter(sick, "no"), *behind))
        assert isinstance(letter, DeadLetter)
        assert (letter.id, letter.log_id) == ("one/upshot.events/7/1234", "one")
        assert letter.told_at == datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC)
        # and: a note names that letter, whether it was told in that log, or here, or here and then copied
        for note in (
            told(redriven_note(replace(letter, log_id=""), "e-1"), *behind),
            told(redriven_note(letter, "e-1")),
            told(redriven_note(letter, "e-1"), ("recordedtime", b"2026-01-02T03:04:05Z"), ("copiedfrom", b"two/3/2")),
        ):
            read = read_letter(note)
            assert isinstance(read, Redriven)
            assert read.letter_id == letter.id
    here = read_letter(told(dead_letter(sick, "no")))
    assert isinstance(here, DeadLetter)
    assert here.id == "upshot.events/7/1234"


def test_what_is_too_large_is_named_and_stays_where_it_lies() -> None:
    large = replace(SICK, value=b"x" * CARRIED_BYTES_MAX)
    new = dead_letter(large, "r" * 9999, [Flaw(pointer="#" * 9999, detail="d" * 9999)] * 99)
    assert sum(len(name) + len(value) for name, value in new.headers) < 64_000
    letter = read_letter(told(new))
    assert isinstance(letter, DeadLetter)
    assert (letter.value, letter.headers, letter.id) == (None, (), "upshot.events/7/1234")
    assert letter.omitted_bytes > CARRIED_BYTES_MAX


@given(
    st.integers(0, 900_000),
    st.sampled_from([1024, 5_000, 100_000, 524_288, 787_000, 4 * 1024 * 1024]),
    st.sampled_from(["a", "ä", "🎉"]),
    st.integers(0, 3000),
)
def test_a_letter_fits_into_the_log_that_takes_it(size: int, record_bytes_max: int, letter: str, length: int) -> None:
    flaws = [Flaw(pointer=letter * length, detail=letter * length)] * 9
    record = replace(SICK, key=b"k" * length, headers=((letter * (size // 4), b"x"),), value=b"x" * (size // 2))
    new = dead_letter(record, letter * length, flaws, record_bytes_max=record_bytes_max)
    names = sum(len(name.encode()) + len(value) for name, value in new.headers)
    assert len(new.key) + names + len(new.value or b"") <= record_bytes_max
    read = read_letter(told(new))
    assert isinstance(read, DeadLetter)
    assert (read.id, read.reason[:100]) == ("upshot.events/7/1234", letter * min(length, 100))
    assert read.omitted_bytes in (0, omitted_bytes(record))
    if read.omitted_bytes == 0:
        assert read.original() == replace(record, key=read.key)


def test_letters_of_the_first_version_are_read() -> None:
    ours = (
        ("upshot_reason", b"no ce_id"),
        ("upshot_topic", b"upshot.events"),
        ("upshot_partition", b"7"),
        ("upshot_offset", b"1234"),
    )
    letter = read_letter(told(NewRecord(topic="t", key=b"", headers=(*SICK.headers, *ours), value=b"v")))
    assert isinstance(letter, DeadLetter)
    assert (letter.id, letter.reason, letter.headers, letter.value) == (
        "upshot.events/7/1234",
        "no ce_id",
        SICK.headers,
        b"v",
    )


def test_what_is_no_letter_is_none() -> None:
    assert read_letter(told(NewRecord(topic="t", key=b"", headers=(), value=b""))) is None
    assert read_letter(told(NewRecord(topic="t", key=b"", headers=(("upshot_reason", b"x"),), value=b""))) is None
