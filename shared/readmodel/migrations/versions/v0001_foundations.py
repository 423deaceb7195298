"""The pointer to the current generation, the function that makes one, and the keystore.

Revision ID: 0001
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_POINTER = """
CREATE TABLE readmodel.current (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    generation integer NOT NULL,
    fold_version integer NOT NULL
) WITH (fillfactor = 50)
"""

# Raising inside the statement that wrote takes all of it back, so that a write is one round trip and still all or none.
_REFUSE = """
CREATE FUNCTION readmodel.refuse_unless(pointer_holds boolean, moved bigint, wanted bigint) RETURNS void
LANGUAGE plpgsql AS $function$
BEGIN
    IF NOT pointer_holds THEN
        RAISE EXCEPTION 'another generation is current' USING ERRCODE = 'UP002';
    END IF;
    IF moved <> wanted THEN
        RAISE EXCEPTION '% of % checkpoints stand where this writer began', moved, wanted USING ERRCODE = 'UP001';
    END IF;
END
$function$
"""

_KEYS = """
CREATE TABLE keystore.data_keys (
    tenant_id text COLLATE "C" NOT NULL,
    key_id text COLLATE "C" NOT NULL,
    wrapped bytea,
    created_at timestamptz NOT NULL DEFAULT now(),
    destroyed_at timestamptz,
    PRIMARY KEY (tenant_id, key_id),
    CHECK ((wrapped IS NULL) = (destroyed_at IS NOT NULL))
)
"""

# Who comes second finds the first one's key.
_ONE_LIVE_KEY = "CREATE UNIQUE INDEX live_data_key ON keystore.data_keys (tenant_id) WHERE wrapped IS NOT NULL"

# The tables of one generation. All tenant-first; key columns compare by bytes (COLLATE "C"), which is cheaper and the
# same on every machine. Documents are `json`, not `jsonb`: nothing looks into them, jsonb refuses \u0000, and parsing
# costs the server more than everything else about a run. They are kept uncompressed (EXTERNAL): most live for a second.
_CREATE_GENERATION = r"""
CREATE FUNCTION readmodel.create_generation(generation integer, layout integer) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $function$
DECLARE
    rm CONSTANT text := 'rm_' || generation;
    name text;
