"""A look-up costs the same however many runs there are: its one plan, made while the tables are empty, uses the indexes."""

from shared.readmodel.service_sql import LOOKUP
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
