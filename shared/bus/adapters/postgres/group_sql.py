"""The SQL of consumer groups. Each act is one function call, so that no frozen client can hold a lock.

Every function but the commit locks the group's row first, then share rows in the order of their partitions; the commit
locks share rows only, in the same order: no dead-lock. A heartbeat in which nothing changes, and a commit of offsets,
do not wait for the disk (`synchronous_commit` off for that transaction): losing the last half second of them to a crash
means reading records again, which folds ignore. Changes of assignment do wait.
"""

GROUP_OBJECTS = """
create table if not exists log.groups (
    name text not null,
    topic text not null references log.topics,
    generation bigint not null default 0,
    primary key (name, topic)
) with (fillfactor = 50);

create table if not exists log.group_members (
    name text not null,
    topic text not null,
    member text not null,
    session bigint not null,
    seen_at timestamptz not null,
    primary key (name, topic, member)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

create table if not exists log.group_shares (
    name text not null,
    topic text not null,
    partition int not null,
    owner text,
    since bigint not null default 0,
    revoking boolean not null default false,
    committed bigint,
    primary key (name, topic, partition)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

create sequence if not exists log.group_sessions;

create or replace function log.lock_group(p_name text, p_topic text) returns bigint language plpgsql as $function$
declare
    v_generation bigint;
begin
    select generation into v_generation from log.groups where name = p_name and topic = p_topic for update;
    return v_generation;
end
$function$;

create or replace function log.change_group(p_name text, p_topic text) returns void language plpgsql as $function$
begin
    perform set_config('synchronous_commit', 'on', true);
    update log.groups set generation = generation + 1 where name = p_name and topic = p_topic;
    perform pg_notify('upshot_log_groups', p_name || chr(10) || p_topic);
end
$function$;

create or replace function log.free_shares(p_name text, p_topic text, p_owners text[], p_partitions int[])
returns boolean language plpgsql as $function$
begin
    perform 1 from log.group_shares
        where name = p_name and topic = p_topic and owner = any (p_owners)
            and (p_partitions is null or (revoking and partition = any (p_partitions)))
        order by partition for update;
    update log.group_shares set owner = null, revoking = false
        where name = p_name and topic = p_topic and owner = any (p_owners)
            and (p_partitions is null or (revoking and partition = any (p_partitions)));
    return found;
end
$function$;

create or replace function log.join_group(p_name text, p_topic text, p_member text) returns bigint
language plpgsql as $function$
declare
    v_session bigint := nextval('log.group_sessions');
begin
    insert into log.groups (name, topic) values (p_name, p_topic) on conflict do nothing;
    perform log.lock_group(p_name, p_topic);
    insert into log.group_shares (name, topic, partition)
        select p_name, p_topic, h.partition from log.heads h where h.topic = p_topic order by h.partition
        on conflict do nothing;
    perform log.free_shares(p_name, p_topic, array[p_member], null);
    insert into log.group_members values (p_name, p_topic, p_member, v_session, clock_timestamp())
        on conflict (name, topic, member) do update set session = v_session, seen_at = clock_timestamp();
    perform log.change_group(p_name, p_topic);
    return v_session;
end
$function$;

create or replace function log.heartbeat(
    p_name text, p_topic text, p_member text, p_session bigint, p_session_timeout interval, p_released int[],
    out standing text, out generation bigint, out members text[],
    out partitions int[], out owners text[], out since bigint[], out revoking boolean[]
) language plpgsql as $function$
declare
    v_dead text[];
    v_session bigint;
    v_alive_after timestamptz;
    v_changed boolean := false;
begin
    perform set_config('synchronous_commit', 'off', true);
    generation := log.lock_group(p_name, p_topic);
    update log.group_members m set seen_at = clock_timestamp()
        where m.name = p_name and m.topic = p_topic and m.member = p_member and m.session = p_session;
    if not found then
        select m.session into v_session from log.group_members m
            where m.name = p_name and m.topic = p_topic and m.member = p_member;
        standing := case when v_session is null then 'expired' else 'replaced' end;
        return;
    end if;
    standing := 'member';
    -- A server that was away could hear nobody: silence counts from its start at the earliest.
    v_alive_after := clock_timestamp() - p_session_timeout;
    if pg_postmaster_start_time() < v_alive_after then
        with dead as (
            delete from log.group_members m
            where m.name = p_name and m.topic = p_topic and m.seen_at < v_alive_after returning m.member
        ) select array_agg(dead.member) into v_dead from dead;
    end if;
    if v_dead is not null then
        perform log.free_shares(p_name, p_topic, v_dead, null);
        v_changed := true;
    end if;
    if cardinality(p_released) > 0 and log.free_shares(p_name, p_topic, array[p_member], p_released) then
        v_changed := true;
    end if;
    if v_changed then
        perform log.change_group(p_name, p_topic);
        generation := generation + 1;
    end if;
    select array_agg(m.member) into members from log.group_members m where m.name = p_name and m.topic = p_topic;
    select array_agg(s.partition), array_agg(s.owner), array_agg(s.since), array_agg(s.revoking)
        into partitions, owners, since, revoking
        from log.group_shares s where s.name = p_name and s.topic = p_topic;
end
$function$;

-- Applies a plan that was made for `p_generation`; null where the group has changed since.
create or replace function log.rebalance_group(
    p_name text, p_topic text, p_generation bigint, p_partitions int[], p_owners text[], p_revoke int[]
) returns bigint language plpgsql as $function$
begin
    if log.lock_group(p_name, p_topic) is distinct from p_generation then
        return null;
    end if;
    perform log.change_group(p_name, p_topic);
    perform 1 from log.group_shares
        where name = p_name and topic = p_topic and partition = any (p_partitions || p_revoke)
        order by partition for update;
    update log.group_shares s set owner = g.owner, since = p_generation + 1, revoking = false
        from unnest(p_partitions, p_owners) g (partition, owner)
        where s.name = p_name and s.topic = p_topic and s.partition = g.partition;
    update log.group_shares set revoking = true
        where name = p_name and topic = p_topic and partition = any (p_revoke);
    return p_generation + 1;
end
$function$;

create or replace function log.leave_group(p_name text, p_topic text, p_member text, p_session bigint) returns void
language plpgsql as $function$
begin
    perform log.lock_group(p_name, p_topic);
    delete from log.group_members
        where name = p_name and topic = p_topic and member = p_member and session = p_session;
    if found then
        perform log.free_shares(p_name, p_topic, array[p_member], null);
        perform log.change_group(p_name, p_topic);
    end if;
end
$function$;

-- False, and nothing changed, unless the member owns every partition since `p_generation` or before.
create or replace function log.commit_offsets(
    p_name text, p_topic text, p_member text, p_generation bigint, p_partitions int[], p_offsets bigint[]
) returns boolean language plpgsql as $function$
declare
    v_owned int;
begin
    perform set_config('synchronous_commit', 'off', true);
    perform 1 from log.group_shares
        where name = p_name and topic = p_topic and partition = any (p_partitions) order by partition for update;
    select count(*) into v_owned from log.group_shares
        where name = p_name and topic = p_topic and partition = any (p_partitions)
            and owner = p_member and since <= p_generation;
    if v_owned <> cardinality(p_partitions) then
        return false;
    end if;
    update log.group_shares s set committed = c.next
        from unnest(p_partitions, p_offsets) c (partition, next)
        where s.name = p_name and s.topic = p_topic and s.partition = c.partition;
    return true;
end
$function$;
"""
