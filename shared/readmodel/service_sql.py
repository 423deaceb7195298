"""What services ask of the read model, apart from writing. `{rm}` is the schema of a generation."""

POINTER = "SELECT generation, fold_version FROM readmodel.current"

CHECKPOINTS = """
SELECT topic, partition, next, now, fold_version FROM {rm}.checkpoints WHERE topic = $1 ORDER BY partition
"""

ALL_CHECKPOINTS = "SELECT topic, partition, next, now, fold_version FROM {rm}.checkpoints"

ENSURE_CHECKPOINTS = """
INSERT INTO {rm}.checkpoints (topic, partition, next, fold_version)
SELECT $1, partition, 0, $3 FROM unnest($2::int4[]) AS wanted (partition) ON CONFLICT DO NOTHING
"""

# Order is settled by the caller: it depends on what stands in the state.
OPEN_RUNS = "SELECT partition, state FROM {rm}.runs WHERE open AND partition = ANY($1::int4[])"

ACTIVITIES = """
SELECT partition, tenant_id, scope, day, runs_today, quarters, cooldown_seconds FROM {rm}.activity
WHERE partition = ANY($1::int4[])
"""

COOLDOWNS = """
SELECT partition, tenant_id, scope, key, admitted_at FROM {rm}.cooldowns
WHERE partition = ANY($1::int4[]) ORDER BY admitted_at
"""

# A fold's time never goes back: only the newest month still counts.
MONTHS = """
SELECT DISTINCT ON (tenant_id) partition, tenant_id, month, runs FROM {rm}.monthly_runs
WHERE partition = ANY($1::int4[]) ORDER BY tenant_id, month DESC
"""

WINDOWS = """
SELECT partition, tenant_id, workflow_id, trigger, key, kind, state FROM {rm}.windows WHERE partition = ANY($1::int4[])
"""

# One snapshot for the answers, the generation they come from and the checkpoint they are as new as.
LOOKUP = """
SELECT 'generation' AS kind, generation::text AS key, NULL AS tenant_id, NULL AS payload_hash, NULL::int4 AS status,
       NULL::json AS body, NULL::timestamptz AS decided_at, NULL::int8 AS first
FROM readmodel.current
UNION ALL
SELECT 'next', next::text, NULL, NULL, partition, NULL, NULL, NULL FROM {rm}.checkpoints
WHERE topic = $1 AND partition = ANY($2::int4[])
UNION ALL
SELECT 'match', match_id::text, NULL, NULL, partition, NULL, NULL, positions[1] FROM {rm}.runs WHERE match_id = ANY($3::uuid[])
UNION ALL
SELECT 'run', run_id, NULL, NULL, partition, NULL, NULL, positions[1] FROM {rm}.runs
WHERE tenant_id = ANY($4::text[]) AND run_id = ANY($5::text[])
UNION ALL
SELECT 'command', command.command_id, command.tenant_id, payload_hash, status, body, decided_at, NULL
FROM unnest($6::text[], $7::text[]) AS asked (tenant_id, command_id)
JOIN {rm}.commands AS command ON command.tenant_id = asked.tenant_id AND command.topic = $1
                             AND command.command_id = asked.command_id
"""

# Several runs may be of one match: the next page begins behind all of them.
MATCH_IDS = """
SELECT (
    SELECT string_agg(uuid_send(match_id), ''::bytea ORDER BY match_id) FROM (
        SELECT match_id FROM {rm}.runs WHERE match_id > $1 ORDER BY match_id LIMIT $2
    ) AS page
) AS packed,
ARRAY(SELECT partition FROM {rm}.checkpoints WHERE topic = $3 ORDER BY partition) AS partitions,
ARRAY(SELECT next FROM {rm}.checkpoints WHERE topic = $3 ORDER BY partition) AS reached
"""

APPROVALS_DUE = """
SELECT tenant_id, approval_id, run_id, workflow_id, workflow_name, partition, requested_at, expires_at
FROM {rm}.approvals
WHERE status = 'pending' AND expires_at <= $1 AND partition = ANY($2::int4[])
ORDER BY expires_at, approval_id LIMIT $3
"""

TENANTS = """
SELECT tenant_id, name, plan, created_at, version, workflows_max, runs_per_month_max FROM {rm}.tenants ORDER BY tenant_id
"""
