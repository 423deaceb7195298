"""Layout 3 of a generation: limits by tag, runs of a tenant's month, and what a plan allows.

Existing generations stay as they are: `upshot rebuild` makes a new one. Revision ID: 0003
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# `scope` is a workflow's id, or `tag:` and a tag. A tag's day ends at another instant in each zone, so its admissions are
# kept by the quarter of an hour: `quarters` is [[quarter, admissions], ...], a quarter being 900 s since the epoch.
_CREATE_GENERATION = """
CREATE FUNCTION readmodel.create_generation(generation integer, layout integer) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $function$
DECLARE
    rm CONSTANT text := 'rm_' || generation;
BEGIN
    IF layout <> 3 THEN
        RAISE EXCEPTION 'layout % is not installed: run the migrations of that version', layout;
    END IF;
    PERFORM readmodel.create_generation_of_layout_2(generation, 2);
    PERFORM set_config('search_path', format('%I, pg_catalog', rm), true);

    ALTER TABLE tenants ADD COLUMN workflows_max integer, ADD COLUMN runs_per_month_max bigint;
    ALTER TABLE activity RENAME COLUMN workflow_id TO scope;
    ALTER TABLE activity ADD COLUMN quarters json, ADD COLUMN cooldown_seconds integer NOT NULL;
    ALTER TABLE cooldowns RENAME COLUMN workflow_id TO scope;
    CREATE TABLE monthly_runs (
        tenant_id text COLLATE "C" NOT NULL,
        month text COLLATE "C" NOT NULL,
        partition integer NOT NULL,
        runs bigint NOT NULL,
        PRIMARY KEY (tenant_id, month)
    ) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);

    ALTER TABLE monthly_runs ENABLE ROW LEVEL SECURITY;
    ALTER TABLE monthly_runs FORCE ROW LEVEL SECURITY;
    CREATE POLICY everything ON monthly_runs TO upshot_service USING (true) WITH CHECK (true);
    CREATE POLICY own_tenant ON monthly_runs FOR SELECT TO upshot_api
        USING (tenant_id = current_setting('upshot.tenant', true) AND tenant_id <> '');
    GRANT SELECT, INSERT, UPDATE, DELETE ON monthly_runs TO upshot_service;
    GRANT SELECT ON monthly_runs TO upshot_api;
END
$function$
"""

_UP = (
    "ALTER FUNCTION readmodel.create_generation(integer, integer) RENAME TO create_generation_of_layout_2",
    "REVOKE ALL ON FUNCTION readmodel.create_generation_of_layout_2(integer, integer) FROM upshot_service",
    _CREATE_GENERATION,
    "REVOKE ALL ON FUNCTION readmodel.create_generation(integer, integer) FROM PUBLIC",
    "GRANT EXECUTE ON FUNCTION readmodel.create_generation(integer, integer) TO upshot_service",
)

_DOWN = (
    "DROP FUNCTION readmodel.create_generation(integer, integer)",
    "ALTER FUNCTION readmodel.create_generation_of_layout_2(integer, integer) RENAME TO create_generation",
    "GRANT EXECUTE ON FUNCTION readmodel.create_generation(integer, integer) TO upshot_service",
)


def upgrade() -> None:
    for statement in _UP:
        op.execute(statement)


def downgrade() -> None:
    for statement in _DOWN:
        op.execute(statement)
