"""The services' side of the read model: write what a fold changed, take it back as a snapshot, look up what memory let go.

Guarantees. A write is all or nothing and moves the checkpoints of all it holds; whoever's checkpoint has moved is told
`NotOwner`. A snapshot is one instant. Everything goes to, and comes from, the generation that is current at that moment.
A lookup never answers from a read model that is older than what this process saw written (`ReadModelWentBack`), nor from one
that is newer than the fold which asks and writes it (`ReadModelWentAhead`).

Commits do not wait for the disk (synchronous_commit = off): the log is the truth, a checkpoint is lost only together with
the rows it vouches for, and whoever goes on finds the older checkpoint.
Next: `rows.py` and `write_sql.py` for what is written, `tenant_queries.py` for the other side.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Literal, TypeVar
from uuid import UUID

import asyncpg

from shared.bus.topics import RUNS
from shared.domain.runs.delta import RunsDelta
from shared.domain.runs.fold import Known, Questions
from shared.readmodel import service_sql as sql
from shared.readmodel.connect import ConnectParameters, Pool, Pooled, open_pool
from shared.readmodel.deltas import DefinitionsDelta, EventsDelta, TenantRow
from shared.readmodel.errors import AWAY, NotOwner, ReadModelAway, ReadModelWentAhead, ReadModelWentBack, RebuildNeeded
from shared.readmodel.line import Line
from shared.readmodel.lookup import AnswerRow, prepare_lookup
from shared.readmodel.match_ids import MatchIds
from shared.readmodel.rows import ROWS_AT_ONCE, Rows, build_rows
from shared.readmodel.settings import ReadModelSettings
from shared.readmodel.snapshots import (
    ApprovalDue,
    Checkpoint,
    Snapshot,
    WindowsSnapshot,
    snapshots_of,
    windows_of,
)
from shared.readmodel.versions import MODEL_VERSION
from shared.readmodel.write_sql import NOT_OWNER, STALE_GENERATION, column_arrays, write_statement

_Found = TypeVar("_Found")

_SERVER_SETTINGS = {
    "synchronous_commit": "off",
    "jit": "off",
    # The writing statement costs a millisecond to plan, and the plan never changes.
    "plan_cache_mode": "force_generic_plan",
    # That one plan is made while the tables are small. A scan of them all, right then, costs 3 ms a lookup at 8,000 runs,
    # and more with each run.
    "enable_seqscan": "off",
}

_GENERATION_GONE = (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError)


class ReadModel:
    """The read model as services see it. One a process."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._writing = Line(pool)
        self._asking = Line(pool)
        self._generation: int | None = None
        self._written: dict[tuple[str, int], int] = {}

    @classmethod
    async def open(cls, service: ConnectParameters, settings: ReadModelSettings | None = None) -> "ReadModel":
        """Connect as the service role. Raises ReadModelAway while PostgreSQL cannot be reached."""
        settings = settings or ReadModelSettings()
        try:
            pool = await open_pool(
                service,
                connections_max=settings.service_connections_max,
                command_timeout_seconds=settings.write_timeout_seconds,
                server_settings=_SERVER_SETTINGS,
            )
        except AWAY as error:
            raise ReadModelAway(f"PostgreSQL cannot be reached: {error!r}") from error
        return cls(pool)

    @property
    def pool(self) -> Pool:
        """For `generations.py` and `checksums.py`, which work beside the current generation."""
        return self._pool

    async def close(self) -> None:
        """Close the pool once what is under way has ended."""
        await self._writing.close()
        await self._asking.close()
        await self._pool.close()

    # ------------------------------------------------------------ writing

    async def write(
        self,
        runs: Sequence[RunsDelta] = (),
        events: Sequence[EventsDelta] = (),
        definitions: Sequence[DefinitionsDelta] = (),
    ) -> None:
        """Write all of it, and move its checkpoints, in one transaction. Rows are made before anything is awaited.

        Raises NotOwner (nothing written), ReadModelAway (perhaps written: compare `checkpoints`), RebuildNeeded.
        """
        await self.write_rows(build_rows(runs, events, definitions))

    async def write_rows(self, rows: Rows) -> None:
        """`write`, of rows that are made already."""
        while rows.moves:
            generation = await self.generation()
            try:
                await self.write_to(generation, rows, only_if_current=True)
            except asyncpg.PostgresError as error:
                if error.sqlstate != STALE_GENERATION and not isinstance(error, _GENERATION_GONE):
                    raise
                self._generation = None
                continue
            for topic, partition, _, end, _ in rows.moves:
                self.note_written(topic, partition, end)
            return

    def note_written(self, topic: str, partition: int, end: int) -> None:
        """The checkpoint was seen at `end`: a lookup that finds less from now on raises ReadModelWentBack."""
        self._written[topic, partition] = end

    async def write_to(self, generation: int, rows: Rows, *, only_if_current: bool) -> None:
        """Write into one generation; a rebuild into its own, before it is current."""
        try:
            await self._execute(generation, rows, only_if_current=only_if_current)
        except asyncpg.CardinalityViolationError:
            # A tenant's records lie in two partitions, which only a foreign writer's partitioner brings about.
            await self._execute(generation, rows.newest_only(), only_if_current=only_if_current)
        except AWAY as error:
            raise ReadModelAway(f"writing the read model: {error!r}") from error
        except asyncpg.PostgresError as error:
            if error.sqlstate != NOT_OWNER:
                raise
            stand = {(each.topic, each.partition): each.next for each in await self.checkpoints_of(generation)}
            places = [move[:2] for move in rows.moves if stand.get(move[:2]) != move[2]]
            raise NotOwner(places) from None

    async def _execute(self, generation: int, rows: Rows, *, only_if_current: bool) -> None:
        names = tuple(sorted(rows.tables))
        statement = write_statement(generation, MODEL_VERSION, names, check_pointer=only_if_current)
        arguments = column_arrays(rows.moves)
        for name in names:
            arguments += column_arrays(rows.tables[name], name)
            if len(rows.tables[name]) >= ROWS_AT_ONCE:
                await asyncio.sleep(0)
        if only_if_current:
            await self._writing.run(lambda connection: connection.execute(statement, *arguments))
            return
        # A rebuild holds the pointer, for which a live write may be waiting: it must not stand in line behind that.
        async with self._pool.acquire() as connection:
            await connection.execute(statement, *arguments)

    async def ensure_checkpoints(self, topic: str, partitions: Collection[int]) -> None:
        """Let these partitions begin at offset 0 where nothing of them was ever projected."""

        async def insert(connection: Pooled, rm: str) -> None:
            await connection.execute(sql.ENSURE_CHECKPOINTS.format(rm=rm), topic, sorted(partitions), MODEL_VERSION)

        await self._in_current("read_committed", insert)

    # ------------------------------------------------------------ restoring

    async def generation(self) -> int:
        """The current generation. Raises RebuildNeeded where it is of another version than this code."""
        if self._generation is None:

            async def nothing_more(_connection: Pooled, rm: str) -> int:
                return int(rm.removeprefix("rm_"))

            self._generation = await self._in_current("read_committed", nothing_more)
        return self._generation

    async def snapshot(self, partitions: Collection[int]) -> dict[int, Snapshot]:
        """Of `upshot.runs`, one instant for all partitions; ready to be written on from there."""
        wanted = sorted(partitions)

        async def read(connection: Pooled, rm: str) -> Sequence[Sequence[asyncpg.Record]]:
            return (
                await connection.fetch(sql.CHECKPOINTS.format(rm=rm), RUNS),
                await connection.fetch(sql.OPEN_RUNS.format(rm=rm), wanted),
                await connection.fetch(sql.ACTIVITIES.format(rm=rm), wanted),
                await connection.fetch(sql.COOLDOWNS.format(rm=rm), wanted),
                await connection.fetch(sql.MONTHS.format(rm=rm), wanted),
                await connection.fetch(sql.WINDOWS.format(rm=rm), wanted),
            )

        checkpoints, *rows = await self._with_checkpoints(
            wanted, read, lambda found: {row["partition"] for row in found[0]}
        )
        for row in checkpoints:
            if row["partition"] in partitions:
                self._written[RUNS, row["partition"]] = row["next"]
        # 70 µs a run: a hundred thousand that wait would take longer than a group waits for a heartbeat.
        return await asyncio.to_thread(snapshots_of, wanted, checkpoints, *rows)

    async def windows(self, partitions: Collection[int]) -> dict[int, WindowsSnapshot]:
        """What triggers remember of these partitions, and the offset of `upshot.runs` to go on from; one instant."""
        wanted = sorted(partitions)

        async def read(connection: Pooled, rm: str) -> dict[int, WindowsSnapshot]:
            return windows_of(
                wanted,
                await connection.fetch(sql.CHECKPOINTS.format(rm=rm), RUNS),
                await connection.fetch(sql.WINDOWS.format(rm=rm), wanted),
            )

        return await self._with_checkpoints(wanted, read, set)

    async def _with_checkpoints(
        self,
        partitions: Collection[int],
        read: Callable[[Pooled, str], Awaitable[_Found]],
        of: Callable[[_Found], Collection[int]],
    ) -> _Found:
        """What is read, at one instant, once every one of these partitions of `upshot.runs` has a checkpoint. `of`: which ones
        had, then. A crash of PostgreSQL may take back even those that were just made."""
        while True:
            await self.ensure_checkpoints(RUNS, partitions)
            found = await self._in_current("repeatable_read", read)
            if set(partitions) <= set(of(found)):
                return found

    async def checkpoints(self, topic: str) -> dict[int, Checkpoint]:
        """By partition, of the current generation."""

        async def read(connection: Pooled, rm: str) -> dict[int, Checkpoint]:
            rows = await connection.fetch(sql.CHECKPOINTS.format(rm=rm), topic)
            return {row["partition"]: Checkpoint(**row) for row in rows}

        return await self._in_current("read_committed", read)

    async def next_offsets(self, topic: str) -> dict[int, int]:
        """The checkpoints' offsets, for `ProjectionProgress`."""
        return {partition: each.next for partition, each in (await self.checkpoints(topic)).items()}

    async def written_by_others(self) -> dict[int, int]:
        """How far `upshot.runs` is projected, for a process that does not project: what lies below may be let go. A lookup
        that finds less from now on raises ReadModelWentBack, as if it had been written here: also where this finds less."""
        found = await self.next_offsets(RUNS)
        for partition, next_offset in found.items():
            self._written[RUNS, partition] = max(next_offset, self._written.get((RUNS, partition), 0))
        return found

    async def checkpoints_of(self, generation: int) -> list[Checkpoint]:
        """Of any generation, every topic."""

        async def read(connection: Pooled) -> list[Checkpoint]:
            return [
                Checkpoint(**row) for row in await connection.fetch(sql.ALL_CHECKPOINTS.format(rm=f"rm_{generation}"))
            ]

        return await self._with_connection(read)

    # ------------------------------------------------------------ looking up

    async def lookup(
        self,
        questions: Questions,
        *,
        folded_to: Mapping[int, int],
        tenant_ids: Collection[str],
        may_be_ahead: bool = False,
    ) -> Known:
        """What the read model knows of what batches of the runs ask; one round trip.

        `folded_to`: the next offset of each of their partitions; matches and runs recorded further on are not known yet.
        `tenant_ids`: the tenants of the batches. `may_be_ahead`: whether somebody else may have written further.
        Raises ReadModelWentBack, ReadModelWentAhead, ReadModelAway.
        """
        while questions:
            generation = await self.generation()
            # Before asking: a write that ends meanwhile is news to the answer, not a loss.
            written = {partition: self._written.get((RUNS, partition), 0) for partition in folded_to}
            try:
                known, current, stand = await self.lookup_in(generation, questions, folded_to, tenant_ids)
            except _GENERATION_GONE:
                current = None
            if current != generation:
                self._generation = None
                continue
            behind = {partition for partition, was in written.items() if stand.get(partition, 0) < was}
            if behind:
                raise ReadModelWentBack(behind)
            ahead = {partition for partition, folded in folded_to.items() if stand.get(partition, 0) > folded}
            if ahead and not may_be_ahead:
                raise ReadModelWentAhead(ahead)
            return known
        return Known()

    async def lookup_in(
        self,
        generation: int,
        questions: Questions,
        folded_to: Mapping[int, int],
        tenant_ids: Collection[str],
    ) -> tuple[Known, int, dict[int, int]]:
        """What one generation knows, which one is current, and how far this one's runs are projected, by partition."""
        lookup = prepare_lookup(questions, folded_to, tenant_ids)

        async def read(connection: Pooled) -> list[AnswerRow]:
            statement = sql.LOOKUP.format(rm=f"rm_{generation}")
            return [AnswerRow(*row) for row in await connection.fetch(statement, *lookup.arguments())]

        try:
            rows = await self._asking.run(read)
        except AWAY as error:
            raise ReadModelAway(f"asking the read model: {error!r}") from error
        current = next(int(row.key) for row in rows if row.kind == "generation")
        stand = {row.status or 0: int(row.key) for row in rows if row.kind == "next"}
        return lookup.known(rows, folded_to), current, stand

    async def match_ids_after(self, after: bytes, limit: int) -> MatchIds:
        """The next page of the ids of matches that led to runs, behind `after` in their order. Raises ReadModelAway."""

        async def read(connection: Pooled, rm: str) -> MatchIds:
            row = await connection.fetchrow(sql.MATCH_IDS.format(rm=rm), UUID(bytes=after), limit, RUNS)
            assert row is not None  # without FROM there is one
            return MatchIds(row["packed"] or b"", dict(zip(row["partitions"], row["reached"], strict=True)))

        try:
            return await self._in_current("read_committed", read)
        except _GENERATION_GONE as error:
            raise ReadModelAway(f"another generation has just taken over: {error!r}") from error

    async def pending_approvals_due(
        self, before: datetime, partitions: Collection[int], limit: int
    ) -> list[ApprovalDue]:
        """Approvals still pending whose deadline is not after `before`, the most overdue first."""

        async def read(connection: Pooled, rm: str) -> list[ApprovalDue]:
            rows = await connection.fetch(sql.APPROVALS_DUE.format(rm=rm), before, sorted(partitions), limit)
            return [ApprovalDue(**row) for row in rows]

        return await self._in_current("read_committed", read)

    async def tenants(self) -> list[TenantRow]:
        """All of them, for operators."""

        async def read(connection: Pooled, rm: str) -> list[TenantRow]:
            return [TenantRow(*row) for row in await connection.fetch(sql.TENANTS.format(rm=rm))]

        return await self._in_current("read_committed", read)

    # ------------------------------------------------------------ connections

    async def _in_current(
        self,
        isolation: Literal["read_committed", "repeatable_read"],
        work: Callable[[Pooled, str], Awaitable[_Found]],
    ) -> _Found:
        """Work in the current generation's schema, within one transaction."""

        async def within(connection: Pooled) -> _Found:
            async with connection.transaction(isolation=isolation):
                pointer = await connection.fetchrow(sql.POINTER)
                found = pointer["fold_version"] if pointer is not None else None
                if pointer is None or found != MODEL_VERSION:
                    raise RebuildNeeded(found, MODEL_VERSION)
                return await work(connection, f"rm_{pointer['generation']}")

        return await self._with_connection(within)

    async def _with_connection(self, work: Callable[[Pooled], Awaitable[_Found]]) -> _Found:
        try:
            async with self._pool.acquire() as connection:
                return await work(connection)
        except AWAY as error:
            raise ReadModelAway(f"reading the read model: {error!r}") from error
