"""Rows are what the tables expect, and the statements what the rows expect: held together here, without a server."""

import re
from pathlib import Path

import orjson
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.runs.fold import Known, RunsFold
from shared.domain.runs.state import Run
from shared.readmodel import migrate
from shared.readmodel.deltas import EventRow
from shared.readmodel.rows import RUN_STATE, RunRow, build_rows, run_row, summary
from shared.readmodel.versions import LAYOUT_VERSION
from shared.readmodel.write_sql import EVENTS, RUNS, TABLES, column_arrays, write_statement
from shared.testing.folds import RunsScenario, apply_all, approval, limits, match

VERSIONS = Path(migrate.__file__).with_name("migrations") / "versions"

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)


def run_with(inputs: dict[str, object]) -> Run:
    scenario = RunsScenario()
    run = scenario.run(scenario.asks(match("w"), key="k"))
    run.inputs = inputs
    return run


@given(st.dictionaries(st.text(max_size=5), JSON, max_size=3))
def test_an_open_run_comes_back_from_its_row(inputs: dict[str, object]) -> None:
    run = run_with(inputs)
    row = run_row(run, 3)
    assert row.open
    assert row.state is not None
    assert RUN_STATE.validate_json(row.state) == run


def test_a_closed_run_keeps_no_state_but_what_is_shown() -> None:
    scenario = RunsScenario()
    (run_id,) = scenario.happens(match("w"))
    scenario.completes(run_id)
    row = run_row(scenario.run(run_id), 0)
    assert (row.open, row.state, row.status, row.positions) == (False, None, "succeeded", "{0,1,2}")
    shown = orjson.loads(row.summary)
    assert shown == orjson.loads(orjson.dumps(summary(scenario.run(run_id))))
    assert "request" not in shown["steps"][0]
    assert "output" not in shown["steps"][0]


def test_rows_and_statements_name_the_same_columns() -> None:
    assert [name.strip('"') for name, _, _ in RUNS.columns] == list(RunRow._fields)
    assert [name.strip('"') for name, _, _ in EVENTS.columns] == list(EventRow._fields)
    for table in TABLES.values():
        names = [name for name, _, _ in table.columns]
        assert names[: len(table.keys)] == list(table.keys) or table.name == "cooldowns"
        assert set(table.keys) <= set(names)
        assert set(table.fixed) <= {*names, "*"}


def test_the_newest_layout_is_the_one_that_is_made() -> None:
    made = [path.read_text(encoding="utf-8") for path in sorted(VERSIONS.glob("v*.py"))]
    newest = [text for text in made if "CREATE FUNCTION readmodel.create_generation(" in text][-1]
    assert f"IF layout <> {LAYOUT_VERSION} THEN" in newest


def test_one_statement_takes_one_array_a_column() -> None:
    scenario = RunsScenario()
    cooled = match("w", limits=limits(cooldown_seconds=5), cooldown_key="k")
    scenario.happens(cooled, match("a", approval=approval()))
    scenario.asks(match("w"), key="k")
    rows = build_rows([apply_all(RunsFold(), scenario.log, Known())])
    names = tuple(sorted(rows.tables))
    assert names == ("activity", "approvals", "commands", "cooldowns", "monthly_runs", "old_cooldowns", "runs")
    statement = write_statement(3, 1001, names, check_pointer=True)
    tables = [rows.tables[name] for name in names]
    arguments = [array for each in (rows.moves, *tables) for array in column_arrays(each)]
    assert sorted({int(number) for number in re.findall(r"\$(\d+)", statement)}) == list(range(1, len(arguments) + 1))
    assert "readmodel.current" in statement
    assert "readmodel.current" not in write_statement(3, 1001, names, check_pointer=False)
    assert rows.forgettable[0].commands == [("acme", "ask-k")]


def test_head_is_the_newest_migration() -> None:
    revisions = {
        re.search(r'^revision = "(.*)"$', path.read_text(encoding="utf-8"), re.MULTILINE)[1]  # type: ignore[index]  # each has one
        for path in VERSIONS.glob("v*.py")
    }
    assert max(revisions) == migrate.HEAD
