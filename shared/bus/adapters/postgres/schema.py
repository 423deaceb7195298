"""All of the log's SQL objects, and `install`, which the owner role runs. Idempotent, one transaction, one at a time.

    log.topics            what topics there are, their partitions and segment size
    log.heads             per partition the next offset: the row that an append locks
    log."<topic>"         the records, range-partitioned by offset into segments; primary key (partition, offset), no
                          other index
    log.archived          partitions of segments that were exported to files, and which of them are read from there
    log.groups, log.group_members, log.group_shares    consumer groups; `group_shares.committed` is the next offset

Appending locks head rows in the order of (topic, partition), so that no two processes can dead-lock, and holds them to
the commit: offsets are gapless and in commit order. Measured against ordered advisory locks with `max("offset")`, one
caller, fsync on, 2 cores: head rows 2,130-2,200 commits/s with 3 segments and with 100; advisory locks 2,000 with 3 and
600 with 100, as finding the maximum opens every segment. With an old snapshot held open for 9 s, where head rows cannot
be pruned, 2,130/s (1,660-1,900 with 100 segments). One statement per head; a joined UPDATE fell to 1,150.

The service role may read and append, never change or delete a record. Creating a segment is the one thing that it does
with the owner's rights. Next: `appending.py`, `reading.py`, `membership.py`, `segments.py`.
"""

from collections.abc import Sequence

from shared.bus.adapters.postgres.group_sql import GROUP_OBJECTS
from shared.bus.adapters.postgres.link import Connection
from shared.bus.topics import TOPICS

_TOPIC_NAME_MAX = 40  # PostgreSQL cuts names at 63 bytes; ".<segment>" must fit behind


_OBJECTS = """
create schema if not exists log;

create table if not exists log.topics (
    topic text primary key,
    partition_count int not null check (partition_count > 0),
    segment_records bigint not null check (segment_records > 0)
);

create table if not exists log.heads (
    topic text not null references log.topics,
    partition int not null,
    next bigint not null,
    primary key (topic, partition)
) with (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

create table if not exists log.archived (
    topic text not null references log.topics,
    segment bigint not null,
    partition int not null,
    folder text not null,
    file text not null,
    records bigint not null,
    bytes bigint not null,
    sha256 text not null,
    detached boolean not null default false,
    exported_at timestamptz not null default clock_timestamp(),
    primary key (topic, segment, partition)
);

-- Creates the segments that hold offsets up to the highest head + ahead, and one more. Attaching takes no lock that
-- readers or writers wait for.
create or replace function log.ensure_segments(p_topic text, p_ahead bigint) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $function$
declare
    v_size bigint;
    v_last bigint;
    v_segment bigint;
    v_name text;
begin
    select segment_records into strict v_size from log.topics where topic = p_topic;
    perform pg_advisory_xact_lock(hashtextextended('upshot.log.segments', 0));
    select (max(next) + least(p_ahead, 1000000)) / v_size + 1 into strict v_last from log.heads where topic = p_topic;
    v_segment := v_last;
    while v_segment >= 0 and to_regclass(format('log.%I', p_topic || '.' || v_segment)) is null loop
        v_segment := v_segment - 1;
    end loop;
    while v_segment < v_last loop
        v_segment := v_segment + 1;
        v_name := p_topic || '.' || v_segment;
        -- Rows that fit into a page stay in it as they are, longer ones go out of line as they are: to compress what lies
        -- between two and eight kilobytes took a quarter of the server's time. Files of closed segments are compressed.
        execute format(
            'create table log.%I (like log.%I including defaults including constraints) with (toast_tuple_target = 8160)',
            v_name, p_topic);
        execute format(
            'alter table log.%I alter column headers set storage external, alter column value set storage external',
            v_name);
        execute format(
            'alter table log.%I attach partition log.%I for values from (%s) to (%s)',
            p_topic, v_name, v_segment * v_size, (v_segment + 1) * v_size);
    end loop;
    return v_last;
end
$function$;
revoke all on function log.ensure_segments(text, bigint) from public;
"""

_TOPIC = """
create table if not exists log."{topic}" (
    partition int not null,
    "offset" bigint not null,
    recorded_at timestamptz not null,
    key bytea not null,
    headers bytea not null,
    value bytea,
    primary key (partition, "offset")
) partition by range ("offset");
"""

