"""Derived identity: stable, unambiguous, and UUIDv5 as everybody else computes it."""

from uuid import UUID, uuid5

from hypothesis import given
from hypothesis import strategies as st

from shared.domain.ids import delivery_id, derive, parse_delivery_id

NAMESPACE = UUID("6f8d2a54-94f6-5d0b-9a0e-6b1f6b7d1c11")

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(texts, st.lists(texts | st.integers(), max_size=4))
def test_an_id_is_the_uuid5_of_its_length_prefixed_parts(kind: str, parts: list[str | int]) -> None:
    name = "".join(f"{len(text)}:{text}" for text in (kind, *map(str, parts)))
    assert derive(kind, *parts) == str(uuid5(NAMESPACE, name))


def test_ids_that_are_in_logs_never_change() -> None:
    assert derive("run", "m", "w") == "575a3234-a52d-5bb7-96ff-118a4a6c66da"


@given(st.uuids(), st.from_regex(r"[a-z][a-z0-9_]{0,20}", fullmatch=True))
def test_a_delivery_names_its_run_and_step(run_id: UUID, step_id: str) -> None:
    text = delivery_id(str(run_id), step_id)
    assert "." not in text
    assert parse_delivery_id(text) == (str(run_id), step_id)


@given(st.text())
def test_what_is_no_delivery_id_of_ours_is_none(text: str) -> None:
    parsed = parse_delivery_id(text)
    assert parsed is None or parsed[1]