BEGIN
    IF generation <= 0 THEN
        RAISE EXCEPTION 'generations are numbered from 1';
    END IF;
    IF layout <> 1 THEN
        RAISE EXCEPTION 'layout % is not installed: run the migrations of that version', layout;
    END IF;
    EXECUTE format('CREATE SCHEMA %I', rm);
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO upshot_service, upshot_api', rm);
    PERFORM set_config('search_path', format('%I, pg_catalog', rm), true);

    CREATE TABLE tenants (
        tenant_id text COLLATE "C" PRIMARY KEY,
        name text NOT NULL,
        plan text NOT NULL,
        created_at timestamptz NOT NULL,
        version integer NOT NULL
    );
    CREATE TABLE sources (
        tenant_id text COLLATE "C" NOT NULL,
        source_id text COLLATE "C" NOT NULL,
        name text NOT NULL,
        vendor text NOT NULL,
        settings json NOT NULL,
        secrets json NOT NULL,
        created_at timestamptz NOT NULL,
        PRIMARY KEY (tenant_id, source_id)
    );
    CREATE TABLE endpoints (
        tenant_id text COLLATE "C" NOT NULL,
        endpoint_id text COLLATE "C" NOT NULL,
        name text NOT NULL,
        url text NOT NULL,
        secrets json NOT NULL,
        created_at timestamptz NOT NULL,
        revision integer NOT NULL,
        disabled_reason text,
        PRIMARY KEY (tenant_id, endpoint_id)
    );
    CREATE TABLE workflows (
        tenant_id text COLLATE "C" NOT NULL,
        workflow_id text COLLATE "C" NOT NULL,
        name text COLLATE "C" NOT NULL,
        enabled boolean NOT NULL,
        revision integer NOT NULL,
        PRIMARY KEY (tenant_id, workflow_id)
    );
    CREATE INDEX workflows_by_name ON workflows (tenant_id, name, workflow_id);
    CREATE TABLE workflow_revisions (
        tenant_id text COLLATE "C" NOT NULL,
        workflow_id text COLLATE "C" NOT NULL,
        revision integer NOT NULL,
        document json NOT NULL,
        steps json NOT NULL,
        high_risk boolean NOT NULL,
        author text NOT NULL,
        saved_at timestamptz NOT NULL,
        PRIMARY KEY (tenant_id, workflow_id, revision)
    );

    CREATE TABLE events (
        tenant_id text COLLATE "C" NOT NULL,
        event_id text COLLATE "C" NOT NULL,
        type text COLLATE "C" NOT NULL,
        source text COLLATE "C" NOT NULL,
        subject text,
        time timestamptz,
        recorded_at timestamptz NOT NULL,
        partition integer NOT NULL,
        "offset" bigint NOT NULL,
        bytes integer NOT NULL,
        correlation_id text,
        causation_id text,
        PRIMARY KEY (tenant_id, event_id)
    );
    CREATE INDEX events_in_order ON events (tenant_id, recorded_at, event_id);
    CREATE INDEX events_by_type ON events (tenant_id, type, recorded_at, event_id);

    -- What changes in a run is in no index but its status, and that only until it has succeeded: most updates are HOT.
    CREATE TABLE runs (
        tenant_id text COLLATE "C" NOT NULL,
        run_id text COLLATE "C" NOT NULL,
        workflow_id text COLLATE "C" NOT NULL,
        workflow_name text NOT NULL,
        revision integer NOT NULL,
        priority integer NOT NULL,
        status text COLLATE "C" NOT NULL,
        reason_kind text,
        reason text,
        event_id text COLLATE "C",
        event_type text,
        event_subject text,
        replay_id text COLLATE "C",
        match_id uuid,
        requested_by text,
        requested_at timestamptz NOT NULL,
        started_at timestamptz,
        ended_at timestamptz,
        partition integer NOT NULL,
        positions bigint[] NOT NULL,
        correlation_id text,
        causation_id text,
        traceparent text,
        open boolean NOT NULL,
        summary json NOT NULL,
        state json,
        PRIMARY KEY (tenant_id, run_id)
    ) WITH (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.05);
    ALTER TABLE runs ALTER COLUMN summary SET STORAGE EXTERNAL, ALTER COLUMN state SET STORAGE EXTERNAL;
    CREATE INDEX runs_in_order ON runs (tenant_id, requested_at, run_id);
    CREATE INDEX runs_by_workflow ON runs (tenant_id, workflow_id, requested_at, run_id);
    -- A match is asked for by id alone, once, before it is folded.
    CREATE INDEX runs_by_match ON runs (match_id) WHERE match_id IS NOT NULL;
    -- An event's own match has a derived id; only its replays need finding.
    CREATE INDEX runs_replayed ON runs (tenant_id, event_id) WHERE replay_id IS NOT NULL;
    CREATE INDEX runs_by_status ON runs (tenant_id, status, requested_at, run_id) WHERE status <> 'succeeded';
    CREATE INDEX runs_open ON runs (partition) WHERE open;

    CREATE TABLE approvals (
        tenant_id text COLLATE "C" NOT NULL,
        approval_id text COLLATE "C" NOT NULL,
        run_id text COLLATE "C" NOT NULL,
        workflow_id text COLLATE "C" NOT NULL,
        workflow_name text NOT NULL,
        status text COLLATE "C" NOT NULL,
        requested_at timestamptz NOT NULL,
        expires_at timestamptz NOT NULL,
        roles json NOT NULL,
        quorum integer NOT NULL,
        self_approval boolean NOT NULL,
        author text,
        subject_hash text NOT NULL,
        decisions json NOT NULL,
        decided_at timestamptz,
        decided_by text,
        partition integer NOT NULL,
        PRIMARY KEY (tenant_id, approval_id)
    ) WITH (fillfactor = 85);
    CREATE INDEX approvals_in_order ON approvals (tenant_id, requested_at, approval_id);
    CREATE INDEX approvals_by_status ON approvals (tenant_id, status, requested_at, approval_id);
    CREATE INDEX approvals_due ON approvals (expires_at) WHERE status = 'pending';

    CREATE TABLE activity (
        tenant_id text COLLATE "C" NOT NULL,
        workflow_id text COLLATE "C" NOT NULL,
        partition integer NOT NULL,
        day text NOT NULL,
        runs_today integer NOT NULL,
        PRIMARY KEY (tenant_id, workflow_id)
    ) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);
    -- Keys are templates rendered from events: of any length, with any character; a digest stands in the index for them.
    CREATE TABLE cooldowns (
        tenant_id text COLLATE "C" NOT NULL,
        workflow_id text COLLATE "C" NOT NULL,
        digest bytea NOT NULL,
        partition integer NOT NULL,
        key bytea NOT NULL,
        admitted_at timestamptz NOT NULL,
        PRIMARY KEY (tenant_id, workflow_id, digest)
    ) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);
    CREATE INDEX cooldowns_by_age ON cooldowns (tenant_id, workflow_id, admitted_at);
    CREATE TABLE commands (
        tenant_id text COLLATE "C" NOT NULL,
        topic text COLLATE "C" NOT NULL,
        command_id text COLLATE "C" NOT NULL,
        payload_hash text NOT NULL,
        status integer NOT NULL,
        body json NOT NULL,
        decided_at timestamptz NOT NULL,
        PRIMARY KEY (tenant_id, topic, command_id)
    );
    CREATE TABLE checkpoints (
        topic text COLLATE "C" NOT NULL,
        partition integer NOT NULL,
        next bigint NOT NULL,
        now timestamptz,
        fold_version integer NOT NULL,
        PRIMARY KEY (topic, partition)
    ) WITH (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

    FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = rm LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY everything ON %I TO upshot_service USING (true) WITH CHECK (true)', name);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO upshot_service', name);
        IF name <> 'checkpoints' THEN
            EXECUTE format(
                'CREATE POLICY own_tenant ON %I FOR SELECT TO upshot_api '
                'USING (tenant_id = current_setting(''upshot.tenant'', true) AND tenant_id <> '''')', name);
            EXECUTE format('GRANT SELECT ON %I TO upshot_api', name);
        END IF;
    END LOOP;
END
$function$
"""

_DROP_GENERATION = """
CREATE FUNCTION readmodel.drop_generation(generation integer) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $function$
BEGIN
    PERFORM 1 FROM readmodel.current AS pointer WHERE pointer.generation = drop_generation.generation FOR SHARE;
    IF FOUND THEN
        RAISE EXCEPTION 'generation % is current', generation;
    END IF;
    EXECUTE format('DROP SCHEMA IF EXISTS %I CASCADE', 'rm_' || generation);
END
$function$
"""

_UP = (
    _POINTER,
    _REFUSE,
    _CREATE_GENERATION,
    _DROP_GENERATION,
    "REVOKE ALL ON FUNCTION readmodel.create_generation(integer, integer) FROM PUBLIC",
    "REVOKE ALL ON FUNCTION readmodel.drop_generation(integer) FROM PUBLIC",
    "REVOKE ALL ON FUNCTION readmodel.refuse_unless(boolean, bigint, bigint) FROM PUBLIC",
    "GRANT USAGE ON SCHEMA readmodel TO upshot_service, upshot_api",
    "GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA readmodel TO upshot_service",
    # FOR SHARE asks for the right to update.
    "GRANT SELECT, UPDATE ON readmodel.current TO upshot_service",
    "GRANT SELECT ON readmodel.current TO upshot_api",
    "CREATE SCHEMA keystore",
    _KEYS,
    _ONE_LIVE_KEY,
    "GRANT USAGE ON SCHEMA keystore TO upshot_service",
    "GRANT SELECT, INSERT, UPDATE ON keystore.data_keys TO upshot_service",
)

_DROP_ALL_GENERATIONS = r"""
DO $block$
DECLARE name text;
BEGIN
    FOR name IN SELECT nspname FROM pg_namespace WHERE nspname ~ '^rm_\d+$' LOOP
        EXECUTE format('DROP SCHEMA %I CASCADE', name);
    END LOOP;
END
$block$
"""

_DOWN = (
    _DROP_ALL_GENERATIONS,
    "DROP SCHEMA keystore CASCADE",
    "DROP FUNCTION readmodel.drop_generation(integer)",
    "DROP FUNCTION readmodel.create_generation(integer, integer)",
    "DROP FUNCTION readmodel.refuse_unless(boolean, bigint, bigint)",
    "DROP TABLE readmodel.current",
)


def upgrade() -> None:
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in _DOWN:
        op.execute(statement)
