"""What is written as an array's text is what PostgreSQL reads, on both servers: character for character."""

import json
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.readmodel.array_text import array_text
from shared.readmodel.connect import Connection, connect
from shared.testing.examples import examples
from tests.contract.readmodel.conftest import Database

# Where JSON and arrays could differ, more often than chance would have it. NUL is kept out of every row (`plain_text`).
_AWKWARD = st.sampled_from(
    [*'\\"{},\n\t\r\b\f\x01\x1f\x7f/', " ", "NULL", "null", "u0041", "\\n", "\u2028", "ü", "\U0001f600"]
)
_TEXTS = st.lists(_AWKWARD, max_size=8).map("".join) | st.text(st.characters(codec="utf-8", exclude_characters="\0"))
_BREAKS = st.sampled_from(["", " ", "\n", "\t", "\r"])
_JSON = st.builds(
    lambda text, before, behind: f"{before}{json.dumps({text: [text]}, ensure_ascii=False)}{behind}",
    _TEXTS,
    _BREAKS,
    _BREAKS,
)
_COLUMNS = {
    "text": st.none() | _TEXTS,
    "int8": st.none() | st.integers(-(2**63), 2**63 - 1),
    "bool": st.none() | st.booleans(),
    "bytea": st.none() | st.binary(max_size=20),
    "uuid": st.none() | st.builds(UUID, int=st.integers(0, 2**128 - 1)),
    "timestamptz": st.none() | st.datetimes(datetime(1, 1, 1), timezones=st.just(UTC)),
}


@pytest.mark.parametrize("kind", _COLUMNS)
async def test_a_column_arrives_as_it_was(database: Database, kind: str) -> None:
    connection = await connect(database.service)
    columns: list[list[object]] = []

    @settings(max_examples=examples(300), deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(_COLUMNS[kind], max_size=6))
    def collect(column: list[object]) -> None:
        columns.append(column)

    collect()
    try:
        await _compare(connection, kind, columns)
    finally:
        await connection.close()


async def test_a_column_of_json_arrives_as_it_was(database: Database) -> None:
    connection = await connect(database.service)
    columns: list[list[object]] = []

    @settings(max_examples=examples(300), deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(st.none() | _JSON, max_size=6))
    def collect(column: list[object]) -> None:
        columns.append(column)

    collect()
    try:
        await _compare(connection, "json", columns)
    finally:
        await connection.close()


async def _compare(connection: Connection, kind: str, columns: list[list[object]]) -> None:
    for column in columns:
        text = array_text(column, json=kind == "json")
        assert await connection.fetchval(f"SELECT $1::text::{kind}[]", text) == column
