"""Layout 2 of a generation: what layout 1 is, and what was added since. Workflows can be archived and their revisions say
what changed; sources and endpoints are paged by name; triggers remember events in windows.

Existing generations stay as they are: `upshot rebuild` makes a new one. Revision ID: 0002
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_KEEP_LAYOUT_1 = "ALTER FUNCTION readmodel.create_generation(integer, integer) RENAME TO create_generation_of_layout_1"

# The tables are altered right after they were made, while they are empty and nobody else can see them.
_CREATE_GENERATION = r"""
CREATE FUNCTION readmodel.create_generation(generation integer, layout integer) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $function$
DECLARE
    rm CONSTANT text := 'rm_' || generation;
    name text;
BEGIN
    IF layout <> 2 THEN
        RAISE EXCEPTION 'layout % is not installed: run the migrations of that version', layout;
    END IF;
    PERFORM readmodel.create_generation_of_layout_1(generation, 1);
    PERFORM set_config('search_path', format('%I, pg_catalog', rm), true);

    ALTER TABLE workflows ADD COLUMN archived boolean NOT NULL;
    DROP INDEX workflows_by_name;
    CREATE INDEX workflows_by_name ON workflows (tenant_id, archived, name, workflow_id);
    ALTER TABLE workflow_revisions ADD COLUMN changes text NOT NULL;

    ALTER TABLE sources ALTER COLUMN name TYPE text COLLATE "C";
    CREATE INDEX sources_by_name ON sources (tenant_id, name, source_id);
    ALTER TABLE endpoints ALTER COLUMN name TYPE text COLLATE "C";
    CREATE INDEX endpoints_by_name ON endpoints (tenant_id, name, endpoint_id);

    -- Keys are templates rendered from events: of any length, with any character; a digest stands in the key for them.
    CREATE TABLE windows (
        tenant_id text COLLATE "C" NOT NULL,
        workflow_id text COLLATE "C" NOT NULL,
        trigger text COLLATE "C" NOT NULL,
        digest bytea NOT NULL,
        partition integer NOT NULL,
        key bytea NOT NULL,
        kind text NOT NULL,
        state json NOT NULL,
        PRIMARY KEY (tenant_id, workflow_id, trigger, digest)
    ) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);
    CREATE INDEX windows_by_partition ON windows (partition);

    FOREACH name IN ARRAY ARRAY['windows'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY everything ON %I TO upshot_service USING (true) WITH CHECK (true)', name);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO upshot_service', name);
        EXECUTE format(
            'CREATE POLICY own_tenant ON %I FOR SELECT TO upshot_api '
            'USING (tenant_id = current_setting(''upshot.tenant'', true) AND tenant_id <> '''')', name);
        EXECUTE format('GRANT SELECT ON %I TO upshot_api', name);
    END LOOP;
END
$function$
"""

_UP = (
    _KEEP_LAYOUT_1,
    _CREATE_GENERATION,
    "REVOKE ALL ON FUNCTION readmodel.create_generation(integer, integer) FROM PUBLIC",
    "REVOKE ALL ON FUNCTION readmodel.create_generation_of_layout_1(integer, integer) FROM upshot_service",
    "GRANT EXECUTE ON FUNCTION readmodel.create_generation(integer, integer) TO upshot_service",
)

_DOWN = (
    "DROP FUNCTION readmodel.create_generation(integer, integer)",
    "ALTER FUNCTION readmodel.create_generation_of_layout_1(integer, integer) RENAME TO create_generation",
    "GRANT EXECUTE ON FUNCTION readmodel.create_generation(integer, integer) TO upshot_service",
)


def upgrade() -> None:
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in _DOWN:
        op.execute(statement)