# Heads come sorted by (topic, partition); records in the order of the heads, `p_head` saying which (from 1). A record's
# bytes are its key, headers and value, one after the other from `p_start` (from 1) of `p_bytes`; a value without a length
# is null. `ends` are those of the topics and partitions asked for: read behind the locks, in a snapshot of its own.
# An earlier version's function had other parameters and stays, for processes of that version that still run.
_APPEND = """
create or replace function log.append(
    p_topics text[], p_partitions int[], p_counts int[],
    p_head int[], p_start int[], p_key_bytes int[], p_header_bytes int[], p_value_bytes int[], p_bytes bytea,
    p_asked_topics text[], p_asked_partitions int[],
    out firsts bigint[], out recorded_at timestamptz, out ends bigint[]
) language plpgsql as $function$
declare
    v_next bigint;
    v_low int := 1;
    v_high int := 0;
    v_topic text;
    v_shifts bigint[] := '{{}}';  -- first offset - first ordinal, per head
begin
    firsts := '{{}}';
    ends := '{{}}';
    for i in 1 .. cardinality(p_topics) loop
        update log.heads set next = next + p_counts[i]
            where topic = p_topics[i] and partition = p_partitions[i] returning next into v_next;
        if not found then
            raise exception 'topic % has no partition %', p_topics[i], p_partitions[i] using errcode = 'UL001';
        end if;
        firsts := firsts || (v_next - p_counts[i]);
        v_shifts := v_shifts || (v_next - p_counts[i] - v_high - 1);
        v_high := v_high + p_counts[i];
    end loop;
    for i in 1 .. cardinality(p_asked_topics) loop
        select next into v_next from log.heads where topic = p_asked_topics[i] and partition = p_asked_partitions[i];
        ends := ends || v_next;
    end loop;
    recorded_at := clock_timestamp();
    v_high := 0;
    for i in 1 .. cardinality(p_topics) loop
        v_high := v_high + p_counts[i];
        continue when p_topics[i] = p_topics[i + 1];
        v_topic := p_topics[i];
        {branches}
        v_low := v_high + 1;
    end loop;
end
$function$;
"""

_BRANCH = """if v_topic = '{topic}' then
            insert into log."{topic}" (partition, "offset", recorded_at, key, headers, value)
            select p_partitions[r.head], v_shifts[r.head] + v_low - 1 + r.ordinal, recorded_at,
                substr(p_bytes, r.start, r.key_bytes), substr(p_bytes, r.start + r.key_bytes, r.header_bytes),
                substr(p_bytes, r.start + r.key_bytes + r.header_bytes, r.value_bytes)
            from unnest(p_head[v_low:v_high], p_start[v_low:v_high], p_key_bytes[v_low:v_high],
                    p_header_bytes[v_low:v_high], p_value_bytes[v_low:v_high])
                with ordinality as r (head, start, key_bytes, header_bytes, value_bytes, ordinal);
        end if;"""

_GRANTS = """
grant usage on schema log to {role};
grant select on log.topics, log.archived to {role};
grant select, update (next) on log.heads to {role};
grant select, insert, update, delete on log.groups, log.group_members, log.group_shares to {role};
grant usage on sequence log.group_sessions to {role};
grant execute on function log.ensure_segments(text, bigint) to {role};
"""


async def install(
    connection: Connection,
    *,
    topics: Sequence[str] = TOPICS,
    partition_count: int,
    segment_records: int,
    service_role: str | None = None,
) -> None:
    """Create what is missing of the log, as the role that will own it; grant `service_role` what services need.

    Raises ValueError where a topic stands with another number of partitions: that is fixed for its life.
    """
    for topic in topics:
        if len(topic) > _TOPIC_NAME_MAX or not topic.replace(".", "").replace("_", "").replace("-", "").isalnum():
            raise ValueError(
                f"{topic!r} cannot name a topic: letters, digits, '.', '-', '_', at most {_TOPIC_NAME_MAX}"
            )
    async with connection.transaction():
        await connection.execute("select pg_advisory_xact_lock(hashtextextended('upshot.log.install', 0))")
        await connection.execute("set local client_min_messages = warning")
        await connection.execute(_OBJECTS + GROUP_OBJECTS)
        for topic in topics:
            await _install_topic(connection, topic, partition_count, segment_records)
        known = [row["topic"] for row in await connection.fetch("select topic from log.topics order by topic")]
        branches = "\n        ".join(_BRANCH.format(topic=topic) for topic in known)
        await connection.execute(_APPEND.format(branches=branches))
        if service_role is not None:
            await _grant(connection, service_role, known)


async def _install_topic(connection: Connection, topic: str, partition_count: int, segment_records: int) -> None:
    standing = await connection.fetchval("select partition_count from log.topics where topic = $1", topic)
    if standing is None:
        await connection.execute(_TOPIC.format(topic=topic))
        await connection.execute("insert into log.topics values ($1, $2, $3)", topic, partition_count, segment_records)
        await connection.execute(
            "insert into log.heads select $1, p, 0 from generate_series(0, $2::int - 1) p", topic, partition_count
        )
    elif standing != partition_count:
        raise ValueError(f"topic {topic} has {standing} partitions, not {partition_count}; the number never changes")
    await connection.execute("select log.ensure_segments($1, 0)", topic)


async def _grant(connection: Connection, service_role: str, topics: Sequence[str]) -> None:
    role = await connection.fetchval("select quote_ident($1)", service_role)
    await connection.execute(_GRANTS.format(role=role))
    for topic in topics:
        await connection.execute(f'grant select, insert on log."{topic}" to {role}')
