"""A look-up costs the same however many runs there are: its one plan, made while the tables are empty, uses the indexes."""

from shared.readmodel.service_sql import LOOKUP, MATCH_IDS
from shared.readmodel.store import ReadModel


async def test_the_lookup_planned_on_empty_tables_never_reads_a_whole_table_that_grows(readmodel: ReadModel) -> None:
    await readmodel.snapshot([0])
    async with readmodel.pool.acquire() as connection:
        statement = LOOKUP.format(rm="rm_1")
        kinds = "text, int4[], uuid[], text[], text[], text[], text[]"
        await connection.execute(f"PREPARE asked ({kinds}) AS {statement}")
        rows = await connection.fetch("EXPLAIN EXECUTE asked ('runs', '{0}', '{}', '{t}', '{r}', '{t}', '{c}')")
        await connection.execute("DEALLOCATE asked")
    plan = "\n".join(str(row[0]) for row in rows)
    for table in ("runs", "commands"):
        assert f"Seq Scan on {table}" not in plan, plan


async def test_matches_are_read_in_the_order_of_their_index(readmodel: ReadModel) -> None:
    await readmodel.snapshot([0])
    async with readmodel.pool.acquire() as connection:
        await connection.execute(f"PREPARE page (uuid, int8, text) AS {MATCH_IDS.format(rm='rm_1')}")
        rows = await connection.fetch("EXPLAIN EXECUTE page ('00000000-0000-0000-0000-000000000000', 1000, 'runs')")
        await connection.execute("DEALLOCATE page")
    plan = "\n".join(str(row[0]) for row in rows)
    assert "runs_by_match" in plan, plan
    assert "Seq Scan on runs" not in plan, plan
